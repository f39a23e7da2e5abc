/** All ways that were written, as a tree. */
import { byId, element } from "../dom.js";
import { bitsPerCharacter } from "../marks.js";
import { path } from "../tree.js";

const EXCERPT = 60;

/** @param {HTMLElement} panel @param {import("../session.js").Session} session */
export function branchesView(panel, session) {
  const begin = () => {
    session.begin("");
    byId("area").focus();
  };
  const tree = element("ul", { role: "tree", "aria-label": "Branches" });
  const note = element("p", { class: "soft" });
  const row = element(
    "div",
    { class: "row" },
    element("button", { type: "button", onclick: () => save("text.json", JSON.stringify(plain(session.root), null, 1)) }, "Save as JSON"),
    element("button", { type: "button", onclick: () => save("text.md", markdown(session.root)) }, "Save as Markdown"),
    element("button", { type: "button", onclick: begin }, "New text"),
  );
  panel.replaceChildren(element("h2", {}, "Branches"), note, tree, row);
  tree.addEventListener("keydown", (event) => onKey(event, tree, session));
  /** @type {import("../tree.js").Passage | null} */
  let shown = null;
  return () => {
    if (panel.hidden || shown === session.root) return;
    shown = session.root;
    const chosen = new Set(path(session.root).map(({ id }) => id));
    const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest("[role=treeitem]"))?.dataset.id;
    tree.replaceChildren(item(session.root, session, chosen, 1));
    note.textContent = session.root.ways.length ? "Nothing that was written is lost. Enter goes to a way, s stars it, Delete removes it." : "One text so far. Take another letter, or edit what was written, and both stay.";
    const again = focused && tree.querySelector(`[data-id="${focused}"]`);
    if (again) /** @type {HTMLElement} */ (again).focus();
    else tree.querySelector("[role=treeitem]")?.setAttribute("tabindex", "0");
  };
}

/** @param {import("../tree.js").Passage} passage @param {import("../session.js").Session} session @param {Set<number>} chosen @param {number} level @returns {HTMLElement} */
function item(passage, session, chosen, level) {
  const text = passage.characters.join("").replaceAll("\n", " ↵ ").trim();
  const bits = bitsPerCharacter(passage.marks.filter(({ drawn }) => drawn));
  const made = element(
    "li",
    { role: "treeitem", "aria-level": String(level), "aria-selected": String(chosen.has(passage.id)), "data-id": String(passage.id), tabIndex: -1 },
    element(
      "div",
      { class: "item", onclick: () => session.visit(passage.id) },
      element("span", {}, passage.starred ? "★" : ""),
      element("span", { class: "excerpt" }, text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text || "(nothing yet)"),
      element("small", {}, Number.isNaN(bits) ? "" : `${bits.toFixed(2)} bits`),
    ),
  );
  if (passage.ways.length) {
    made.setAttribute("aria-expanded", "true");
    made.append(element("ul", { role: "group" }, ...passage.ways.map((way) => item(way, session, chosen, level + 1))));
  }
  return made;
}

/** @param {KeyboardEvent} event @param {HTMLElement} tree @param {import("../session.js").Session} session */
function onKey(event, tree, session) {
  const items = /** @type {HTMLElement[]} */ ([...tree.querySelectorAll("[role=treeitem]")]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  if (at < 0) return;
  const id = Number(items[at].dataset.id);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to !== undefined) items[Math.max(0, Math.min(items.length - 1, to))].focus();
  else if (event.key === "Enter") session.visit(id);
  else if (event.key === "s") session.star(id);
  else if (event.key === "Delete" && id !== session.root.id) session.prune(id);
  else return;
  event.preventDefault();
}

/** A tree without what can be computed again. @param {import("../tree.js").Passage} passage @returns {any} */
export function plain({ characters, marks, ways, chosen, starred }) {
  return {
    text: characters.join(""),
    drawn: runs(marks.map(({ drawn }) => drawn)),
    ...(starred ? { starred } : {}),
    ...(ways.length ? { chosen, ways: ways.map(plain) } : {}),
  };
}

/** The lengths of runs of equal values, the first one of false. @param {boolean[]} values */
function runs(values) {
  const lengths = [0];
  let current = false;
  for (const value of values) {
    if (value === current) lengths[lengths.length - 1]++;
    else {
      lengths.push(1);
      current = value;
    }
  }
  return lengths;
}

/** @param {import("../tree.js").Passage} root */
function markdown(root) {
  /** @param {import("../tree.js").Passage} passage @param {string} before @param {string} number @returns {string} */
  const texts = (passage, before, number) => {
    const text = before + passage.characters.join("");
    if (!passage.ways.length) return `## ${number || "Text"}${passage.starred ? " ★" : ""}\n\n${text}\n`;
    return passage.ways.map((way, k) => texts(way, text, number ? `${number}.${k + 1}` : String(k + 1))).join("\n");
  };
  return texts(root, "", "");
}

/** @param {string} name @param {string | ArrayBuffer} text */
export function save(name, text) {
  const url = URL.createObjectURL(new Blob([text]));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
