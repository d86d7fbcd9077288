// The checkout: the cart as it is now to look at once more, and then the order's number.

import { path, send } from "./api.js";
import { readCart } from "./cart.js";
import { toast } from "./cart_actions.js";
import { canBeOrdered, totals } from "./cart_summary.js";
import { failure, goods, make, notice, SHOP, titled } from "./dom.js";
import { parcel } from "./parcel.js";
import { isSignedIn, newSession, setView, tell } from "./state.js";

const UNPAID = "This is a demo: it takes no payment.";

/** Show what would be ordered. A cart that cannot be ordered as it is says why in its own view. */
export async function checkout(main, signal) {
  const box = make(
    "div",
    { class: "checkout", "aria-busy": "true" },
    make("p", { class: "told" }, "Looking into your cart…"),
  );
  main.replaceChildren(make("h1", { tabindex: "-1" }, "Review your order"), box);
  try {
    const found = await readCart(signal);
    if (!isSignedIn() || !canBeOrdered(found)) location.replace("#/cart");
    else review({ main, box, found, signal });
  } catch (error) {
    if (error.name !== "AbortError") box.replaceChildren(failure(error, () => checkout(main, signal)));
  }
}

/** Show a cart with the button that orders it. The button's key makes one order, however often it is sent. */
function review(view, said = "") {
  const key = newSession();
  const problem = make("p", { class: "refused", role: "alert", tabindex: "-1" }, said);
  const order = make("button", { class: "primary" }, "");
  const shown = make("div", { class: "totals" });
  const chosen = parcel(view.found, (sending) => {
    const found = sending ? sentBy(sending, view.found) : view.found;
    order.textContent = `Place the order for ${found.total}`;
    shown.replaceChildren(...totals(found));
  });
  const placing = (event) => {
    event.preventDefault();
    place(view, key, order, problem, chosen.read());
  };
  view.box.removeAttribute("aria-busy");
  const form = make(
    "form",
    { onsubmit: placing },
    make("ul", { "aria-label": `${titled(SHOP.items)} in this order` }, view.found.lines.map(lineOf)),
    ...chosen.fields,
    shown,
    make("p", { class: "told" }, UNPAID),
    problem,
    make("div", { class: "actions" }, order, make("a", { class: "button", href: "#/cart" }, "Back to the cart")),
  );
  view.box.replaceChildren(form);
  if (said) problem.focus();
}

function lineOf(line) {
  const { title, promotion } = line.product;
  const off = promotion ? ` (−${promotion.percent} %)` : "";
  return make(
    "li",
    { class: "row" },
    make("span", {}, line.quantity > 1 ? `${line.quantity} × ${title}, ${line.each} each${off}` : `${title}${off}`),
    make("span", {}, line.price),
  );
}

async function place(view, key, order, problem, { sending, address }) {
  if (order.hasAttribute("aria-busy")) return;
  order.setAttribute("aria-busy", "true");
  problem.textContent = "";
  const { shopper, cents } = view.found;
  const body = sending ? { total_cents: sending.total_cents, sending: sending.name, address } : { total_cents: cents };
  try {
    const sent = await send("POST", `shop/${path("carts", shopper, "checkout")}`, body, { key });
    placed(view, sent.document.number, sending?.total ?? view.found.total);
  } catch (error) {
    if (view.signal.aborted) toast(sentence(error.message), { isError: true });
    else if (error.field === "total_cents") await lookAgain(view, problem, error);
    else say(problem, sentence(error.message));
  }
  order.removeAttribute("aria-busy");
}

/** The cart costs something else by now: show it again, with both totals. */
async function lookAgain(view, problem, error) {
  try {
    const found = await readCart(view.signal);
    const text = `The total was ${view.found.total}, and is ${found.total} now. Nothing was ordered yet.`;
    if (canBeOrdered(found)) review({ ...view, found }, text);
    else location.replace("#/cart");
  } catch {
    say(problem, sentence(error.message));
  }
}

/** A cart as it costs when it is sent in some way; only standard delivery may become free. */
const sentBy = ({ name, cents, price, total }, found) =>
  name === "standard" ? found : { ...found, total, delivery: { ...found.delivery, is_needed: true, cents, price, missing: null } };

function say(problem, text) {
  problem.textContent = text;
  problem.focus();
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.?$/, ".")}`;
const toOrders = (className = "") => make("a", { class: className, href: "#/orders" }, "See your orders");

/** Say the order's number; the shopper may be elsewhere by now. */
function placed({ main, found, signal }, number, total) {
  tell("cart", { copies: 0 });
  if (signal.aborted) {
    toast(`Order ${number} is placed.`, { action: toOrders() });
    return;
  }
  const heading = make("h1", { tabindex: "-1" }, "Thank you");
  const what = `${goods(found.copies)} for ${total}. ${UNPAID}`;
  const browse = make("a", { class: "button", href: "#/" }, `Browse ${SHOP.items}`);
  main.replaceChildren(heading, notice(`Order ${number} is placed`, what, toOrders("button primary"), browse));
  setView("placed");
  heading.focus();
}
