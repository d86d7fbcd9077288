// What the whole page shares: who shops, which product is open, and the events that views listen to.

const bus = new EventTarget();

/** The name that the shop gives to nobody. */
export const ANONYMOUS = "anonymous";

export const state = {
  shopper: "",
  product: null,
  view: "browse",
  token: "",
};

/** Whether a shopper is signed in. */
export const isSignedIn = () => state.shopper !== "" && state.shopper !== ANONYMOUS;

/** The shopper's name for requests. */
export const user = () => state.shopper || ANONYMOUS;

/** Another shopper is signed in; empty means that nobody is. */
export function setShopper(name) {
  if (name === state.shopper) return;
  state.shopper = name;
  tell("shopper");
}

/** Set the operators' key; with one, the page shows what is for owners only. */
export function setToken(token) {
  state.token = token;
  document.documentElement.classList.toggle("is-owner", token !== "");
}

/** Set which product is open, the context of the chat; `null` if none is. */
export function setProduct(product) {
  state.product = product;
  tell("context");
}

/** Set which view is shown. */
export function setView(view) {
  state.view = view;
  tell("context");
}

/** Tell the page that something happened: `shopper`, `context`, `cart`, `shop` (its owner changed it), `ask`, `expired`. */
export function tell(name, detail = undefined) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Call a function whenever one of some things happens. */
export function on(names, call) {
  for (const name of names.split(" ")) bus.addEventListener(name, (event) => call(event.detail));
}

/** Put a question to the assistant. */
export const ask = (question) => tell("ask", question);

/** A name that cannot be guessed, for a conversation; `randomUUID` exists only under HTTPS and on this machine. */
export function newSession() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
