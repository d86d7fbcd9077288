// Signs in and out, sends what buttons say, marks an answer as stale, and brings pages that live up to date.

const api = document.body.dataset.api;
const told = document.getElementById("told");

async function send(method, path, body) {
  const answer = await fetch(api + path, {
    method,
    headers: body ? { "content-type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const found = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(found.detail ?? found.title ?? `the server answered ${answer.status}`);
  return found;
}

function onSubmit(id, act) {
  document.getElementById(id)?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    try {
      await act(event.target);
    } catch (error) {
      told.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit("sign-in", async (form) => {
  await send("POST", "/v1/session", { token: form.elements.token.value });
  const seen = await fetch(`${api}/console/freshness`, { redirect: "manual" });
  if (seen.type === "opaqueredirect") throw new Error("The browser did not keep the session: use https.");
  location.assign(`${api}/console/freshness`);
});

onSubmit("complain", async (form) => {
  const body = { answer_id: form.dataset.answer, reason: form.elements.reason.value };
  const done = await send("POST", "/v1/feedback", body);
  told.textContent = done.touched?.length ? `${done.effect}: ${done.touched.join(", ")}` : done.effect;
});

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await send("DELETE", "/v1/session");
  location.assign(`${api}/console/sign-in`);
});

// Buttons that send something; one may ask for a word first.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-send]");
  if (!button) return;
  const [method, path] = button.dataset.send.split(" ");
  const body = button.dataset.body ? JSON.parse(button.dataset.body) : undefined;
  if (button.dataset.ask) {
    const word = prompt(button.dataset.question);
    if (!word) return;
    body[button.dataset.ask] = word;
  }
  button.disabled = true;
  try {
    await send(method, path, body);
    location.reload();
  } catch (error) {
    told.textContent = error.message;
    button.disabled = false;
  }
});

// A page that lives is fetched again, unless nobody looks at it, or somebody holds on to a part of it.
const live = document.querySelector("main[data-live]");
if (live) {
  setInterval(async () => {
    if (document.hidden || (live !== document.activeElement && live.contains(document.activeElement))) return;
    if (!document.getSelection().isCollapsed) return;
    try {
      const answer = await fetch(location.href);
      if (answer.redirected) location.reload();
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (!answer.ok || !next) throw new Error(`the server answered ${answer.status}`);
      const places = [...live.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      live.replaceChildren(...next.childNodes);
      live.querySelectorAll(".scroll").forEach((one, n) => (one.scrollLeft = places[n] ?? 0));
      told.textContent = "";
    } catch (error) {
      told.textContent = `This page is not up to date: ${error.message}`;
    }
  }, 1000 * Number(live.dataset.live));
}
