// The answers of the bank that customers called wrong. The owner checks them, and lets them be given again.

import { send } from "./api.js";
import { day, count, make } from "./dom.js";
import { state } from "./state.js";

/** The panel's content; `change` writes, says what came of it, and returns whether it was done. */
export function complaints(change) {
  const found = make("div", { role: "status" });
  const read = async () => {
    if (!state.token) {
      found.replaceChildren(make("p", { class: "told" }, "Complaints are for operators: enter the operator token first."));
      return;
    }
    try {
      const { document } = await send("GET", "shop/complaints", undefined, { token: state.token });
      found.replaceChildren(list(document.complaints, change, read));
    } catch (error) {
      found.replaceChildren(make("p", { class: "refused" }, error.message));
    }
  };
  read();
  return make("div", {}, found, make("button", { type: "button", onclick: read }, "Show the complaints"));
}

function list(open, change, read) {
  if (!open.length) return make("p", { class: "told" }, "Nobody calls an answer wrong.");
  return make(
    "ul",
    { class: "running" },
    open.map((each) =>
      make(
        "li",
        {},
        make(
          "span",
          {},
          each.answer,
          make(
            "small",
            {},
            `${count(each.known + each.strangers, "complaint")} since ${day(each.since)}; `,
            each.is_withdrawn ? "the bank gives it to nobody" : "the bank does not give it to those who complained",
          ),
        ),
        make(
          "button",
          {
            type: "button",
            "aria-label": `Give ${each.answer} again`,
            onclick: async () => {
              if (await change("DELETE", `shop/complaints/${encodeURIComponent(each.answer)}`)) await read();
            },
          },
          "It is right",
        ),
      ),
    ),
  );
}
