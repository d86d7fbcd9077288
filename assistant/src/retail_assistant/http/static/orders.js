// The shopper's orders with their states and lines. Changes are asked of the assistant, which confirms them first.

import { get, path } from "./api.js";
import { link } from "./cards.js";
import { count, day, failure, make, notice, SHOP } from "./dom.js";
import { askToSignIn } from "./sign_in.js";
import { ask, isSignedIn, user } from "./state.js";

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
