// What stands under an answer of the bank: the whole policy, and a way to say that the answer is wrong.

import { send } from "./api.js";
import { make } from "./dom.js";
import { source } from "./help.js";
import { isSignedIn, user } from "./state.js";

/** The line under a reply; nothing if the reply is not an answer of the bank. */
export function doubts(made) {
  if (!made.faq) return "";
  const told = make("span", { role: "status" });
  const button = make("button", { type: "button", class: "plain", onclick: () => complain(made, button, told) }, "Was this wrong?");
  return make("p", { class: "doubts" }, source(made.faq), isSignedIn() && button, told);
}

async function complain(made, button, told) {
  button.disabled = true;
  try {
    await send("POST", "shop/complaints", { shopper: user(), answer: made.faq, answer_id: made.answer_id });
    button.remove();
    told.textContent = "Thank you. Somebody will check this answer.";
  } catch (error) {
    button.disabled = false;
    told.textContent = error.message;
  }
}
