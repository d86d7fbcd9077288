// The owner's panel: change the shop, see the change acknowledged, and ask again.

import { get, path, send } from "./api.js";
import { lastQuestion } from "./chat.js";
import { day, el, make, SHOP, titled } from "./dom.js";
import { complaints } from "./owner_complaints.js";
import { costs } from "./owner_costs.js";
import { policyForm } from "./owner_policy.js";
import { ask, setToken, state, tell, user } from "./state.js";

const LOOK_MS = 1000,
  LOOKS = 30;
const MINUTE_S = 60;
const PRICE = "\\s*[0-9]{1,6}([.,][0-9]{1,2})?\\s*";

/** Show the panel. */
export async function owner(main, signal) {
  const promotions = make("ul", { class: "running" });
  main.replaceChildren(
    make("h1", { tabindex: "-1" }, "Behind the counter"),
    make("p", { class: "lead" }, "Change something, then ask the assistant again: the very next answer follows."),
    make("p", { id: "ack", role: "status" }),
    make(
      "div",
      { class: "owner" },
      section("Policy", policyForm(change, complain, signal)),
      make(
        "div",
        {},
        section("Price and stock", liveForm(signal)),
        section("Promotion", promotionForm(signal, promotions), promotions),
        section("Sell", sellForm()),
        section("Operator", tokenField()),
        section("Called wrong by customers", complaints(change)),
      ),
      section("What answers cost", costs()),
    ),
  );
  await showPromotions(promotions, signal);
}

const section = (title, ...content) => make("section", { class: "panel" }, make("h2", {}, title), ...content);

/** A labelled field. */
function field(label, properties) {
  return make(
    "label",
    { class: "field" },
    make("span", {}, label),
    make("input", { autocomplete: "off", ...properties }),
  );
}

function tokenField() {
  return make(
    "div",
    {},
    field("Operator token", {
      id: "token",
      type: "password",
      value: state.token,
      placeholder: "the operators' key",
      oninput: (event) => {
        setToken(event.target.value.trim());
      },
    }),
    make(
      "p",
      { class: "told" },
      "Printed where the shop was started. It is forgotten when the page is left. "
        + "With it, the page shows what each answer was made of.",
    ),
  );
}

/** Write, say that it is acknowledged, and let the page follow. */
async function change(method, where, body) {
  say("Writing…");
  try {
    const { status, document } = await send(method, where, body, { token: state.token });
    if (status === 202) await follow(document);
    else
      say(
        document.acked === null
          ? `Done, live at once; acknowledged at ${document.stamp}`
          : `Change acknowledged at ${document.stamp}: no answer from before it is served any more`,
        true,
      );
    tell("shop");
    return true;
  } catch (error) {
    complain(error.status === 401 ? "Enter the operator token first; the field is under Operator." : error.message);
    return false;
  }
}

async function follow(told) {
  say("Committed, and not acknowledged yet…");
  for (let i = 0; told.ask && i < LOOKS; i += 1) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const { is_acknowledged: isAcknowledged } = await get(told.ask.replace(/^\//, ""));
    if (isAcknowledged) {
      say(`Change acknowledged at position ${told.position}`, true);
      return;
    }
  }
}

function say(text, isDone = false) {
  const question = lastQuestion();
  const again =
    isDone && question
      ? make("button", { type: "button", onclick: () => ask(question) }, `Ask again: ${question}`)
      : null;
  el("ack").className = isDone ? "is-done" : "";
  el("ack").replaceChildren(make("span", {}, text), ...(again ? [again] : []));
}

function complain(text) {
  el("ack").className = "error";
  el("ack").replaceChildren(make("span", {}, text));
}

function liveForm(signal) {
  const form = make(
    "form",
    { id: "live" },
    field("Product number", { name: "asin", required: true, value: state.lastAsin ?? "", placeholder: "B000001" }),
    field("Price", { name: "price", inputmode: "decimal", pattern: PRICE, title: "A price such as 5.99" }),
    field("Copies in stock", { name: "quantity", type: "number", min: "0", step: "1" }),
    make("button", { class: "primary" }, "Set"),
    make("p", { class: "told" }, "An empty field stays as it is."),
  );
  const { asin, price, quantity } = form.elements;
  const read = async () => {
    const asked = asin.value;
    price.value = quantity.value = "";
    if (!asked) return;
    const found = await get(`shop/${path("products", asked.trim())}`, {}, signal).catch(() => null);
    if (found === null || asked !== asin.value) return; // unknown, or another product was typed meanwhile
    price.value ||= (found.cents / 100).toFixed(2); // what was typed meanwhile stays
    quantity.value ||= found.quantity;
  };
  asin.addEventListener("change", read);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = {};
    if (price.value) body.cents = Math.round(100 * Number(price.value.replace(",", ".")));
    if (quantity.value) body.quantity = Number(quantity.value);
    change("PUT", `shop/${path("products", asin.value.trim())}`, body);
  });
  read();
  return form;
}

function promotionForm(signal, list) {
  const genres = make(
    "select",
    { name: "category", id: "promotion-category" },
    make("option", { value: "*" }, `All ${SHOP.items}`),
  );
  const form = make(
    "form",
    { id: "promotion" },
    field("Title", { name: "title", required: true, placeholder: "Weekend sale" }),
    make("div", { class: "field" }, make("label", { for: "promotion-category" }, "On"), genres),
    field("Percent off", { name: "percent", type: "number", min: "1", max: "90", required: true }),
    field("Minutes", { name: "minutes", type: "number", min: "1", value: "60" }),
    make("button", { class: "primary" }, "Start"),
  );
  get("shop/genres", {}, signal).then(
    (found) => genres.append(...found.genres.map((genre) => make("option", { value: genre.name }, titled(genre.name)))),
    () => {},
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { title, percent, minutes } = form.elements,
      now = Date.now() / 1000;
    const body = {
      title: title.value,
      category: genres.value,
      segment: "all",
      percent: Number(percent.value),
      starts_at: now - 1,
      ends_at: now + MINUTE_S * Number(minutes.value || MINUTE_S),
    };
    if (await change("PUT", `shop/promotions/page-${Math.floor(now)}`, body)) await showPromotions(list, signal);
  });
  return form;
}

/** What a promotion takes off, on what, for whom and until when. */
function terms({ percent, category, segment, ends_at: ends }) {
  const what = category === "*" ? "everything" : category;
  return ` −${percent} % on ${what}${segment === "all" ? "" : ` for ${segment}`}, until ${day(ends)}`;
}

async function showPromotions(list, signal) {
  try {
    const { promotions } = await get("shop/promotions", {}, signal);
    list.replaceChildren(
      ...promotions.map((each) =>
        make(
          "li",
          {},
          make("span", {}, each.title, make("small", {}, terms(each))),
          make(
            "button",
            {
              type: "button",
              "aria-label": `End ${each.title}`,
              onclick: async () => {
                if (await change("DELETE", `shop/${path("promotions", each.id)}`)) await showPromotions(list, signal);
              },
            },
            "End",
          ),
        ),
      ),
    );
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
}

function sellForm() {
  const form = make(
    "form",
    { id: "buy" },
    field("Product to sell", { name: "asin", required: true, value: state.lastAsin ?? "", placeholder: "B000001" }),
    make("button", { class: "primary" }, "Sell one copy"),
    make(
      "p",
      { class: "told" },
      "To whoever is signed in on this page. It leaves the stock and the next recommendations.",
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    change("POST", "shop/purchases", { shopper: user(), asin: form.elements.asin.value.trim() });
  });
  return form;
}
