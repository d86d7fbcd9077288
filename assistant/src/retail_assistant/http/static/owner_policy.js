// The form for a policy: one field per fact, and the text with its placeholders.

import { get, path } from "./api.js";
import { make, titled } from "./dom.js";

/** Facts as the shop stores them: numbers, yes or no, or text. */
const KINDS = {
  number: { type: "number", step: "any", min: "0" },
  boolean: { type: "checkbox" },
  string: { type: "text" },
};

/** The form; `change` writes and `complain` says why it cannot. */
export function policyForm(change, complain, signal) {
  const select = make("select", { name: "id", id: "policy-id" });
  const facts = make("fieldset", { class: "policy-facts" }, make("legend", {}, "Facts"));
  const body = make("textarea", { name: "body", rows: "9", spellcheck: "false" });
  const save = make("button", { class: "primary", disabled: true }, "Save");
  const form = make(
    "form",
    { id: "policy" },
    make("div", { class: "field" }, make("label", { for: "policy-id" }, "Policy"), select),
    facts,
    make("label", { class: "field" }, make("span", {}, "Text"), body),
    make(
      "p",
      { class: "told" },
      "{window_days} in the text stands for the fact of that name. An emptied fact is removed.",
    ),
    save,
  );
  let shown = {};
  const show = async () => {
    const id = select.value;
    save.disabled = true; // the fields are still those of the policy before
    const policy = await get(`shop/${path("policies", id)}`, {}, signal);
    if (id !== select.value) return; // another policy was chosen meanwhile
    save.disabled = false;
    shown = policy.facts;
    facts.replaceChildren(make("legend", {}, "Facts"), ...Object.entries(policy.facts).map(factField), added());
    body.value = policy.body;
  };
  const guarded = () => show().catch((error) => error.name === "AbortError" || complain(error.message));
  select.addEventListener("change", guarded);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const told = { facts: changed(facts, shown), body: body.value };
    if (await change("PUT", `shop/${path("policies", select.value)}`, told)) await guarded();
  });
  get("shop/policies", {}, signal).then(
    ({ policies }) => {
      select.append(...policies.map((policy) => make("option", { value: policy.id }, policy.title)));
      if (policies.length) guarded();
    },
    (error) => error.name === "AbortError" || complain(error.message),
  );
  return form;
}

function factField([name, value]) {
  const kind = KINDS[typeof value] ?? KINDS.string;
  const input = make("input", {
    ...kind,
    name: `fact:${name}`,
    autocomplete: "off",
    value: kind.type === "checkbox" ? undefined : String(value),
    checked: value === true,
  });
  return make("label", { class: "field" }, make("span", {}, titled(name.replaceAll("_", " "))), input);
}

function added() {
  return make(
    "details",
    {},
    make("summary", {}, "Add a fact"),
    make(
      "label",
      { class: "field" },
      make("span", {}, "Name"),
      make("input", { name: "new-name", autocomplete: "off", pattern: "[a-z][a-z0-9_]*", placeholder: "window_days" }),
    ),
    make(
      "label",
      { class: "field" },
      make("span", {}, "Value"),
      make("input", { name: "new-value", autocomplete: "off" }),
    ),
  );
}

/** The facts that differ from the stored ones; `null` removes one. */
function changed(facts, shown) {
  const told = {};
  for (const input of facts.querySelectorAll("input[name^='fact:']")) {
    const name = input.name.slice("fact:".length);
    const value = input.type === "checkbox" ? input.checked : valueOf(input.value, input.type);
    if (value !== shown[name]) told[name] = value;
  }
  const name = facts.querySelector("[name='new-name']")?.value.trim();
  if (name) told[name] = valueOf(facts.querySelector("[name='new-value']").value, "");
  return told;
}

function valueOf(text, type) {
  if (text === "") return null;
  if (type === "number") return Number(text);
  if (type === "text") return text;
  if (text === "true" || text === "false") return text === "true";
  return Number.isFinite(Number(text)) ? Number(text) : text;
}
