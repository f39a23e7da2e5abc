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
  ["Colours", "The darker a letter, the more it surprised the network. Bold is what you typed."],
  ["Bars", "The letters that may come next. Take one, and the text goes on from it; what stood there stays as another way."],
  ["Rules", "What all that is written keeps to, from the caret on: an expression, how lines begin, how long they are, known words."],
  ["Fan", "Every likely future at once, each as high as it is likely."],
  ["Branches", "Everything that was ever written here, as a tree."],
  ["Units", "Single cells that follow something, such as quotation marks. Hold one at a value, and watch what it does."],
  ["Inside", "Gates and cells of a layer, live, a column for each letter."],
];

export function keysDialog() {
  const dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
  const rows = KEYS.map(([keys, words]) =>
    element("tr", {}, element("td", {}, ...keys.split("  ").flatMap((key, k) => [...(k ? [" "] : []), element("kbd", {}, key)])), element("td", {}, words)),
  );
  const seen = SEEN.map(([name, words]) => element("tr", {}, element("td", {}, element("strong", {}, name)), element("td", {}, words)));
  dialog.replaceChildren(
    element("h2", { id: "keys-title" }, "Keys"),
    element("table", {}, element("tbody", {}, ...rows)),
    element("h2", {}, "What you see"),
    element("table", {}, element("tbody", {}, ...seen)),
    element("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close"),
  );
  byId("help").addEventListener("click", () => dialog.showModal());
}
