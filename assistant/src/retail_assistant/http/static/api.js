// Requests to this server only; every address is relative to the page, so that it may be mounted under a path.

import { tell } from "./state.js";

/** A problem document (RFC 9457) or a failed connection, as an error in plain words. */
export class Problem extends Error {
  constructor(status, title, detail, field = "") {
    super(detail);
    this.status = status;
    this.title = title;
    this.field = field;
  }
}

const OFFLINE = "The shop cannot be reached right now. Check your connection, then try again.";

async function sent(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No connection", OFFLINE);
  }
  if (response.status === 401 && !options.headers?.authorization) tell("expired");
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  try {
    const told = await response.json();
    return new Problem(response.status, told.title, told.detail, told.field);
  } catch {
    return new Problem(response.status, "Something went wrong", `The shop answered with status ${response.status}.`);
  }
}

/** Read a JSON document; `query` members that are empty are left out, lists are repeated. */
export async function get(path, query = {}, signal = undefined) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== "" && each !== undefined && each !== null && each !== false) asked.append(name, each);
    }
  }
  const text = asked.toString();
  return (await sent(text ? `${path}?${text}` : path, { signal })).json();
}

/** Write, and return the answer's status and document. What is sent again with the same `key` is written once. */
export async function send(method, path, body, { token = "", key = "" } = {}) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  if (key) headers["idempotency-key"] = key;
  const response = await sent(path, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, document: await response.json() };
}

/** The events of a chat completion, as they arrive. */
export async function* chat(body, signal) {
  const headers = { "content-type": "application/json" };
  const response = await sent("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
    }
  }
}

/** The path of a thing by its name. */
export const path = (...names) => names.map(encodeURIComponent).join("/");
