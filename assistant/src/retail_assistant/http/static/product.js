// A product's page, which is also the context of the chat.

import { get, path } from "./api.js";
import { adder, link, price, stock } from "./cards.js";
import { invite } from "./chat.js";
import { cover } from "./covers.js";
import { count, day, failure, icon, make, notice, SHOP, titled } from "./dom.js";
import { toldOf } from "./home.js";
import { row } from "./rows.js";
import { setProduct, user } from "./state.js";

const LOW = 5;
const MANY = 1000;
const LONGEST = 40;

/** Show a product. */
export async function product(main, asin, signal) {
  main.replaceChildren(
    make(
      "div",
      { class: "product", "aria-busy": "true" },
      make("div", { class: "skeleton cover" }),
      make("p", { class: "told", role: "status" }, `Opening the ${SHOP.item}…`),
    ),
  );
  try {
    const found = await get(`shop/${path("products", asin, "page")}`, { user: user() }, signal);
    setProduct(found.product);
    document.title = `${found.product.title} · ${SHOP.name}`;
    main.replaceChildren(trail(found.product), body(found), below(found, signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    setProduct(null);
    const again = () => product(main, asin, signal);
    main.replaceChildren(error.status === 404 ? unknown(asin) : failure(error, again));
  }
}

function unknown(asin) {
  const text = `No ${SHOP.item} has the number ${asin.slice(0, LONGEST)}. It may not be sold any more.`;
  const box = notice(`We do not sell that ${SHOP.item}`, text, make("a", { class: "button primary", href: "#/" }, `All ${SHOP.items}`));
  box.setAttribute("role", "alert");
  return box;
}

function trail(item) {
  return make(
    "nav",
    { class: "trail", "aria-label": "You are here" },
    make("a", { href: "#/" }, `All ${SHOP.items}`),
    make("span", { "aria-hidden": "true" }, "/"),
    item.genre && make("a", { href: `#/?${new URLSearchParams({ genre: item.genre })}` }, titled(item.genre)),
    item.genre && make("span", { "aria-hidden": "true" }, "/"),
    make("span", { "aria-current": "page" }, item.title),
  );
}

function body(found) {
  const item = found.product;
  return make(
    "article",
    { class: "product" },
    cover(item),
    make(
      "div",
      { class: "facts" },
      make("h1", { tabindex: "-1" }, item.title),
      item.author &&
        make(
          "p",
          { class: "byline" },
          "by ",
          make("a", { href: `#/?${new URLSearchParams({ search: item.author })}` }, item.author),
        ),
      found.reviews &&
        make(
          "p",
          { class: "rating" },
          stars(found.reviews.average),
          ` ${found.reviews.average.toFixed(1)} from ${count(found.reviews.count, "review")}`,
        ),
      editions(found),
      price(item, "price is-big"),
      item.promotion &&
        make("p", { class: "promotion" }, `${item.promotion.title}, until ${day(item.promotion.ends_at)}`),
      stock(item),
      make("p", { class: "copies" }, item.quantity > LOW && item.quantity < MANY ? `${item.quantity} left` : ""),
      make(
        "div",
        { class: "actions" },
        adder(item, { className: "primary" }),
        make("button", { type: "button", onclick: invite }, icon("chat"), "Ask about it"),
      ),
      make("p", { class: "description" }, found.description || "There is no description yet."),
      make(
        "dl",
        { class: "details" },
        item.genre && detail("Category", titled(item.genre)),
        item.format && detail("Format", titled(item.format)),
        item.volume > 0 && detail("Volume", String(item.volume)),
        detail("Number", item.asin),
      ),
    ),
  );
}

const detail = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));

function editions(found) {
  if (found.editions.length < 2) return null;
  return make(
    "ul",
    { class: "editions", "aria-label": "Editions" },
    found.editions.map((each) =>
      make(
        "li",
        {},
        make(
          "a",
          { href: link(each.asin), "aria-current": each.asin === found.product.asin && "page" },
          make("span", {}, titled(each.format)),
          make("strong", {}, each.promotion ? each.promotion.price : each.price),
        ),
      ),
    ),
  );
}

function below(found, signal) {
  const { asin } = found.product;
  return make("div", { class: "below" }, reviews(found.reviews), volumes(found), row("also", "You may also like", `shop/${path("products", asin, "suggestions")}`, toldOf, signal));
}

function stars(average) {
  const full = Math.round(average);
  return make(
    "span",
    { class: "stars", role: "img", "aria-label": `${average.toFixed(1)} of 5 stars` },
    Array.from({ length: 5 }, (_, i) => make("span", { class: i < full ? "is-full" : "" }, icon("star"))),
  );
}

function reviews(summary) {
  const box = make(
    "section",
    { class: "reviews", "aria-labelledby": "reviews" },
    make("h2", { id: "reviews" }, "What customers say"),
  );
  if (!summary) {
    box.append(make("p", { class: "told" }, `Nobody has reviewed this ${SHOP.item} yet.`));
    return box;
  }
  const quotes = [
    ...summary.praise.map((text) => ["praise", text]),
    ...summary.criticism.map((text) => ["criticism", text]),
  ];
  box.append(
    make(
      "p",
      { class: "average" },
      make("strong", {}, summary.average.toFixed(1)),
      stars(summary.average),
      make("span", {}, count(summary.count, "review")),
    ),
    ...quotes.map(([kind, text]) => make("blockquote", { class: kind }, text)),
    make(
      "p",
      { class: "told" },
      summary.lane === "realtime" ? "Summarised just now." : "Summarised ahead, from the readers’ own sentences.",
    ),
  );
  return box;
}

function volumes(found) {
  if (found.volumes.length < 2) return null;
  const here = found.product.volume;
  return make(
    "section",
    { class: "volumes", "aria-labelledby": "volumes" },
    make("h2", { id: "volumes" }, `All ${found.volumes.length} volumes`),
    make(
      "ul",
      { class: "shelf" },
      found.volumes.map((each) =>
        make(
          "li",
          {},
          make(
            "a",
            { href: link(each.asin), "aria-current": each.volume === here && "page" },
            cover(each),
            make("span", {}, `Volume ${each.volume}`),
            make("small", {}, each.quantity ? (each.promotion?.price ?? each.price) : "Out of stock"),
          ),
        ),
      ),
    ),
  );
}
