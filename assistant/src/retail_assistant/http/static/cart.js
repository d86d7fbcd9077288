// The cart: lines, total and the distance to free delivery.

import { get, path } from "./api.js";
import { link } from "./cards.js";
import { setInCart } from "./cart_actions.js";
import { cover } from "./covers.js";
import { count, failure, make, notice, titled } from "./dom.js";
import { ask, isSignedIn, tell, user } from "./state.js";

const MOST = 99;

/** Read the cart; an empty one for a shopper without a name. */
export async function readCart(signal) {
  if (!isSignedIn()) return null;
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
    if (found) tell("counted", found);
  } catch (error) {
    if (error.name !== "AbortError") box.replaceChildren(failure(error, () => cart(main, signal)));
  }
}

/** Fill the view again from a cart that was read or changed elsewhere. */
export function fill(box, found) {
  box.removeAttribute("aria-busy");
  if (!found) {
    box.replaceChildren(
      notice(
        "Who is shopping?",
        "Type a name under Shopper to have a cart.",
        button("Say who you are", () => document.getElementById("shopper").focus()),
      ),
    );
    return;
  }
  if (!found.lines.length) {
    box.replaceChildren(
      notice(
        "Your cart is empty",
        "Books that you add wait here for you.",
        make("a", { class: "button primary", href: "#/" }, "Browse books"),
        button("Ask for a recommendation", () => ask("Can you recommend me something to read?")),
      ),
    );
    return;
  }
  box.replaceChildren(
    make(
      "ul",
      { class: "lines" },
      found.lines.map((line) => lineOf(box, line)),
    ),
    summary(found),
  );
}

const button = (text, onclick) => make("button", { type: "button", onclick }, text);

function lineOf(box, line) {
  const item = line.product;
  const change = async (quantity, name) => {
    const found = await setInCart(item.asin, quantity);
    if (!found) return;
    fill(box, found);
    const again = quantity ? box.querySelector(`[data-step="${CSS.escape(item.asin)} ${name}"]:not(:disabled)`) : null;
    (again ?? document.querySelector("main h1")).focus();
  };
  const step = (text, name, to) =>
    make(
      "button",
      {
        type: "button",
        class: "step",
        "data-step": `${item.asin} ${name}`,
        disabled: to > MOST,
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
      item.promotion && make("p", { class: "promotion" }, `${item.promotion.title}: ${item.promotion.price} each`),
    ),
    make(
      "p",
      { class: "line-price" },
      make("strong", {}, line.price),
      line.quantity > 1 ? make("small", {}, `${item.price} each`) : null,
    ),
    make(
      "div",
      { class: "stepper" },
      step("−", "One less", line.quantity - 1),
      make("span", { "aria-label": count(line.quantity, "copy").replace("copys", "copies") }, String(line.quantity)),
      step("+", "One more", line.quantity + 1),
      make(
        "button",
        { type: "button", class: "plain", "aria-label": `Remove ${item.title}`, onclick: () => change(0, "") },
        "Remove",
      ),
    ),
  );
}

function summary(found) {
  const hasPromotion = found.lines.some((line) => line.product.promotion);
  return make(
    "section",
    { class: "summary", "aria-labelledby": "summary" },
    make("h2", { id: "summary" }, "Summary"),
    make("p", { class: "row" }, make("span", {}, count(found.copies, "book")), make("span", {}, found.total)),
    found.delivery &&
      make(
        "p",
        { class: "row" },
        make("span", {}, "Delivery"),
        make("span", {}, found.delivery.is_free ? "Free" : (found.delivery.fee ?? "—")),
      ),
    make(
      "p",
      { class: "row total" },
      make("span", {}, "Total of the books"),
      make("span", { id: "total" }, found.total),
    ),
    found.delivery && distance(found),
    hasPromotion && make("p", { class: "told" }, "These are list prices; promotions are not taken off here."),
    button("Ask about my cart", () => ask("What is in my cart?")),
  );
}

function distance(found) {
  const { delivery } = found;
  const text = delivery.is_free
    ? `Delivery is free (over ${delivery.free_over}).`
    : `Another ${delivery.missing} and delivery is free (over ${delivery.free_over}).`;
  return make(
    "div",
    { class: `distance${delivery.is_free ? " is-free" : ""}` },
    make("progress", {
      max: delivery.free_over_cents,
      value: Math.min(found.cents, delivery.free_over_cents),
      "aria-label": "Distance to free delivery",
    }),
    make("p", { id: "distance" }, text),
  );
}
