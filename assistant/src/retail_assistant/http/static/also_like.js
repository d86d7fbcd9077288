// "You may also like": recommendations for the shopper on a product's page, which is shown without them as well.

import { get, path } from "./api.js";
import { card } from "./cards.js";
import { make } from "./dom.js";
import { user } from "./state.js";
import { age, laneOf } from "./why.js";

const EXPECTED = 5;

/** A section that fills itself. */
export function alsoLike(asin, signal) {
  const skeletons = Array.from({ length: EXPECTED }, () => make("div", { class: "skeleton" }));
  const box = make(
    "section",
    { class: "also", "aria-labelledby": "also", "aria-busy": "true" },
    make("h2", { id: "also" }, "You may also like"),
    make("div", { class: "row-of-books", "aria-hidden": "true" }, skeletons),
  );
  fill(box, asin, signal);
  return box;
}

async function fill(box, asin, signal) {
  try {
    const found = await get(`shop/${path("products", asin, "suggestions")}`, { user: user() }, signal);
    if (!found.products.length) box.remove();
    else box.lastChild.replaceWith(row(found), made(found));
  } catch (error) {
    if (error.name === "AbortError") return;
    box.lastChild.replaceWith(make("p", { class: "told" }, "There are no suggestions right now."));
  }
  box.removeAttribute("aria-busy");
}

const row = (found) =>
  make(
    "ul",
    { class: "row-of-books" },
    found.products.map((product) => make("li", {}, card(product, "h3"), because(found.why[product.asin]))),
  );

/** Why a product is in the list; nothing if neither purchases nor the page say so. */
const because = (why) => (why ? make("p", { class: "told" }, `${why[0].toUpperCase()}${why.slice(1)}.`) : "");

/** How the list was made, as with an answer of the assistant. */
function made(found) {
  const old = age(found.age_s);
  const from = found.reason === "cold_start" ? "From what many readers buy." : "From what you have bought and looked at.";
  return make(
    "p",
    { class: "told made" },
    make("span", { class: `lane is-${found.lane}` }, found.lane),
    ` ${from} ${laneOf(found.lane)} ${old === "now" ? "just now" : `${old} ago`}, and put in order for this page.`,
  );
}
