// Changes of the cart, and the short messages that say what happened.

import { path, send } from "./api.js";
import { el, make } from "./dom.js";
import * as guest from "./guest_cart.js";
import { isSignedIn, state, tell, user } from "./state.js";

const SHOWN_MS = 5000;
let hiding = 0;

/** Show a short message, which screen readers say. */
export function toast(text, { isError = false, action = null } = {}) {
  clearTimeout(hiding);
  const box = el("toast");
  box.className = isError ? "is-shown error" : "is-shown";
  box.replaceChildren(make("span", {}, text), ...(action ? [action] : []));
  hiding = setTimeout(() => box.classList.remove("is-shown"), SHOWN_MS);
}

/** Hide the message, for example because the reader went on. */
export function untoast() {
  el("toast").classList.remove("is-shown");
}

/** Add a copy to the cart. */
export async function addToCart(product, button = null) {
  if (button) button.setAttribute("aria-busy", "true");
  try {
    tell("cart", isSignedIn() ? await added(product.asin) : await guest.add(product.asin));
    toast(`${product.title} is in your cart.`, { action: make("a", { href: "#/cart" }, "View cart") });
  } catch (error) {
    toast(error.message, { isError: true });
  } finally {
    if (button) button.removeAttribute("aria-busy");
  }
}

const added = async (asin) =>
  (await send("POST", `shop/${path("carts", user(), "lines")}`, { asin, quantity: 1 })).document;

/** Set how many copies the cart holds, and return the cart; `null` if that was refused. */
export async function setInCart(asin, quantity) {
  try {
    const address = `shop/${path("carts", state.shopper, "lines", asin)}`;
    const cart = isSignedIn() ? (await send("PUT", address, { quantity })).document : await guest.set(asin, quantity);
    tell("cart", cart);
    return cart;
  } catch (error) {
    toast(error.message, { isError: true });
    return null;
  }
}
