// What a cart costs, and how far it is from free delivery; the cart and its review show the same.

import { goods, make } from "./dom.js";

/** The rows of goods, delivery and total, and how far it is to free delivery. */
export function totals(found) {
  const { delivery } = found;
  const hasPromotion = found.lines.some((line) => line.product.promotion);
  return [
    row(goods(found.copies), found.books),
    delivery && row("Delivery", costs(delivery)),
    make(
      "p",
      { class: "row total" },
      make("span", {}, "Total"),
      make("span", { id: "total" }, found.total),
    ),
    delivery && delivery.missing !== null && distance(found),
    hasPromotion && make("p", { class: "told" }, "The promotions that run now are taken off."),
  ].filter(Boolean);
}

const costs = ({ cents, is_needed, price }) => (!is_needed ? "Not needed" : cents ? price : price ? "Free" : "—");
const row = (name, value) => make("p", { class: "row" }, make("span", {}, name), make("span", {}, value));

function distance(found) {
  const { delivery } = found;
  const text = delivery.missing_cents
    ? `Another ${delivery.missing} and delivery is free (over ${delivery.free_over}).`
    : `Delivery is free (over ${delivery.free_over}).`;
  return make(
    "div",
    { class: `distance${delivery.missing_cents ? "" : " is-free"}` },
    make("progress", {
      max: delivery.free_over_cents,
      value: Math.min(found.books_cents, delivery.free_over_cents),
      "aria-label": "Distance to free delivery",
    }),
    make("p", { id: "distance" }, text),
  );
}

/** Whether everything in a cart can be bought now. */
export const canBeOrdered = (found) =>
  found.lines.length > 0 && !found.gone.length && found.lines.every((line) => line.product.quantity >= line.quantity);
