// The cart: lines, total and the distance to free delivery.

import { get, path } from "./api.js";
import { link } from "./cards.js";
import { setInCart } from "./cart_actions.js";
import { canBeOrdered, totals } from "./cart_summary.js";
import { cover } from "./covers.js";
import * as guest from "./guest_cart.js";
import { count, failure, make, notice, SHOP, titled } from "./dom.js";
import { askToSignIn } from "./sign_in.js";
import { ask, isSignedIn, tell, user } from "./state.js";

const MOST = 99;

/** Read the cart: the shopper's, or the one that this browser keeps. */
export async function readCart(signal) {
  if (!isSignedIn()) return guest.read(signal);
  return get(`shop/${path("carts", user(), "summary")}`, {}, signal);
}

/** Show the cart. */
export async function cart(main, signal) {
  const heading = make("h1", { tabindex: "-1" }, "Your cart");
  const box = make(
    "div",
    { class: "cart", "aria-busy": "true" },
    make("p", { class: "told" }, "Looking into your cart…"),
  );
  main.replaceChildren(heading, box);
  try {
    const found = await readCart(signal);
    fill(box, found);
    tell("counted", found);
  } catch (error) {
    if (error.name !== "AbortError") box.replaceChildren(failure(error, () => cart(main, signal)));
  }
}

/** Fill the view again from a cart that was read or changed elsewhere. */
export function fill(box, found) {
  box.removeAttribute("aria-busy");
  if (!found.lines.length && !found.gone.length) box.replaceChildren(empty());
  else {
    const lines = [...found.gone.map((line) => goneOf(box, line)), ...found.lines.map((line) => lineOf(box, line))];
    box.replaceChildren(make("ul", { class: "lines" }, lines), summary(found));
  }
}

const button = (text, onclick, className = "") => make("button", { type: "button", class: className, onclick }, text);

const empty = () =>
  notice(
    "Your cart is empty",
    `${titled(SHOP.items)} that you add wait here for you.`,
    make("a", { class: "button primary", href: "#/" }, `Browse ${SHOP.items}`),
    button("Ask for a recommendation", () => ask("Can you recommend me something?")),
  );

/** A product that the shop has stopped selling: it can only be removed. */
function goneOf(box, line) {
  return make(
    "li",
    { class: "line is-gone" },
    make(
      "div",
      { class: "line-what" },
      make("h2", {}, line.title),
      make("p", { class: "stock is-none" }, "No longer sold"),
    ),
    make("div", { class: "stepper" }, remover(box, line.asin, line.title)),
  );
}

function remover(box, asin, title) {
  const remove = async () => {
    const found = await setInCart(asin, 0);
    if (!found) return;
    fill(box, found);
    document.querySelector("main h1").focus();
  };
  const named = { type: "button", class: "plain", "aria-label": `Remove ${title}`, onclick: remove };
  return make("button", named, "Remove");
}

function lineOf(box, line) {
  const item = line.product;
  const change = async (quantity, name) => {
    const found = await setInCart(item.asin, quantity);
    if (!found) return;
    fill(box, found);
    const again = box.querySelector(`[data-step="${CSS.escape(item.asin)} ${name}"]:not(:disabled)`);
    (again ?? document.querySelector("main h1")).focus();
  };
  const step = (text, name, to) =>
    make(
      "button",
      {
        type: "button",
        class: "step",
        "data-step": `${item.asin} ${name}`,
        disabled: to > MOST || (to > line.quantity && to > item.quantity),
        "aria-label": `${name} of ${item.title}`,
        onclick: () => change(to, name),
      },
      text,
    );
  return make(
    "li",
    { class: "line" },
    make("a", { href: link(item.asin), "aria-hidden": "true", tabindex: "-1" }, cover(item)),
    make(
      "div",
      { class: "line-what" },
      make("h2", {}, make("a", { href: link(item.asin) }, item.title)),
      make("p", { class: "kind" }, `${item.author}${item.format ? ` · ${titled(item.format)}` : ""}`),
      item.quantity < line.quantity &&
        make("p", { class: "stock is-few" }, item.quantity ? `Only ${item.quantity} in stock` : "Out of stock by now"),
      item.promotion && make("p", { class: "promotion" }, `${item.promotion.title}: ${line.each} each instead of ${item.price}`),
    ),
    make(
      "p",
      { class: "line-price" },
      make("strong", {}, line.price),
      line.quantity > 1 ? make("small", {}, `${line.each} each`) : null,
    ),
    make(
      "div",
      { class: "stepper" },
      step("−", "One less", line.quantity - 1),
      make("span", { "aria-label": count(line.quantity, "copy").replace("copys", "copies") }, String(line.quantity)),
      step("+", "One more", line.quantity + 1),
      remover(box, item.asin, item.title),
    ),
  );
}

function goToCheckout() {
  location.hash = "#/checkout";
  if (!isSignedIn()) askToSignIn();
}

function summary(found) {
  return make(
    "section",
    { class: "summary", "aria-labelledby": "summary" },
    make("h2", { id: "summary" }, "Summary"),
    ...totals(found),
    canBeOrdered(found)
      ? button(isSignedIn() ? "Checkout" : "Sign in to check out", goToCheckout, "primary")
      : make("p", { class: "told" }, "Some of this cannot be bought now. Lower its number or remove it, and then check out."),
    isSignedIn() && button("Ask about my cart", () => ask("What is in my cart?")),
  );
}
