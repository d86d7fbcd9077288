// The assistant: always beside the shop, with the open product as its context.

import { chat as complete, get, path } from "./api.js";
import { addToCart } from "./cart_actions.js";
import { cover } from "./covers.js";
import { el, make, SHOP, titled } from "./dom.js";
import { called, link, price, stock } from "./cards.js";
import { doubts } from "./doubts.js";
import { newSession, on, state, tell, user } from "./state.js";
import { suggestions } from "./suggestions.js";
import { why } from "./why.js";

const MOST_SENT = 20;
const MANY = 999;
const OF_GOODS = new Set(["list", "trending", "facts", "offer", "compare", "promotion", "reviews"]);
const ABOVE = 12;
const VOLUME = /, Vol\. (\d+)$/;
const NARROW = "(max-width: 59.99rem)";
const replied = new WeakMap();
let conversation = { session: newSession(), spoken: [] };
let running = null;
let lastReply = "";

/** Start the assistant. */
export function startChat() {
  el("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const message = el("message").value.trim();
    if (message && !running) {
      el("message").value = "";
      put(message);
    }
  });
  el("send").disabled = false; // before this, a click would send the form to nowhere
  el("new-chat").addEventListener("click", restart);
  el("chat-toggle").addEventListener("click", () => open(!el("chat").classList.contains("is-open")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && el("chat").classList.contains("is-open") && matchMedia(NARROW).matches) {
      open(false);
      el("chat-toggle").focus();
    }
  });
  on("ask", (question) => {
    if (!running) put(question);
  });
  on("shopper", restart);
  on("context", () => {
    showContext();
    showSuggestions();
  });
  on("shop cart", refreshCards);
  welcome();
}

/** Close the sheet that covers the shop on a narrow screen, because the reader went elsewhere. */
export function uncover() {
  if (matchMedia(NARROW).matches) open(false);
}

/** Put the cursor where a question about the open product is typed. */
export function invite() {
  open(true);
  el("message").focus();
}

/** On a narrow screen the assistant is a sheet that opens over the shop. */
function open(isOpen) {
  el("chat").classList.toggle("is-open", isOpen);
  el("chat-toggle").setAttribute("aria-expanded", String(isOpen));
  el("chat-toggle-text").textContent = isOpen ? "Close the assistant" : "Open the assistant";
}

function restart() {
  running?.abort();
  running = null;
  busy(false);
  conversation = { session: newSession(), spoken: [] };
  lastReply = "";
  welcome();
}

function welcome() {
  el("log").replaceChildren(
    make(
      "div",
      { class: "welcome" },
      make("p", { class: "welcome-title" }, "How can I help?"),
      make("p", {}, `I know every ${SHOP.item} here, what it costs right now, your cart and orders, and the shop’s rules.`),
    ),
  );
  showContext();
  showSuggestions();
}

function showContext() {
  el("context").textContent = state.product ? `About: ${state.product.title}` : "";
  el("context").hidden = !state.product;
}

function showSuggestions() {
  const buttons = running
    ? []
    : suggestions(lastReply).map((text) =>
        make("li", {}, make("button", { type: "button", onclick: () => put(text) }, text)),
      );
  el("suggestions").replaceChildren(...buttons);
}

/** Send a message and show the reply while it arrives. */
async function put(message) {
  open(true);
  el("log").querySelector(".welcome")?.remove();
  const text = make("div", { class: "text" }, dots());
  const turn = make("div", { class: "turn" }, make("span", { class: "visually-hidden" }, "Assistant: "), text);
  el("log").append(
    make(
      "div",
      { class: "turn user" },
      make("span", { class: "visually-hidden" }, "You: "),
      make("div", { class: "text" }, message),
    ),
    turn,
  );
  const held = conversation;
  held.spoken.push({ role: "user", content: message });
  running = new AbortController();
  busy(true);
  toEnd();
  try {
    const reply = await receive(held, turn, text, running.signal);
    held.spoken.push({ role: "assistant", content: reply });
    lastReply = reply;
  } catch (error) {
    held.spoken.pop();
    if (error.name !== "AbortError") complain(turn, text, message, error);
  }
  if (held === conversation) {
    running = null;
    busy(false);
    showSuggestions();
    toEnd();
  }
}

const dots = () =>
  make(
    "span",
    { class: "dots", role: "img", "aria-label": "The assistant is answering" },
    make("i"),
    make("i"),
    make("i"),
  );

function busy(isBusy) {
  el("log").setAttribute("aria-busy", String(isBusy));
  el("send").setAttribute("aria-disabled", String(isBusy));
  if (isBusy) showSuggestions();
}

/** Show the end of the conversation, but not so far that the last question leaves the screen. */
function toEnd() {
  const log = el("log"),
    question = [...log.querySelectorAll(".turn.user")].at(-1);
  const end = log.scrollHeight - log.clientHeight;
  log.scrollTop = question ? Math.min(end, question.offsetTop - ABOVE) : end;
}

async function receive(held, turn, text, signal) {
  const metadata = { session: held.session, ...(state.product ? { page: state.product.asin } : {}) };
  const body = {
    model: "retail-assistant",
    stream: true,
    user: user(),
    messages: held.spoken.slice(-MOST_SENT),
    metadata,
  };
  let answer = "",
    made = null;
  for await (const event of complete(body, signal)) {
    if (event.error) throw new Error(event.error.message);
    answer += event.choices[0].delta.content || "";
    if (answer) text.textContent = answer;
    made = event.parbake ?? made;
    toEnd();
  }
  if (!made) throw new Error("The answer broke off before its end.");
  if (!answer) text.textContent = "I have no answer to that.";
  const shown = OF_GOODS.has(made.intent) ? made.cards : []; // of an order or the cart the words are enough
  if (shown.length && made.lead) text.textContent = made.lead; // the cards say the rest
  if (shown.length)
    turn.append(make("ul", { class: "chat-cards", "aria-label": `${titled(SHOP.items)} in this answer` }, shown.map(card)));
  turn.append(doubts(made), why(made));
  if (shown.length) await refreshCards();
  if (made.intent === "action" || made.intent === "cart") tell("acted");
  return answer.trim();
}

function complain(turn, text, message, error) {
  const again = make(
    "button",
    {
      type: "button",
      onclick: () => {
        if (!running) put(message);
      },
    },
    "Ask again",
  );
  text.replaceChildren(error.message);
  turn.classList.add("error");
  turn.append(again);
}

/** A product in a reply. Price and stock are read once it is shown, because the reply has no promotions. */
function card(product) {
  const add = make(
    "button",
    {
      type: "button",
      "aria-label": `Add to cart: ${called(product)}`,
      onclick: (event) => addToCart(product, event.currentTarget),
    },
    "Add to cart",
  );
  const box = make(
    "li",
    { class: "card", "data-asin": product.asin },
    cover({
      ...product,
      series: product.title.replace(VOLUME, ""),
      volume: Number(VOLUME.exec(product.title)?.[1] ?? 1),
      author: "",
    }),
    make(
      "div",
      { class: "card-what" },
      make("b", {}, product.title),
      make("small", {}, [product.format && titled(product.format), titled(product.genre)].filter(Boolean).join(" · ")),
      make("div", { class: "card-live" }),
      product.why ? make("p", { class: "card-why" }, `${titled(product.why)}.`) : null,
    ),
    make(
      "div",
      { class: "actions" },
      make(
        "a",
        {
          class: "button",
          href: link(product.asin),
          "aria-label": `Open: ${called(product)}`,
          onclick: () => {
            if (matchMedia(NARROW).matches) open(false);
          },
        },
        "Open",
      ),
      add,
    ),
  );
  replied.set(box, product);
  return box;
}

/** Show price and stock as the reply had them, where nothing newer is known. */
function showReplied(box) {
  const { price: each, in_stock: isInStock } = replied.get(box);
  if (!box.querySelector(".card-live").firstChild) showLive(box, { price: each, quantity: isInStock ? MANY : 0 });
}

function showLive(box, product) {
  box.querySelector(".card-live").replaceChildren(price(product), stock(product));
  box.querySelector(".actions button").disabled = product.quantity === 0;
}

/** Read price, promotion and stock again, for every card that is shown: with a reply and after each change. */
async function refreshCards() {
  const boxes = [...el("log").querySelectorAll(".card")].slice(-MOST_SENT);
  if (!boxes.length) return;
  try {
    const { products } = await get(`shop/${path("products")}`, {
      asin: [...new Set(boxes.map((box) => box.dataset.asin))],
      size: MOST_SENT,
      user: user(),
    });
    const now = new Map(products.map((product) => [product.asin, product]));
    for (const box of boxes) {
      const product = now.get(box.dataset.asin);
      if (product) showLive(box, product);
    }
  } catch {
    // The next reply is read live anyway.
  }
  boxes.forEach(showReplied);
}

/** The last question, for the owner's panel; empty before the first one. */
export function lastQuestion() {
  return conversation.spoken.findLast((each) => each.role === "user")?.content ?? "";
}
