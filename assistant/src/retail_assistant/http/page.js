"use strict";
const el = (id) => document.getElementById(id);
const history_ = [];
let busy = false;

function add(parent, tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  parent.append(node);
  return node;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
  }
}

function showMadeOf(parent, made) {
  const line = add(parent, "div", undefined, "made");
  add(line, "span", made.lane, "lane");
  add(line, "span", ` ${made.intent} · ${made.ms.toFixed(0)} ms` + (made.refusals.length ? ` · not from the bank: ${made.refusals.join(", ")}` : ""));
  const details = add(line, "details");
  add(details, "summary", "what it was made of");
  const table = add(details, "table");
  const head = add(table, "tr");
  for (const name of ["task", "lane", "verdict", "age s", "stamp", "ms"]) add(head, "th", name);
  for (const step of made.steps) {
    const row = add(table, "tr");
    for (const cell of [step.task, step.lane, step.verdict, step.age_s.toFixed(1), step.stamp, step.ms.toFixed(2)]) add(row, "td", cell);
  }
}

function showCards(parent, cards) {
  if (!cards.length) return;
  const row = add(parent, "div", undefined, "cards");
  for (const card of cards) {
    const box = add(row, "div", undefined, "card");
    add(box, "b", card.title);
    add(box, "small", `${card.asin} · ${card.genre} · ${card.format}`);
    add(box, "div", `${card.price} · ${card.in_stock ? "in stock" : "out of stock"}`);
    const buy = add(box, "button", "Buy");
    buy.type = "button";
    buy.onclick = () => change("POST", "/shop/purchases", { shopper: el("shopper").value, asin: card.asin });
  }
}

async function ask(message) {
  add(el("log"), "div", message, "turn user");
  const turn = add(el("log"), "div", undefined, "turn");
  const text = add(turn, "div", "…");
  history_.push({ role: "user", content: message });
  const metadata = el("page").value ? { page: el("page").value } : {};
  const body = { model: "retail-assistant", stream: true, user: el("shopper").value || "anonymous", messages: history_.slice(-20), metadata };
  const response = await fetch("/v1/chat/completions", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!response.ok) {
    const problem = await response.json();
    text.textContent = problem.detail;
    text.className = "error";
    history_.pop();
    return;
  }
  let answer = "";
  for await (const event of events(response)) {
    if (event.error) { text.textContent = answer + event.error.message; text.className = "error"; break; }
    answer += event.choices[0].delta.content || "";
    text.textContent = answer || "…";
    if (event.parbake) { showCards(turn, event.parbake.cards); showMadeOf(turn, event.parbake); }
    el("log").scrollTop = el("log").scrollHeight;
  }
  history_.push({ role: "assistant", content: answer });
}

async function change(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (el("token").value) headers.authorization = `Bearer ${el("token").value}`;
  const response = await fetch(path, { method, headers, body: JSON.stringify(body) });
  const answer = await response.json();
  el("ack").className = response.ok ? "" : "error";
  el("ack").textContent = response.ok ? (response.status === 202 ? "committed, and not acknowledged yet" : `acknowledged at ${answer.stamp}`) : answer.detail;
  return response.ok;
}

el("ask").onsubmit = async (event) => {
  event.preventDefault();
  const message = el("message").value.trim();
  if (!message || busy) return;
  busy = true;
  el("message").value = "";
  try { await ask(message); } finally { busy = false; }
};
el("buy").onsubmit = (event) => {
  event.preventDefault();
  change("POST", "/shop/purchases", { shopper: el("shopper").value, asin: event.target.elements.asin.value });
};
el("live").onsubmit = (event) => {
  event.preventDefault();
  const form = event.target, body = {};
  if (form.price.value) body.cents = Math.round(100 * Number(form.price.value));
  if (form.quantity.value) body.quantity = Number(form.quantity.value);
  change("PUT", `/shop/products/${encodeURIComponent(form.asin.value)}`, body);
};
el("promotion").onsubmit = (event) => {
  event.preventDefault();
  const form = event.target, now = Date.now() / 1000;
  const body = { title: form.title.value, category: form.category.value || "*", segment: "all", percent: Number(form.percent.value), starts_at: now - 1, ends_at: now + 60 * Number(form.minutes.value || 60) };
  change("PUT", `/shop/promotions/page-${Math.floor(now)}`, body);
};
el("policy").onsubmit = (event) => {
  event.preventDefault();
  const form = event.target;
  let facts;
  try { facts = JSON.parse(form.facts.value); } catch (error) { el("ack").className = "error"; el("ack").textContent = `facts: ${error.message}`; return; }
  change("PUT", `/shop/policies/${form.elements.id.value}`, { facts, body: form.body.value });
};
async function showPolicy() {
  const form = el("policy");
  const policy = await (await fetch(`/shop/policies/${form.elements.id.value}`)).json();
  form.facts.value = JSON.stringify(policy.facts, null, 1);
  form.body.value = policy.body;
}
(async () => {
  const form = el("policy");
  const { policies } = await (await fetch("/shop/policies")).json();
  for (const policy of policies) add(form.elements.id, "option", policy.title).value = policy.id;
  form.elements.id.onchange = showPolicy;
  if (policies.length) await showPolicy();
})();
