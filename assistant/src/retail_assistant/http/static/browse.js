// The list of products: search, filters by genre, format and price, sorting and pages. All of it is in the address.

import { get } from "./api.js";
import { card } from "./cards.js";
import { failure, goods, make, notice, SHOP, titled } from "./dom.js";
import { home } from "./home.js";
import { user } from "./state.js";

const SORTS = [
  ["", "Featured"],
  ["newest", "Newest"],
  ["price", "Price, lowest first"],
  ["price_desc", "Price, highest first"],
  ["title", "Title"],
];
const SKELETONS = 8;
let shelves = null;

/** The address of the list under some conditions. */
function address(wanted, changed = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...wanted, page: "", ...changed })) if (value) query.set(name, value);
  const text = query.toString();
  return text ? `#/?${text}` : "#/";
}

function go(wanted, changed) {
  location.hash = address(wanted, changed);
}

/** Show the list that an address describes. */
export async function browse(main, query, signal) {
  const wanted = Object.fromEntries(query);
  const results = make("div", { class: "results", "aria-busy": "true" }, skeletons());
  const side = make("div", { class: "filters" });
  const heading = make("h1", { tabindex: "-1" }, headingOf(wanted));
  const told = make("p", { class: "told", role: "status" }, "Looking…");
  const head = make("div", { class: "list-head" }, make("div", {}, heading, told), sorter(wanted));
  main.replaceChildren(
    ...[
      ...(isHome(wanted) ? home(signal) : []),
      make("div", { class: "browse" }, side, make("div", { class: "list" }, head, results)),
    ].filter(Boolean),
  );
  try {
    shelves ??= await get("shop/genres", {}, signal);
    side.replaceChildren(filters(wanted));
    const found = await get(
      "shop/products",
      { ...wanted, max_cents: cents(wanted.max), max: "", user: user() },
      signal,
    );
    told.textContent = said(found, wanted);
    results.replaceChildren(...(found.total ? [grid(found), pages(wanted, found)] : [nothing()]));
  } catch (error) {
    if (error.name === "AbortError") return;
    told.textContent = "";
    results.replaceChildren(failure(error, () => browse(main, query, signal)));
  }
  results.removeAttribute("aria-busy");
}

const isHome = (wanted) => Object.keys(wanted).length === 0;
const cents = (euros) => (euros ? Math.round(100 * Number(euros)) || "" : "");

function headingOf(wanted) {
  if (wanted.search) return `Results for “${wanted.search}”`;
  return wanted.genre ? titled(wanted.genre) : `All ${SHOP.items}`;
}

function said(found, { search = "" }) {
  const pages = found.pages > 1 ? `, page ${found.page} of ${found.pages}` : "";
  if (!found.total) return `No ${SHOP.item}`;
  const number = goods(found.total) + pages;
  if (found.is_closest) return `No ${SHOP.item} has all of these words. The closest: ${number}`;
  const isOther = search && found.searched.toLowerCase() !== search.toLowerCase();
  return isOther ? `Nothing has “${search}”. For “${found.searched}”: ${number}` : number;
}

function skeletons() {
  return make(
    "div",
    { class: "grid", "aria-hidden": "true" },
    Array.from({ length: SKELETONS }, () => make("div", { class: "skeleton" })),
  );
}

function grid(found) {
  return make(
    "ul",
    { class: "grid" },
    found.products.map((product) => make("li", {}, card(product))),
  );
}

function nothing() {
  return notice(
    `No ${SHOP.item} fits`,
    "Try fewer words, or remove a filter.",
    make("a", { class: "button", href: "#/" }, `Show all ${SHOP.items}`),
  );
}

function sorter(wanted) {
  const options = SORTS.map(([value, text]) =>
    make("option", { value, selected: value === (wanted.sort ?? "") }, wanted.search && !value ? "Best match" : text),
  );
  const select = make("select", { id: "sort", onchange: (event) => go(wanted, { sort: event.target.value }) }, options);
  return make("div", { class: "sorter" }, make("label", { for: "sort" }, "Sort by"), select);
}

function choices(name, legend, any, found, wanted) {
  const all = { name: "", products: null };
  return make(
    "fieldset",
    {},
    make("legend", {}, legend),
    make(
      "ul",
      { class: "choices" },
      [all, ...found].map((each) => {
        const isChosen = (wanted[name] ?? "") === each.name;
        const text = each.name ? titled(each.name) : any;
        const number = each.products === null || wanted.search ? null : make("span", { class: "number" }, String(each.products));
        return make(
          "li",
          {},
          make(
            "a",
            { href: address(wanted, { [name]: each.name }), "aria-current": isChosen && "true" },
            make("span", {}, text),
            number,
          ),
        );
      }),
    ),
  );
}

function filters(wanted) {
  const most = Math.ceil(shelves.max_cents / 100),
    least = Math.floor(shelves.min_cents / 100);
  const shown = make("output", { for: "max" }, wanted.max ? `up to ${wanted.max}` : "any");
  const range = make("input", {
    type: "range",
    id: "max",
    min: least,
    max: most,
    step: 1,
    value: wanted.max || most,
    oninput: (event) => {
      shown.textContent = Number(event.target.value) < most ? `up to ${event.target.value}` : "any";
    },
    onchange: (event) => go(wanted, { max: Number(event.target.value) < most ? event.target.value : "" }),
  });
  const inStock = make("input", {
    type: "checkbox",
    checked: Boolean(wanted.in_stock),
    onchange: (event) => go(wanted, { in_stock: event.target.checked ? "true" : "" }),
  });
  return make(
    "details",
    { class: "filter-box", open: matchMedia("(min-width: 60rem)").matches },
    make("summary", {}, "Filter"),
    choices("genre", "Category", "All categories", shelves.genres, wanted),
    shelves.formats.length ? choices("format", "Format", "All formats", shelves.formats, wanted) : null,
    make("div", { class: "range" }, make("label", { for: "max" }, "Price"), shown, range),
    make("label", { class: "check" }, inStock, " In stock only"),
    isHome(wanted) ? null : make("a", { class: "clear", href: "#/" }, "Clear all"),
  );
}

function pages(wanted, found) {
  if (found.pages < 2) return "";
  const step = (to, text) =>
    to >= 1 && to <= found.pages
      ? make("a", { class: "button", href: address(wanted, { page: to > 1 ? String(to) : "" }) }, text)
      : "";
  return make(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    step(found.page - 1, "Previous"),
    make("span", {}, `${found.page} / ${found.pages}`),
    step(found.page + 1, "Next"),
  );
}
