// A product in a list: cover, title, author, live price and stock, and a button that adds it to the cart.

import { addToCart } from "./cart_actions.js";
import { cover } from "./covers.js";
import { make, titled } from "./dom.js";
import { path } from "./api.js";

const FEW = 5;

/** The address of a product's page. */
export const link = (asin) => `#/${path("product", asin)}`;

/** A product's title with its format, if it has one. */
export const called = ({ title, format }) => [title, format].filter(Boolean).join(", ");

/** What a product costs, with its promotion's price if there is one. */
export function price(product, className = "price") {
  const { promotion } = product;
  if (!promotion) return make("p", { class: className }, make("span", { class: "now" }, product.price));
  return make(
    "p",
    { class: `${className} is-reduced` },
    make("span", { class: "visually-hidden" }, "Now "),
    make("span", { class: "now" }, promotion.price),
    make("span", { class: "visually-hidden" }, " instead of "),
    make("s", {}, product.price),
    make("span", { class: "percent" }, `−${promotion.percent} %`),
  );
}

/** How many copies are there, in words. */
export function stock(product) {
  const left = product.quantity;
  const [kind, text] = !left
    ? ["none", "Out of stock"]
    : left <= FEW
      ? ["few", `Only ${left} left`]
      : ["good", "In stock"];
  return make("p", { class: `stock is-${kind}` }, text);
}

/** A button that adds a product to the cart. */
export function adder(product, { text = "Add to cart", className = "" } = {}) {
  return make(
    "button",
    {
      type: "button",
      class: className,
      disabled: product.quantity === 0,
      "aria-label": `${text}: ${called(product)}`,
      onclick: (event) => addToCart(product, event.currentTarget),
    },
    text,
  );
}

/** A product in a list; `heading` is the level of its title, and `why` says why it is recommended. */
export function card(product, heading = "h2", why = "") {
  return make(
    "article",
    { class: "book" },
    make("a", { class: "book-link", href: link(product.asin) }, cover(product), make(heading, {}, product.title)),
    make("p", { class: "byline" }, product.author),
    make(
      "p",
      { class: "kind" },
      [product.format && titled(product.format), titled(product.genre)].filter(Boolean).join(" · "),
    ),
    why && make("p", { class: "told" }, `${titled(why)}.`),
    make("div", { class: "book-foot" }, price(product), stock(product)),
    adder(product),
  );
}
