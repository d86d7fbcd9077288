// The shopper's orders with their states and lines. Changes are asked of the assistant, which confirms them first.

import { get, path, send } from "./api.js";
import { link } from "./cards.js";
import { count, day, failure, make, notice, SHOP } from "./dom.js";
import { addressField, WAYS } from "./parcel.js";
import { askToSignIn } from "./sign_in.js";
import { ask, isSignedIn, tell, user } from "./state.js";

const STATES = {
  placed: "Placed",
  packed: "Packed",
  shipped: "On its way",
  delivered: "Delivered",
  cancelled: "Cancelled",
  returning: "On its way back",
  returned: "Returned",
};
const STEPS = ["placed", "packed", "shipped", "delivered"];

/** Show the orders. */
export async function orders(main, signal) {
  const box = make(
    "div",
    { class: "orders", "aria-busy": "true" },
    make("p", { class: "told" }, "Looking for your orders…"),
  );
  const told = make("p", { class: "told" });
  main.replaceChildren(make("h1", { tabindex: "-1" }, "Your orders"), told, box);
  if (!isSignedIn()) {
    box.replaceChildren(
      notice(
        "Who is shopping?",
        "Sign in to see your orders.",
        make("button", { type: "button", class: "primary", onclick: askToSignIn }, "Sign in"),
      ),
    );
  } else {
    try {
      const found = await get(`shop/${path("orders", user())}`, {}, signal);
      told.textContent = found.orders.length
        ? `${count(found.orders.length, "order")} · ${count(found.points, "loyalty point")}`
        : "";
      box.replaceChildren(
        ...(found.orders.length
          ? found.orders.map(orderOf)
          : [
              notice(
                "No orders yet",
                "What you order appears here, with its state.",
                make("a", { class: "button primary", href: "#/" }, `Browse ${SHOP.items}`),
              ),
            ]),
      );
    } catch (error) {
      if (error.name === "AbortError") return;
      box.replaceChildren(failure(error, () => orders(main, signal)));
    }
  }
  box.removeAttribute("aria-busy");
}

function orderOf(order) {
  const asks = (text, question) =>
    make(
      "button",
      { type: "button", "aria-label": `${text}: order ${order.number}`, onclick: () => ask(question) },
      text,
    );
  return make(
    "article",
    { class: "order", "aria-labelledby": `order-${order.number}` },
    make(
      "header",
      {},
      make(
        "div",
        {},
        make("h2", { id: `order-${order.number}` }, `Order ${order.number}`),
        make("p", { class: "told" }, order.placed_at ? day(order.placed_at) : "Day not known"),
      ),
      make("p", { class: `state is-${order.state}` }, STATES[order.state] ?? order.state),
    ),
    STEPS.includes(order.state) && order.state !== "delivered" ? progress(order.state) : null,
    make(
      "ul",
      {},
      order.lines.map((line) =>
        make(
          "li",
          {},
          make("a", { href: link(line.asin) }, line.title),
          make("span", { class: "times" }, line.quantity > 1 ? `${line.quantity} ×` : ""),
          make("span", {}, line.price),
        ),
      ),
    ),
    make(
      "footer",
      {},
      make(
        "p",
        {},
        "Total ",
        make("strong", {}, order.total),
        order.delivery_cents ? make("span", { class: "told" }, ` · Delivery ${order.delivery}`) : null,
        order.tracking ? make("span", { class: "told" }, ` · Tracking ${order.tracking}`) : null,
      ),
      where(order),
      order.state === "returning" && comingBack(order),
      make(
        "div",
        { class: "actions" },
        order.can_cancel && asks("Cancel", `Please cancel order ${order.number}`),
        order.can_return && asks("Return", `I want to return order ${order.number}`),
        STEPS.includes(order.state) && asks("Where is it?", `Where is order ${order.number}?`),
      ),
    ),
  );
}

/** Where an order goes, and how; until it is packed, the address can be changed. */
function where(order) {
  if (!order.sending && !order.address) return null;
  const to = make("p", { class: "told" }, [WAYS[order.sending], order.address.replaceAll("\n", ", ")].filter(Boolean).join(" · "));
  if (!order.can_cancel) return to;
  const told = make("p", { class: "refused", role: "alert" });
  const address = addressField(order.address);
  const saved = (event) => {
    event.preventDefault();
    change(order, { address: address.value }, told);
  };
  const form = make(
    "form",
    { onsubmit: saved },
    make("label", { class: "field" }, make("span", {}, `New address for order ${order.number}`), address),
    told,
    make("button", { class: "primary" }, "Save the address"),
  );
  return make("div", { class: "where" }, to, make("details", {}, make("summary", {}, "Change the address"), form));
}

/** What comes back: its label to print, and whether money or a new copy is wanted for it. */
function comingBack(order) {
  const told = make("p", { class: "refused", role: "alert" });
  const wanted = order.in_return || "refund";
  const choice = (value, text) =>
    make(
      "label",
      { class: "way" },
      make("input", {
        type: "radio",
        name: `return-${order.number}`,
        checked: wanted === value,
        onchange: () => change(order, { in_return: value }, told, { stays: true }),
      }),
      make("span", {}, text),
    );
  return make(
    "div",
    { class: "where" },
    make(
      "fieldset",
      { class: "ways" },
      make("legend", {}, "What would you like for it?"),
      choice("refund", "The money back"),
      choice("exchange", "A new copy"),
    ),
    told,
    make("button", { type: "button", onclick: () => printLabel(order) }, "Print the return label"),
  );
}

async function change(order, body, told, { stays = false } = {}) {
  told.textContent = "";
  try {
    await send("PUT", `shop/${path("orders", user(), order.number)}`, body);
    if (!stays) tell("acted");
  } catch (error) {
    told.textContent = error.message;
  }
}

/** Print nothing of the page but the label. */
function printLabel(order) {
  const label = make(
    "section",
    { id: "label", "aria-label": "Return label" },
    make("p", {}, `Return to ${SHOP.name}`),
    make("p", { class: "number" }, order.number),
    make("p", {}, `From: ${order.address.replaceAll("\n", ", ") || order.shopper}`),
    make("p", {}, order.lines.map((line) => `${line.quantity} × ${line.title}`).join(", ")),
  );
  document.body.append(label);
  window.addEventListener("afterprint", () => label.remove(), { once: true });
  window.print();
}

function progress(now) {
  const reached = STEPS.indexOf(now);
  return make(
    "ol",
    { class: "progress", "aria-label": `State: ${STATES[now]}` },
    STEPS.map((state, i) =>
      make("li", { class: i <= reached ? "is-done" : "", "aria-current": i === reached && "step" }, STATES[state]),
    ),
  );
}
