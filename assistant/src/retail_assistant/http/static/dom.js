// Small helpers to build elements. Data only ever becomes text or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: properties by name (`class`, `on…`, `data-…`, `aria-…` and others), then its children. */
export function make(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Make an SVG element. */
export function draw(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** The element with an id. */
export const el = (id) => document.getElementById(id);

const ICONS = {
  search: ["M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z", "m15.5 15.5 5 5"],
  cart: ["M3 4h2.2l2.1 11h10.4l2-8H6.1", "M9 19.5h.01M16.5 19.5h.01"],
  box: ["M4 7.5 12 3l8 4.5v9L12 21l-8-4.5z", "m4 7.5 8 4.5 8-4.5M12 12v9"],
  tools: ["M4 7h9M19 7h1M4 17h1M11 17h9", "M16 4.5v5M8 14.5v5"],
  chat: ["M5 5h14v10.5H11L6.5 19v-3.5H5z"],
  send: ["M5 12h13", "m12.5 6 6 6-6 6"],
  close: ["m6 6 12 12M18 6 6 18"],
  chevron: ["m7 14.5 5-5 5 5"],
  person: ["M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z", "M4.5 20c.8-4 3.8-5.5 7.5-5.500s6.7 1.5 7.5 5.5"],
  star: ["m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1.1 5.9-5.3-2.9-5.3 2.9 1.1-5.9-4.3-4.1 5.9-.8z"],
};

/** A decorative icon. */
export function icon(name) {
  return draw(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    ICONS[name].map((d) => draw("path", { d })),
  );
}

/** A message in place of content: nothing found, nothing there yet, or something went wrong. */
export function notice(title, text, ...actions) {
  return make("div", { class: "notice" }, make("h2", {}, title), make("p", {}, text), ...actions);
}

/** A message about an error, with a button that tries again. */
export function failure(error, again) {
  const retry = make("button", { type: "button", class: "primary", onclick: again }, "Try again");
  const box = notice(error.title || "Something went wrong", error.message, retry);
  box.setAttribute("role", "alert");
  box.classList.add("error");
  return box;
}

/** A day such as "24 November 2026", from epoch seconds (UTC, as replies count days). */
export function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
}

/** What the shop is called and what it sells, in its own words: `name`, `item`, `anItem` and `items`. */
export const SHOP = document.documentElement.dataset;

/** A price of a computation, which may be far below a cent. */
export const dollars = (usd) => `$${usd.toLocaleString("en", { maximumSignificantDigits: 2 })}`;

/** "1 order", "2 orders". */
export const count = (number, word, words = `${word}s`) => `${number} ${number === 1 ? word : words}`;

/** "1 book", "2 books". */
export const goods = (number) => count(number, SHOP.item, SHOP.items);

/** A word with a capital, for genres and formats. */
export const titled = (word) => word.charAt(0).toUpperCase() + word.slice(1);
