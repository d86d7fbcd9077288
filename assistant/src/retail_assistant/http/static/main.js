// The page: which view an address shows, the header, and what follows when something changes.

import { browse } from "./browse.js";
import { untoast } from "./cart_actions.js";
import { cart, fill, readCart } from "./cart.js";
import { startChat, uncover } from "./chat.js";
import { checkout } from "./checkout.js";
import { el, goods, make, SHOP, titled } from "./dom.js";
import { handOver } from "./guest_cart.js";
import { help, startFoot } from "./help.js";
import { startNotices } from "./notices.js";
import { orders } from "./orders.js";
import { owner } from "./owner.js";
import { product } from "./product.js";
import { readSession, signIn, signOut } from "./sign_in.js";
import { isSignedIn, on, setProduct, setShopper, setView, state } from "./state.js";

const TITLES = { browse: titled(SHOP.items), cart: "Cart", checkout: "Checkout", orders: "Orders", owner: "Behind the counter",
  "sign-in": "Sign in", help: "Our policies", missing: "No such page" };
const VIEWS = new Set(["browse", "product", "cart", "checkout", "orders", "owner", "sign-in", "help"]);
let leaving = new AbortController();
let hasMoved = false;

/** Show the view of the present address. `stays` keeps the focus and the place where the reader is. */
async function show({ stays = false } = {}) {
  leaving.abort();
  leaving = new AbortController();
  if (!stays) untoast();
  const [where, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "browse", ...rest] = (where || "browse").split("/");
  const view = VIEWS.has(name) ? name : "missing";
  if (view !== "product") setProduct(null);
  setView(view);
  mark(view);
  document.title = `${TITLES[view] ?? titled(SHOP.item)} · ${SHOP.name}`;
  const main = el("main"),
    { signal } = leaving;
  let isPlaced = false;
  main.className = `view-${view}`;
  if (view === "product") {
    state.lastAsin = named(rest[0] ?? "");
    await product(main, state.lastAsin, signal);
  } else if (view === "sign-in") await signIn(main, named(rest[0] ?? ""));
  else if (view === "missing") main.replaceChildren(missing());
  else if (view === "browse") await browse(main, new URLSearchParams(query), signal);
  else if (view === "help") isPlaced = await help(main, rest.map(named), signal);
  else await { cart, checkout, orders, owner }[view](main, signal);
  if (!signal.aborted && !stays && !isPlaced) arrive(main);
}

const missing = () =>
  make(
    "div",
    { class: "notice" },
    make("h1", { tabindex: "-1" }, "There is no such page"),
    make("a", { class: "button", href: "#/" }, `Show all ${SHOP.items}`),
  );

/** A name in an address; one that is not encoded well is taken as it is. */
function named(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Begin at the top, and let screen readers say the heading; not when the page has just been opened. */
function arrive(main) {
  window.scrollTo(0, 0);
  el("shop").scrollTop = 0;
  if (hasMoved) main.querySelector("h1")?.focus({ preventScroll: true });
}

function mark(view) {
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === (view === "checkout" ? "cart" : view)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  el("search").value = view === "browse" ? (query.get("search") ?? "") : "";
}

function showCount(found) {
  const copies = found?.copies ?? 0;
  el("cart-count").textContent = copies ? String(copies) : "";
  el("cart-count").hidden = !copies;
  el("cart-words").textContent = copies ? ` with ${goods(copies)}` : "";
}

async function recount() {
  try {
    showCount(await readCart());
  } catch {
    showCount(null); // the shop does not answer, or the name is none; the cart's own view says why
  }
}

function showShopper() {
  el("shopper-name").textContent = state.shopper || "Sign in";
  el("sign-out").hidden = !state.shopper;
}

function startHeader() {
  el("sign-out").addEventListener("click", async () => {
    await signOut();
    el("shopper").focus();
  });
  el("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const search = el("search").value.trim();
    location.hash = search ? `#/?${new URLSearchParams({ search })}` : "#/";
  });
}

/** The address is taken by the views, so the link to the content moves the focus itself. */
function startSkip() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    el("main").focus();
  });
}

function follow() {
  window.addEventListener("hashchange", () => {
    hasMoved = true;
    uncover();
    show();
  });
  on("shopper", async () => {
    showShopper();
    if (isSignedIn()) await handOver(state.shopper);
    recount();
    if (state.view !== "owner") show({ stays: true });
  });
  on("expired", () => setShopper("")); // the session has ended
  on("counted", showCount);
  on("cart", showCount);
  on("acted", async () => {
    await recount();
    if (state.view === "cart") fill(document.querySelector("#main .cart"), await readCart());
    if (["orders", "checkout"].includes(state.view)) show({ stays: true });
  });
  on("shop", recount);
}

startSkip();
startHeader();
startFoot();
await readSession();
follow();
startChat();
startNotices();
showShopper();
recount();
show();
