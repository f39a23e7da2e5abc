/** The keys, and what can be seen, in a dialog. */
import { byId, element } from "./dom.js";

const KEYS = [
  ["Ctrl Enter", "write on at the caret; again: stop"],
  ["Ctrl Shift Enter", "three ways on, side by side; 1, 2 or 3 takes one"],
  ["Esc", "stop; close what is open"],
  ["Alt ↓  Alt ↑", "the next or previous way at the fork left of the caret"],
  ["Ctrl .", "the letters that could stand at the caret: ↑ ↓ and Enter, or type the one you want"],
  ["Ctrl Z  Ctrl Shift Z", "undo and redo: typing, writing, branching"],
  ["F6", "the next part of the page"],
];
const SEEN = [
  ["Colours", "The stronger the colour behind a letter, the more it surprised the network. What it did not write itself is bold."],
  ["Bars", "The letters that may come next. Take one, and the text goes on from it; what stood there is kept as another way."],
  ["Rules", "What the text keeps to from the caret on: a regular expression, how lines begin and how long they are, which words, rhymes."],
  ["Fan", "Every likely future at once, each as tall as it is likely."],
  ["Branches", "Everything that was ever written here, as a tree."],
  ["Mix", "Several networks write together; the knob says how much each of them counts."],
  ["Units", "Single cells that follow something, such as quotation marks. Hold one at a value, and watch what it does."],
  ["Inside", "Gates and cells of a layer, live, a column for each letter."],
];
const LEARN = ["Learn", "Paste a text, and the network learns it, here in the browser."];

/** @param {boolean} learns whether the page can learn */
export function keysDialog(learns) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
  const rows = KEYS.map(([keys, words]) =>
    element("tr", {}, element("td", {}, ...keys.split("  ").flatMap((key, k) => [...(k ? [" "] : []), element("kbd", {}, key)])), element("td", {}, words)),
  );
  const seen = (learns ? [...SEEN, LEARN] : SEEN).map(([name, words]) => element("tr", {}, element("td", {}, element("strong", {}, name)), element("td", {}, words)));
  dialog.replaceChildren(
    element(
      "div",
      { class: "row" },
      element("h2", { id: "keys-title" }, "Keys"),
      element("span", { class: "gap" }),
      element("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close"),
    ),
    element("table", {}, element("tbody", {}, ...rows)),
    element("h2", {}, "What you see"),
    element("table", {}, element("tbody", {}, ...seen)),
  );
  byId("help").addEventListener("click", () => dialog.showModal());
}
