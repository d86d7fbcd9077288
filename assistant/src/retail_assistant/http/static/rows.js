// Rows of products that fill themselves: beside a product, and on the first page. The page is shown without them as well.

import { get } from "./api.js";
import { card } from "./cards.js";
import { make } from "./dom.js";
import { user } from "./state.js";
import { age, laneOf } from "./why.js";

const EXPECTED = 5;

/** A row under a heading; `from` is where its products are, `told` says where they come from. */
export function row(id, heading, from, told, signal) {
  const skeletons = Array.from({ length: EXPECTED }, () => make("div", { class: "skeleton" }));
  const box = make(
    "section",
    { class: "also", "aria-labelledby": id, "aria-busy": "true" },
    make("h2", { id }, heading),
    make("div", { class: "row-of-books", "aria-hidden": "true" }, skeletons),
  );
  fill(box, from, told, signal);
  return box;
}

async function fill(box, from, told, signal) {
  try {
    const found = await get(from, { user: user() }, signal);
    if (!found.products.length) box.remove();
    else box.lastChild.replaceWith(list(found), made(found, told));
  } catch (error) {
    if (error.name === "AbortError") return;
    box.lastChild.replaceWith(make("p", { class: "told" }, "There are no suggestions right now."));
  }
  box.removeAttribute("aria-busy");
}

const list = (found) =>
  make(
    "ul",
    { class: "row-of-books" },
    found.products.map((product) => make("li", {}, card(product, "h3", found.why[product.asin]))),
  );

/** Where the list comes from, and for owners how it was made, as with an answer of the assistant. */
function made(found, told) {
  const old = age(found.age_s),
    words = told(found);
  return make(
    "p",
    { class: words ? "told made" : "told made for-owners" },
    words,
    make(
      "span",
      { class: "for-owners" },
      " ",
      make("span", { class: `lane is-${found.lane}` }, found.lane),
      ` ${laneOf(found.lane)} ${old === "now" ? "just now" : `${old} ago`}.`,
    ),
  );
}
