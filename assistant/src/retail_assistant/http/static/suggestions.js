// Questions to click, by what is on the screen and by the last reply.

import { state } from "./state.js";

const BY_VIEW = {
  browse: [
    "Can you recommend me something to read?",
    "Which promotions run right now?",
    "How many days do I have to send a book back?",
  ],
  product: ["How much is this?", "What do readers say about it?", "Which volumes are there?", "Add this to my cart"],
  cart: ["What is in my cart?", "How much is delivery?", "How can I pay?"],
  checkout: ["How much is delivery?", "How can I pay?", "Can I cancel an order?"],
  placed: ["Where is my order?", "Can I still cancel my order?", "How many points do I have?"],
  orders: ["Where is my order?", "Can I still cancel my order?", "How many points do I have?"],
  owner: ["How many days do I have to send a book back?", "How much is delivery?", "Which promotions run right now?"],
};
const FEWER = 3;
const CONFIRM = /\b(?:yes or no|shall i)\b/i;

/** What to suggest after a reply, or before the first one. */
export function suggestions(reply = "") {
  if (CONFIRM.test(reply)) return ["Yes", "No"];
  const found = BY_VIEW[state.product ? "product" : state.view] ?? BY_VIEW.browse;
  return reply ? found.slice(0, FEWER) : found;
}
