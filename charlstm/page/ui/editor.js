/**
 * The sheet: a text area, which takes what is typed and has the caret, above a layer of the same text, which has the
 * colours. Only lines that change are built again.
 */
import { byId, element } from "./dom.js";

/**
 * @typedef {object} Sheet
 * @property {string[]} characters
 * @property {(at: number) => string} look the classes of a character
 * @property {number} caret
 */
export class Editor {
  /**
   * @param {{edited: (from: number, to: number, characters: string[]) => void, moved: (caret: number) => void,
   *   undo: () => void, redo: () => void, pointed: (at: number | null, box: DOMRect | null) => void}} listeners
   */
  constructor(listeners) {
    this.listeners = listeners;
    this.area = /** @type {HTMLTextAreaElement} */ (byId("area"));
    this.tint = /** @type {HTMLElement} */ (byId("tint"));
    /** @type {string[]} */
    this.characters = [];
    /** @type {{signature: string, node: HTMLElement}[]} */
    this.lines = [];
    this.area.addEventListener("input", () => this.readInput());
    this.area.addEventListener("beforeinput", (event) => {
      if (event.inputType !== "historyUndo" && event.inputType !== "historyRedo") return;
      event.preventDefault();
      if (event.inputType === "historyUndo") listeners.undo();
      else listeners.redo();
    });
    document.addEventListener("selectionchange", () => {
      if (document.activeElement === this.area) this.readCaret();
    });
    this.area.addEventListener("mousemove", (event) => this.point(event));
    this.area.addEventListener("mouseleave", () => listeners.pointed(null, null));
  }

  /** Take over what was typed: the part that differs from the text before. */
  readInput() {
    const now = Array.from(this.area.value);
    const old = this.characters;
    const caret = Array.from(this.area.value.slice(0, this.area.selectionStart)).length;
    let from = 0;
    const most = Math.min(old.length, now.length, caret);
    while (from < most && old[from] === now[from]) from++;
    let tail = 0;
    while (tail < Math.min(old.length, now.length) - from && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
    this.characters = now; // more may be typed before this is shown
    this.listeners.edited(from, old.length - tail, now.slice(from, now.length - tail));
  }

  readCaret() {
    this.listeners.moved(Array.from(this.area.value.slice(0, this.area.selectionStart)).length);
  }

  /**
   * Show a text.
   * @param {Sheet} sheet
   */
  show({ characters, look, caret }) {
    const text = characters.join("");
    if (text !== this.area.value) this.setText(text, characters, caret);
    this.characters = characters;
    this.showLines(characters, look);
  }

  /** @param {string} text @param {string[]} characters @param {number} caret */
  setText(text, characters, caret) {
    const { area } = this;
    const before = area.value;
    if (text.startsWith(before)) area.setRangeText(text.slice(before.length), before.length, before.length, "preserve");
    else area.value = text;
    const place = characters.slice(0, caret).join("").length;
    if (area.selectionStart !== place && area.selectionStart === area.selectionEnd) area.setSelectionRange(place, place);
  }

  /** Put the caret at a place. @param {number} caret */
  focus(caret) {
    const place = this.characters.slice(0, caret).join("").length;
    this.area.focus();
    this.area.setSelectionRange(place, place);
  }

  /** @param {string[]} characters @param {(at: number) => string} look */
  showLines(characters, look) {
    let number = 0;
    for (let begin = 0; begin <= characters.length; number++) {
      const newline = characters.indexOf("\n", begin);
      const end = newline < 0 ? characters.length : newline;
      this.showLine(number, characters, begin, end, look);
      begin = end + 1;
    }
    for (const { node } of this.lines.splice(number)) node.remove();
  }

  /** @param {number} number @param {string[]} characters @param {number} begin @param {number} end @param {(at: number) => string} look */
  showLine(number, characters, begin, end, look) {
    /** @type {[string, string, number][]} */
    const runs = [];
    for (let at = begin; at < end; at++) {
      const classes = look(at);
      const last = runs.at(-1);
      if (last && last[0] === classes) last[1] += characters[at];
      else runs.push([classes, characters[at], at]);
    }
    const signature = runs.map(([classes, text]) => `${classes}\u0000${text}`).join("\u0001");
    const line = this.lines[number];
    if (line?.signature === signature) {
      if (line.node.dataset.begin !== String(begin)) line.node.dataset.begin = String(begin);
      return;
    }
    const spans = runs.map(([classes, text]) => element("span", { class: classes }, text));
    const node = element("div", { "data-begin": String(begin) }, ...(spans.length ? spans : ["\u200b"]));
    if (line) line.node.replaceWith(node);
    else this.tint.append(node);
    this.lines[number] = { signature, node };
  }

  /** Tell which character the mouse points at. @param {MouseEvent} event */
  point({ clientX, clientY }) {
    this.area.style.pointerEvents = "none";
    const place = caretFromPoint(clientX, clientY);
    this.area.style.pointerEvents = "";
    const span = place?.node.parentElement;
    const line = span?.parentElement;
    if (!place || !line || line.parentElement !== this.tint) {
      this.listeners.pointed(null, null);
      return;
    }
    let at = Number(line.dataset.begin);
    for (const other of line.children) {
      if (other === span) break;
      at += Array.from(other.textContent ?? "").length;
    }
    const text = place.node.textContent ?? "";
    const range = document.createRange();
    // The nearest gap may be behind the character that is pointed at.
    for (const offset of [place.offset - 1, place.offset]) {
      if (offset < 0 || offset >= text.length) continue;
      range.setStart(place.node, offset);
      range.setEnd(place.node, Math.min(text.length, offset + (text.codePointAt(offset) ?? 0 > 0xffff ? 2 : 1)));
      const box = range.getBoundingClientRect();
      if (clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom) continue;
      this.listeners.pointed(at + Array.from(text.slice(0, offset)).length, box);
      return;
    }
    this.listeners.pointed(null, null);
  }

  /** The box of a character. @param {number} at @returns {DOMRect | null} */
  boxOf(at) {
    const line = this.lines.findLast(({ node }) => Number(node.dataset.begin) <= at)?.node;
    if (!line) return null;
    let left = at - Number(line.dataset.begin);
    for (const span of line.children) {
      const characters = Array.from(span.textContent ?? "");
      if (left < characters.length) {
        const range = document.createRange();
        const offset = characters.slice(0, left).join("").length;
        range.setStart(/** @type {Node} */ (span.firstChild), offset);
        range.setEnd(/** @type {Node} */ (span.firstChild), offset + characters[left].length);
        return range.getBoundingClientRect();
      }
      left -= characters.length;
    }
    const boxes = line.getClientRects();
    const last = line.lastElementChild?.getClientRects();
    const end = last?.[last.length - 1];
    return end ? new DOMRect(end.right, end.top, 0, end.height) : (boxes[0] ?? null);
  }
}

/** @param {number} x @param {number} y @returns {{node: Node, offset: number} | null} */
function caretFromPoint(x, y) {
  if (document.caretPositionFromPoint) {
    const place = document.caretPositionFromPoint(x, y);
    return place && { node: place.offsetNode, offset: place.offset };
  }
  const range = document.caretRangeFromPoint(x, y);
  return range && { node: range.startContainer, offset: range.startOffset };
}
