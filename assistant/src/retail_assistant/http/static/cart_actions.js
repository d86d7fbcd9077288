// Changes of the cart, and the short messages that say what happened.

import { path, send } from "./api.js";
import { el, make } from "./dom.js";
import { askToSignIn } from "./sign_in.js";
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

/** Add a copy to the cart; who is not signed in is asked to. */
export async function addToCart(product, button = null) {
  if (!isSignedIn()) {
    toast("Sign in first; your cart waits for you.", { isError: true });
    askToSignIn();
    return;
  }
  if (button) button.setAttribute("aria-busy", "true");
  try {
    const { document: cart } = await send("POST", `shop/${path("carts", user(), "lines")}`, {
      asin: product.asin,
      quantity: 1,
    });
    tell("cart", cart);
    toast(`${product.title} is in your cart.`, { action: make("a", { href: "#/cart" }, "View cart") });
  } catch (error) {
    toast(error.message, { isError: true });
  } finally {
    if (button) button.removeAttribute("aria-busy");
  }
}

/** Set how many copies the cart holds, and return the cart; `null` if that was refused. */
export async function setInCart(asin, quantity) {
  try {
    const { document: cart } = await send("PUT", `shop/${path("carts", state.shopper, "lines", asin)}`, { quantity });
    tell("cart", cart);
    return cart;
  } catch (error) {
    toast(error.message, { isError: true });
    return null;
  }
}
