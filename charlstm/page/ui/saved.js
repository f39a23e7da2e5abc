/** What stays when the page is loaded again: the tree of texts, and the settings. It is kept in this browser only. */
import { passage, TYPED } from "./tree.js";
import { plain } from "./views/branches.js";

const KEY = `charlstm ${location.pathname}`;

/**
 * @param {import("./session.js").Session} session
 * @returns {string} what a person should know, if it could not be kept
 */
export function keep({ root, model, settings, caret }) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ v: 1, tree: plain(root), model, settings, caret }));
    return "";
  } catch {
    return "This browser keeps nothing more: save the text as a file.";
  }
}

/** @returns {{root: import("./tree.js").Passage, model: string, settings: Record<string, any>, caret: number} | null} */
export function kept() {
  try {
    const { v, tree, model, settings, caret } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return v === 1 ? { root: fromPlain(tree), model, settings, caret } : null;
  } catch {
    return null; // of another version, or a browser that keeps nothing
  }
}

/** @param {any} tree @returns {import("./tree.js").Passage} */
function fromPlain({ text, drawn, starred = false, ways = [], chosen = 0 }) {
  const characters = Array.from(text);
  /** @type {boolean[]} */
  const flags = drawn.flatMap((/** @type {number} */ length, /** @type {number} */ k) => Array(length).fill(k % 2 === 1));
  const marks = characters.map((_, k) => ({ ...TYPED, drawn: flags[k] ?? false }));
  return passage(characters, marks, { starred, ways: ways.map(fromPlain), chosen });
}
