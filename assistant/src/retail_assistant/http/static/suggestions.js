// Questions to click, by what is on the screen and by the last reply.

import { SHOP } from "./dom.js";
import { state } from "./state.js";

const SEND_BACK = `How many days do I have to send ${SHOP.anItem} back?`;
const BY_VIEW = {
  browse: [
    "Can you recommend me something?",
    "Which promotions run right now?",
    SEND_BACK,
  ],
  product: ["How much is this?", "What do customers say about it?", "Add this to my cart"],
  series: ["How much is this?", "What do customers say about it?", "Which volumes are there?", "Add this to my cart"],
  cart: ["What is in my cart?", "How much is delivery?", "How can I pay?"],
  checkout: ["How much is delivery?", "How can I pay?", "Can I cancel an order?"],
  placed: ["Where is my order?", "Can I still cancel my order?", "How many points do I have?"],
  orders: ["Where is my order?", "Can I still cancel my order?", "How many points do I have?"],
  owner: [SEND_BACK, "How much is delivery?", "Which promotions run right now?"],
};
const FEWER = 3;
const CONFIRM = /\b(?:yes or no|shall i)\b/i;

/** What to suggest after a reply, or before the first one. */
export function suggestions(reply = "") {
  if (CONFIRM.test(reply)) return ["Yes", "No"];
  const found = BY_VIEW[state.product ? (state.product.volume ? "series" : "product") : state.view] ?? BY_VIEW.browse;
  return reply ? found.slice(0, FEWER) : found;
}
