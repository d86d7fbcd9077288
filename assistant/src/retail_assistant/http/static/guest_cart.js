// The cart of somebody who is not signed in: this browser keeps it until its shopper signs in.

import { get, path, send } from "./api.js";

const KEPT = "cart";
const MOST = 99;

/** The copies of each product; none if the browser keeps nothing. */
export function lines() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    return Object.fromEntries(Object.entries(found).filter(([, copies]) => Number.isInteger(copies) && copies > 0));
  } catch {
    return {};
  }
}

/** Read what the cart costs. */
export const read = (signal) =>
  get("shop/basket", { line: Object.entries(lines()).map(([asin, copies]) => `${asin}:${copies}`) }, signal);

/** Set how many copies the cart holds, and return the cart. */
export async function set(asin, copies) {
  const kept = { ...lines(), [asin]: Math.min(copies, MOST) };
  if (!copies) delete kept[asin];
  localStorage.setItem(KEPT, JSON.stringify(kept));
  return read();
}

/** Add a copy, and return the cart. */
export const add = (asin) => set(asin, (lines()[asin] ?? 0) + 1);

/** Put everything into the cart of the shopper who has signed in; what cannot be added stays out. */
export async function handOver(shopper) {
  const kept = Object.entries(lines());
  localStorage.removeItem(KEPT);
  for (const [asin, quantity] of kept) {
    await send("POST", `shop/${path("carts", shopper, "lines")}`, { asin, quantity }).catch(() => null);
  }
}
