// The first page: what the shopper may like, and what sells.

import { make, SHOP } from "./dom.js";
import { row } from "./rows.js";
import { isSignedIn } from "./state.js";

const POPULAR = "What most shoppers buy right now.";
const YOURS = "From what you have bought and looked at.";

/** What stands above the list of all products on the first page. */
export function home(signal) {
  return [
    make(
      "section",
      { class: "hero", "aria-label": "Welcome" },
      make("p", { class: "hero-title" }, `Find your next favourite ${SHOP.item}.`),
      make("p", {}, "Browse the shelves, or ask the assistant about prices, stock, orders and returns."),
    ),
    isSignedIn() && row("for-you", "For you", "shop/suggestions", toldOf, signal),
    row("popular", "Popular right now", "shop/trending", () => "", signal),
  ];
}

/** Where recommendations come from: from the shopper's own past, if there is one. */
export const toldOf = (found) => (found.reason === "cold_start" ? POPULAR : YOURS);
