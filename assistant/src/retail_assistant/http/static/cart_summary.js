// What a cart costs, and how far it is from free delivery; the cart and its review show the same.

import { count, make } from "./dom.js";

/** The rows of books, delivery and total, and how far it is to free delivery. */
export function totals(found) {
  const { delivery } = found;
  const hasPromotion = found.lines.some((line) => line.product.promotion);
  return [
    row(count(found.copies, "book"), found.total),
    delivery && row("Delivery", delivery.is_free ? "Free" : (delivery.fee ?? "—")),
    make(
      "p",
      { class: "row total" },
      make("span", {}, "Total of the books"),
      make("span", { id: "total" }, found.total),
    ),
    delivery && distance(found),
    hasPromotion && make("p", { class: "told" }, "The promotions that run now are taken off."),
  ].filter(Boolean);
}

const row = (name, value) => make("p", { class: "row" }, make("span", {}, name), make("span", {}, value));

function distance(found) {
  const { delivery } = found;
  const text = delivery.is_free
    ? `Delivery is free (over ${delivery.free_over}).`
    : `Another ${delivery.missing} and delivery is free (over ${delivery.free_over}).`;
  return make(
    "div",
    { class: `distance${delivery.is_free ? " is-free" : ""}` },
    make("progress", {
      max: delivery.free_over_cents,
      value: Math.min(found.cents, delivery.free_over_cents),
      "aria-label": "Distance to free delivery",
    }),
    make("p", { id: "distance" }, text),
  );
}

/** Whether everything in a cart can be bought now. */
export const canBeOrdered = (found) =>
  found.lines.length > 0 && !found.gone.length && found.lines.every((line) => line.product.quantity >= line.quantity);
