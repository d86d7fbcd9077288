// Who shops: the sign-in page, and the session, which scripts cannot read.

import { get, send } from "./api.js";
import { failure, make, notice } from "./dom.js";
import { setShopper, state } from "./state.js";

let session = { by: "accounts", accounts: [] };
let before = "#/";

/** Read who is signed in; nobody is while the shop does not answer. */
export async function readSession() {
  try {
    session = { accounts: [], ...(await get("shop/session")) };
    setShopper(session.shopper ?? "");
  } catch {
    setShopper("");
  }
}

/** End the session. */
export async function signOut() {
  await send("POST", "shop/sign-out", {});
  setShopper("");
}

/** Open the sign-in page; the reader comes back to where it was asked for. */
export function askToSignIn() {
  before = location.hash || "#/";
  location.hash = "#/sign-in";
}

/** Show the sign-in page; a link that holds a session asks first, because anybody can have made it. */
export async function signIn(main, linked) {
  const heading = make("h1", { tabindex: "-1" }, state.shopper ? `Signed in as ${state.shopper}` : "Sign in");
  if (linked) {
    main.replaceChildren(heading, asked(main, heading, linked));
    return;
  }
  if (session.by !== "accounts") {
    main.replaceChildren(heading, notice("Sign in at the shop", "This shop signs its customers in on its own pages."));
    return;
  }
  main.replaceChildren(heading, form());
}

function asked(main, heading, linked) {
  const name = nameIn(linked);
  const agreed = async () => {
    try {
      await enter({ session: linked });
    } catch (error) {
      main.replaceChildren(heading, failure(error, () => (location.hash = "#/sign-in")));
    }
  };
  const text = state.shopper ? `This link signs you in as ${name} instead of ${state.shopper}.` : `This link signs you in as ${name}.`;
  return notice(
    `Are you ${name}?`,
    `${text} Go on only if you asked for it.`,
    make("button", { type: "button", class: "primary", onclick: agreed }, `Sign in as ${name}`),
  );
}

/** The shopper's name in a session, which only the shop can sign and everybody can read. */
function nameIn(session) {
  try {
    return String(JSON.parse(atob(session.split(".")[0].replaceAll("-", "+").replaceAll("_", "/"))));
  } catch {
    return "somebody";
  }
}

async function enter(body) {
  const { document } = await send("POST", "shop/sign-in", body);
  setShopper(document.shopper);
  location.replace(before.startsWith("#/sign-in") ? "#/" : before);
}

function form() {
  const told = make("p", { role: "alert", class: "error", hidden: true });
  const passphrase = make("input", {
    id: "passphrase",
    type: "password",
    autocomplete: "current-password",
    required: true,
    maxlength: 200,
  });
  const name = whose();
  const entered = async (event) => {
    event.preventDefault();
    told.hidden = true;
    try {
      await enter({ shopper: name.value, passphrase: passphrase.value });
    } catch (error) {
      told.textContent = error.message;
      told.hidden = false;
      passphrase.focus();
    }
  };
  return make(
    "form",
    { class: "panel sign-in", onsubmit: entered },
    make("label", { class: "field" }, make("span", {}, "Account"), name),
    make("label", { class: "field" }, make("span", {}, "Passphrase"), passphrase),
    told,
    make("button", { class: "primary" }, "Sign in"),
    session.accounts.length &&
      make("p", { class: "told" }, "These are test accounts. Their passphrase is printed where the shop was started."),
  );
}

/** The accounts to choose from, or a field for a name where shoppers have accounts of their own. */
function whose() {
  if (session.accounts.length) {
    const choices = session.accounts.map((name) => make("option", {}, name));
    return make("select", { id: "account" }, choices);
  }
  return make("input", { id: "account", autocomplete: "username", required: true, maxlength: 64 });
}
