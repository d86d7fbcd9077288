// "Why this answer": what a reply was made of, step by step.

import { dollars, make } from "./dom.js";

const LANES = {
  batch: ["Prepared ahead", "It was computed ahead of the question, and is still current."],
  event: ["Prepared after a change", "It was computed again when something changed."],
  realtime: ["Answered live", "It was worked out for this question."],
};
const REFUSALS = {
  unsure: "no prepared answer was close enough",
  own_state: "it is about the shopper’s own things",
  context_dependent: "the question depends on what was said before",
  outdated: "something changed while it was being answered",
  another_section: "another section fits better",
  intent_differs: "the prepared answer is about something else",
  complained: "the shopper has complained about the prepared answer",
};
const HEAD = [
  ["Step and lane", ""],
  ["Verdict", ""],
  ["Age", "number"],
  ["Stamp", "number"],
  ["ms", "number"],
];

/** A lane in words. */
export const laneOf = (lane) => LANES[lane]?.[0] ?? lane;

/** The details of one reply, closed at first. */
export function why(made) {
  const [title, text] = LANES[made.lane] ?? [made.lane, ""];
  return make(
    "details",
    {
      class: "why for-owners",
      ontoggle: (event) => {
        if (event.target.open) event.target.scrollIntoView({ block: "nearest" });
      },
    },
    make(
      "summary",
      {},
      make("span", { class: `lane is-${made.lane}` }, made.lane),
      make("span", { class: "why-title" }, "Why this answer"),
      make("span", { class: "why-ms" }, `${made.ms.toFixed(0)} ms`),
    ),
    make(
      "div",
      { class: "why-body" },
      make("p", {}, make("strong", {}, `${title}. `), text),
      made.refusals.length
        ? make(
            "p",
            { class: "refusals" },
            make("strong", {}, "Not from the bank: "),
            made.refusals.map((name) => REFUSALS[name] ?? name.replaceAll("_", " ")).join("; "),
            ".",
          )
        : null,
      make(
        "div",
        { class: "why-table", tabindex: "0", role: "group", "aria-label": "Steps of this answer" },
        table(made.steps),
      ),
      make("dl", {}, ...facts(made)),
    ),
  );
}

function facts(made) {
  const cost = made.cost_usd === null ? "not known" : dollars(made.cost_usd);
  const found = [
    ["Kind", made.intent],
    ["Time", `${made.ms.toFixed(1)} ms`],
    ["Cost", cost],
    ["Answer", made.answer_id],
  ];
  if (made.faq) found.splice(1, 0, ["Bank", made.faq]);
  return found.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
}

function table(steps) {
  const rows = steps.map((step) =>
    make(
      "tr",
      { title: step.reason || null },
      make(
        "th",
        { scope: "row" },
        make("code", {}, step.task),
        " ",
        make("span", { class: `step-lane is-${step.lane}` }, step.lane),
      ),
      make("td", { class: step.verdict === "fresh" ? "" : "is-odd" }, step.verdict),
      make("td", { class: "number" }, age(step.age_s)),
      make("td", { class: "number" }, String(step.stamp)),
      make("td", { class: "number" }, step.ms.toFixed(2)),
    ),
  );
  return make(
    "table",
    {},
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        HEAD.map(([name, kind]) => make("th", { scope: "col", class: kind }, name)),
      ),
    ),
    make("tbody", {}, rows),
  );
}

/** An age such as "now", "12 s", "3 min" or "5 h". */
export function age(seconds) {
  if (seconds < 0.1) return "now";
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(0)} h`;
}
