// What the shopper was told and is not true any more, shown above every page until it was read.

import { get, path, send } from "./api.js";
import { el, make } from "./dom.js";
import { ask, isSignedIn, on, user } from "./state.js";

const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" });

/** Tell whoever signs in, and whoever is signed in. */
export function startNotices() {
  on("shopper", showNotices);
  showNotices();
}

async function showNotices() {
  const shopper = user();
  el("notices").replaceChildren();
  if (!isSignedIn()) return;
  try {
    const { notices } = await get(`shop/${path("notices", shopper)}`);
    if (shopper === user()) el("notices").replaceChildren(...notices.map((notice) => shown(notice, shopper)));
  } catch {
    // They are told the next time.
  }
}

function shown(notice, shopper) {
  const when = DAY.format(new Date(notice.told_at * 1000));
  const about = notice.about || "something of our shop";
  const read = make("button", { type: "button", onclick: () => seen(notice, shopper, box) }, "I have read this");
  const again = make("button", { type: "button", class: "plain", onclick: () => ask(`What holds for: ${about}?`) }, "Ask again");
  const box = make(
    "section",
    { class: "correction", "aria-label": `Correction: ${about}` },
    make("p", {}, make("strong", {}, "Something that we told you may not be right."), ` On ${when} we answered you about: ${about}, which has been corrected since. `,
      notice.now ? "What holds now:" : "Please ask again before you rely on it."),
    notice.now ? make("blockquote", { tabindex: "0" }, notice.now) : null,
    make("div", { class: "actions" }, read, notice.about ? again : null),
  );
  return box;
}

async function seen(notice, shopper, box) {
  box.remove();
  el("main").focus();
  try {
    await send("DELETE", `shop/${path("notices", shopper, ...notice.tag.split("/"))}`);
  } catch {
    // It is shown again the next time.
  }
}
