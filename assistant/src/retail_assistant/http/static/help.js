// The shop's policies, as customers read them: one page for each, and the links to them at the foot of every page.

import { get, path } from "./api.js";
import { el, failure, make, SHOP } from "./dom.js";
import { on } from "./state.js";

const address = (id, part = "") => `#/${path("help", id, ...(part ? [part] : []))}`;

/** Fill the foot of the page with links to the policies, now and whenever the shop changes. */
export async function startFoot() {
  on("shop", foot);
  await foot();
}

async function foot() {
  try {
    const { policies } = await get("shop/policies");
    el("help").replaceChildren(
      make("ul", {}, policies.map(({ id, title }) => make("li", {}, make("a", { href: address(id) }, title)))),
    );
  } catch {
    el("help").replaceChildren(); // the page is complete without them
  }
}

/** A link to the section of a policy that an answer states; `answer` is such as `returns#how-long`. */
export function source(answer) {
  const [id, part] = answer.split("#");
  return make("a", { class: "source", href: address(id, part) }, "Read the whole policy");
}

/** Show a policy, and begin at one of its sections; returns whether it has that section. */
export async function help(main, [id = "", part = ""], signal) {
  const box = make("div", { class: "policy", "aria-busy": "true" });
  const heading = make("h1", { tabindex: "-1" }, "Our policies");
  main.replaceChildren(heading, box);
  try {
    const found = await get(`shop/${path("policies", id)}`, {}, signal);
    heading.textContent = found.title;
    document.title = `${found.title} · ${SHOP.name}`;
    box.replaceChildren(...found.sections.map(section));
    const wanted = part ? box.querySelector(`#${CSS.escape(`section-${part}`)}`) : null;
    box.removeAttribute("aria-busy");
    wanted?.querySelector("h2").focus();
    return Boolean(wanted);
  } catch (error) {
    if (error.name !== "AbortError") box.replaceChildren(failure(error, () => help(main, [id, part], signal)));
  }
  box.removeAttribute("aria-busy");
  return false;
}

const section = ({ id, title, text }) =>
  make(
    "section",
    { id: `section-${id}`, "aria-labelledby": `title-${id}` },
    make("h2", { id: `title-${id}`, tabindex: "-1" }, title),
    text.split(/\n{2,}/).map((part) => make("p", {}, part)),
  );
