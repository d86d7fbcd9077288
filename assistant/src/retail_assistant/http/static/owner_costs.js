// What answers cost: dollars by task and lane, and from how many reads on a task is cheaper computed ahead.

import { send } from "./api.js";
import { dollars, draw, make } from "./dom.js";
import { state } from "./state.js";
import { age } from "./why.js";

const SHOWN = 8;
const LANES = { batch: "ahead", event: "after a change", realtime: "on request", serve: "reads from the store" };

/** The panel's content, and a function that reads the costs with the operators' key. */
export function costs() {
  const found = make("div", { class: "costs-found", role: "status" });
  const read = async () => {
    if (!state.token) {
      found.replaceChildren(make("p", { class: "told" }, "Costs are for operators: enter the operator token first."));
      return;
    }
    try {
      const [{ document: spent }, { document: even }] = await Promise.all(
        ["v1/costs", "v1/costs/break-even"].map((path) => send("GET", path, undefined, { token: state.token })),
      );
      found.replaceChildren(breakEven(even.break_evens[0]), ...table(spent.costs));
    } catch (error) {
      found.replaceChildren(make("p", { class: "refused" }, error.message));
    }
  };
  read();
  return make(
    "div",
    { class: "costs" },
    found,
    make("button", { type: "button", onclick: read }, "Show the costs"),
    make("p", { class: "told" }, "Of the last day, at the prices that the shop was started with (BOOK)."),
  );
}

const short = (number) => number.toLocaleString("en", { maximumSignificantDigits: 3 });

/** One sentence and two bars: the reads from which on computing ahead pays, and those of the last day. */
function breakEven(found) {
  if (!found) {
    const text = "No task was computed both ahead and on request in the last week, so nothing can be compared yet.";
    return make("p", { class: "told" }, text);
  }
  const { task, window_s: windowS, reads, reads_a_day: aDay, today } = found;
  if (reads === null) return make("p", {}, `${task} is not cheaper ahead: a stored read costs as much as computing it.`);
  const most = Math.max(aDay, today);
  return make(
    "div",
    { class: "break-even" },
    make(
      "p",
      {},
      make("strong", {}, `${task} is cheaper ahead from ${short(reads)} reads per ${age(windowS)} on`),
      `, which is ${short(aDay)} a day; the last day had ${today.toLocaleString("en")}. `,
      today >= aDay ? "Computing it ahead pays." : "Computing each read would have been cheaper.",
    ),
    ...[
      ["break-even", aDay, "is-even"],
      ["last day", today, ""],
    ].map(([name, value, kind]) => make("div", { class: "cost-bar" }, make("span", {}, name), bar(value / most, kind))),
    make(
      "p",
      { class: "told" },
      `By the last week: ${dollars(found.run_usd)} a run, ${dollars(found.request_usd)} a computed read.`,
    ),
  );
}

function table(rows) {
  const used = rows.filter((row) => row.usd > 0 || row.unpriced);
  if (!used.length) return [make("p", { class: "told" }, "Nothing was computed in the last day.")];
  const priced = used.filter((row) => !row.unpriced);
  const shown = used.filter((row) => row.unpriced || priced.indexOf(row) < SHOWN); // what has no price is always named
  const left = used.filter((row) => !shown.includes(row));
  const total = used.reduce((sum, row) => sum + row.usd, 0);
  const rest = left.reduce((sum, row) => sum + row.usd, 0);
  const without = used.length > priced.length ? ", without what has no price" : "";
  return [
    make("p", {}, "All together ", make("strong", {}, dollars(total)), `${without}.`),
    make("ul", { class: "cost-rows" }, ...shown.map((row) => costRow(row, used[0].usd))),
    left.length ? make("p", { class: "told" }, `${left.length} more: ${dollars(rest)} together.`) : "",
  ];
}

function costRow(row, most) {
  const lane = LANES[row.lane] ?? row.lane;
  return make(
    "li",
    {},
    make("span", {}, make("code", {}, row.task), " ", make("small", {}, lane)),
    make("span", { class: "number" }, row.unpriced && !row.usd ? "not known" : dollars(row.usd)),
    bar(most ? row.usd / most : 0),
    row.unpriced ? make("small", { class: "no-price" }, `No price for ${row.unpriced}`) : null,
  );
}

function bar(share, kind = "") {
  return draw(
    "svg",
    { class: `bar ${kind}`, viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { class: "bar-all", width: 100, height: 4 }),
    draw("rect", { class: "bar-part", width: Math.max(0.5, 100 * share).toFixed(2), height: 4 }),
  );
}
