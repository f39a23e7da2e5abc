/**
 * The sheet: a text area, which takes what is typed and has the caret, above a layer of the same text, which has the
 * colours. Only what changes is built again, so that ten thousand characters cost no more in a frame than ten.
 */
import { byId, element } from "./dom.js";

// A text area lays out all of its text again whenever it is set. So while a longer text than this grows, it is told only
// when it is needed: when a person does something with it, and at the end.
const SHORT = 2000; // characters

/**
 * @typedef {object} Sheet
 * @property {string[]} characters
 * @property {object[]} marks one for each character: while it is the same, and `style` too, so is the look
 * @property {any[]} style what the look depends on besides
 * @property {(at: number) => string} look the classes of a character
 * @property {number} caret
 * @property {boolean} growing whether characters are being written at the end
 *
 * @typedef {[string, string]} Run classes, and the text that has them
 * @typedef {{begin: number, end: number, runs: Run[], node: HTMLElement}} Line from its first character to its end of line
 */
export class Editor {
  /**
   * @param {{edited: (from: number, to: number, characters: string[]) => void, moved: (caret: number) => void,
   *   undo: () => void, redo: () => void, pointed: (at: number | null, box: DOMRect | null) => void,
   *   turned: () => void}} listeners `turned`: a person turns to the text area, which must show the latest text first
   */
  constructor(listeners) {
    this.listeners = listeners;
    this.area = /** @type {HTMLTextAreaElement} */ (byId("area"));
    this.tint = /** @type {HTMLElement} */ (byId("tint"));
    /** @type {string[]} */
    this.characters = []; // of the text area
    this.caret = 0; // where it was put last
    this.ahead = false; // whether the layer has more text than the text area
    this.shown = matchMedia("(forced-colors: active)"); // then it is the text area that is seen
    /** @type {Line[]} */
    this.lines = [];
    /** @type {Sheet} */
    this.sheet = { characters: [], marks: [], style: [], look: () => "", caret: 0, growing: false };
    this.area.addEventListener("input", () => this.readInput());
    this.area.addEventListener("beforeinput", (event) => {
      if (event.inputType !== "historyUndo" && event.inputType !== "historyRedo") return;
      event.preventDefault();
      if (event.inputType === "historyUndo") listeners.undo();
      else listeners.redo();
    });
    for (const act of ["keydown", "pointerdown", "focus", "dragenter"]) {
      this.area.addEventListener(act, () => {
        listeners.turned();
        this.catchUp();
      });
    }
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
    const caret = this.placeOf(this.area.selectionStart, now);
    const { from, tail } = difference(old.length, now.length, (k, l) => old[k] === now[l], caret);
    this.characters = now; // more may be typed before this is shown
    this.ahead = false;
    this.listeners.edited(from, old.length - tail, now.slice(from, now.length - tail));
  }

  readCaret() {
    const place = this.placeOf(this.area.selectionStart, this.characters);
    // While a text grows, the page puts the caret to its end, and tells itself so when the end is elsewhere already.
    if (place !== this.caret || !this.sheet.growing) this.listeners.moved(place);
    this.caret = place;
  }

  /** The character at an offset of the text area. @param {number} offset @param {string[]} characters */
  placeOf(offset, characters) {
    const { value } = this.area;
    return characters.length === value.length ? offset : Array.from(value.slice(0, offset)).length;
  }

  /** Show a text. @param {Sheet} sheet */
  show(sheet) {
    const { characters, growing } = sheet;
    this.showLines(sheet);
    this.sheet = sheet;
    const { selectionStart, selectionEnd } = this.area;
    const follows = sheet.caret === characters.length && selectionStart === selectionEnd;
    this.ahead = growing && characters.length > SHORT && follows && !this.shown.matches;
    if (!this.ahead) this.tell();
    this.tint.classList.toggle("ahead", this.ahead);
  }

  /** A person turns to the text area, so it needs all of the text. */
  catchUp() {
    if (this.ahead) this.tell();
    this.ahead = false;
  }

  /** Give the text area the text and the caret. */
  tell() {
    const { area } = this;
    const { characters, caret } = this.sheet;
    if (characters === this.characters) return;
    const text = characters.join("");
    const before = area.value;
    this.characters = characters;
    if (text === before) return;
    if (text.startsWith(before)) area.setRangeText(text.slice(before.length), before.length, before.length, "preserve");
    else area.value = text;
    this.caret = caret;
    const place = caret === characters.length ? text.length : characters.slice(0, caret).join("").length;
    if (area.selectionStart !== place && area.selectionStart === area.selectionEnd) area.setSelectionRange(place, place);
  }

  /** Put the caret at a place. @param {number} caret */
  focus(caret) {
    this.catchUp();
    this.area.focus();
    const place = this.characters.slice(0, caret).join("").length;
    this.area.setSelectionRange(place, place);
  }

  /** Build the lines again that differ from those that are shown. @param {Sheet} sheet */
  showLines({ characters, marks, style, look }) {
    const { lines, sheet: old } = this;
    const alike = lines.length > 0 && style.every((each, k) => each === old.style[k]);
    const [before, now] = [old.characters.length, characters.length];
    const { from, tail } = difference(
      before,
      now,
      (k, l) => old.marks[k] === marks[l] && old.characters[k] === characters[l],
      alike ? Infinity : -1,
    );
    if (alike && from === before && from === now) return;
    const first = alike ? lines.findIndex(({ end }) => end >= from) : 0;
    const behind = alike ? lines.findIndex(({ begin }, k) => k > first && begin > before - tail) : -1;
    const kept = behind < 0 ? [] : lines.slice(behind);
    const end = kept.length ? kept[0].begin - 1 + now - before : now;
    const changed = lines.slice(first, behind < 0 ? lines.length : behind);
    /** @type {Line[]} */
    const made = [];
    for (let begin = changed[0]?.begin ?? 0; begin <= end; begin = made[made.length - 1].end + 1) {
      const newline = characters.indexOf("\n", begin);
      const runs = runsOf(characters, begin, newline < 0 ? now : newline, look);
      const node = changed[made.length]?.node ?? this.tint.insertBefore(element("div"), kept[0]?.node ?? null);
      showRuns(node, changed[made.length]?.runs ?? null, runs);
      made.push({ begin, end: newline < 0 ? now : newline, runs, node });
    }
    for (const { node } of changed.slice(made.length)) node.remove();
    for (const line of kept) {
      line.begin += now - before;
      line.end += now - before;
    }
    this.lines = [...lines.slice(0, first), ...made, ...kept];
  }

  /** Tell which character the mouse points at. @param {MouseEvent} event */
  point({ clientX, clientY }) {
    this.area.style.pointerEvents = "none";
    const place = caretFromPoint(clientX, clientY);
    this.area.style.pointerEvents = "";
    const span = place?.node.parentElement;
    const line = this.lines.find(({ node }) => node === span?.parentElement);
    if (!place || !line) {
      this.listeners.pointed(null, null);
      return;
    }
    let at = line.begin;
    for (const other of line.node.children) {
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
    const line = this.lines.findLast(({ begin }) => begin <= at);
    if (!line) return null;
    let left = at - line.begin;
    for (const span of line.node.children) {
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
    const boxes = line.node.getClientRects();
    const last = line.node.lastElementChild?.getClientRects();
    const end = last?.[last.length - 1];
    return end ? new DOMRect(end.right, end.top, 0, end.height) : (boxes[0] ?? null);
  }
}

/**
 * How many places two lists have alike at their beginnings, and behind that at their ends.
 * @param {number} before the length of the one
 * @param {number} now the length of the other
 * @param {(k: number, l: number) => boolean} same whether a place of the one is like a place of the other
 * @param {number} most alike at the beginning, at most; -1 is nothing at all, also at the end
 */
function difference(before, now, same, most = Infinity) {
  const shorter = Math.min(before, now);
  let from = 0;
  while (from < Math.min(shorter, most) && same(from, from)) from++;
  let tail = 0;
  while (most >= 0 && tail < shorter - from && same(before - 1 - tail, now - 1 - tail)) tail++;
  return { from, tail };
}

/** The runs of equal looks in a line. @param {string[]} characters @param {number} begin @param {number} end @param {(at: number) => string} look */
function runsOf(characters, begin, end, look) {
  /** @type {Run[]} */
  const runs = [];
  for (let at = begin; at < end; at++) {
    const classes = look(at);
    const last = runs[runs.length - 1];
    if (last?.[0] === classes) last[1] += characters[at];
    else runs.push([classes, characters[at]]);
  }
  return runs;
}

/** Replace the runs of a line that have changed. @param {HTMLElement} node @param {Run[] | null} before @param {Run[]} runs */
function showRuns(node, before, runs) {
  if (!before?.length || !runs.length) {
    if (before?.length === runs.length) return;
    node.replaceChildren(...(runs.length ? runs.map(spanOf) : ["\u200b"])); // so that an empty line is as high as others
    return;
  }
  const { from, tail } = difference(before.length, runs.length, (k, l) => before[k][0] === runs[l][0] && before[k][1] === runs[l][1]);
  const spans = [...node.children];
  const next = spans[before.length - tail] ?? null;
  for (const span of spans.slice(from, before.length - tail)) span.remove();
  for (const run of runs.slice(from, runs.length - tail)) node.insertBefore(spanOf(run), next);
}

/** @param {Run} run */
function spanOf([classes, text]) {
  return element("span", { class: classes }, text);
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
