/**
 * Writing: a text goes on from where it ends, token by token.
 *
 * @typedef {import("./filters.js").Settings & {length: number, lines: number, stop: string[]}} WritingSettings
 * @typedef {{token: number, text: string, logits: Float32Array}} Drawn a token, what it adds, and the logits before it
 * @typedef {"length" | "stop" | "lines" | "rule"} Reason why a text ended
 */
import { draw, filter } from "./filters.js";
import { Repeats } from "./repeats.js";
import { Course } from "./rules/course.js";

const RECENT = 64;

/**
 * @param {{step: (token: number, state: any) => any, hold?: (state: any, hold: any) => any}} network
 * @param {import("./tokenizers.js").Tokenizer} tokenizer
 * @param {{logits: Float32Array, state: any}} position where the text ends
 * @param {number[]} before the ids of the text
 * @param {WritingSettings} settings
 * @param {() => number} uniform
 * @param {import("./network.js").Hold | null} held a unit that is held at a value, or none
 * @param {import("./rules/ways.js").Guide | null} guide the rules that it keeps, after the text before; null allows all
 * @returns {Generator<Drawn[], Reason>} the tokens that are certain now: often one, while a stop text may begin none
 */
export function* write(network, tokenizer, position, before, settings, uniform, held = null, guide = null) {
  let { logits, state } = position;
  state = { ...state, frozen: true };
  const decoder = tokenizer.decoder();
  const repeats = new Repeats(before);
  const ids = before.slice(-RECENT);
  const ends = new Ends(settings);
  const course = new Course(guide, settings.length);
  yield* course.ready();
  for (;;) {
    const filtered = new Float64Array(logits);
    course.keep(filtered);
    if (settings.no_repeat) repeats.penalise(filtered, settings.no_repeat);
    if (settings.longest_run) repeats.endRun(filtered, settings.longest_run);
    if (tokenizer.unknown !== null) filtered[tokenizer.unknown] = -Infinity;
    filter(filtered, settings, ids.slice(-RECENT));
    const token = draw(filtered, uniform);
    course.push(token);
    yield ends.push({ token, text: decoder.push(token), logits });
    if (ends.reason) return ends.reason;
    yield* course.ready();
    if (course.over || course.done) {
      yield ends.held;
      return course.over ? "rule" : "length";
    }
    ids.push(token);
    repeats.push(token);
    ({ logits, state } = network.step(token, state));
    if (held && network.hold) state = network.hold(state, held);
  }
}

/** Ends a text before a stop text or after a number of lines. What could still grow into a stop text is held back. */
class Ends {
  /** @param {{lines: number, stop: string[]}} settings */
  constructor({ lines, stop }) {
    this.linesLeft = lines || Infinity;
    this.stop = stop.filter(Boolean);
    /** @type {Drawn[]} */
    this.held = [];
    /** @type {Reason | null} */
    this.reason = null;
  }

  /** @param {Drawn} drawn @returns {Drawn[]} the tokens that belong to the text for certain */
  push(drawn) {
    this.held.push(drawn);
    const text = this.held.map((each) => each.text).join("");
    const found = this.stop.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length) {
      this.reason = "stop";
      return cut(this.held, Math.min(...found));
    }
    const certain = text.length - longestBeginning(text, this.stop);
    const sure = cut(this.held, certain);
    if (sure.some((each, k) => each.text !== this.held[k].text)) return []; // half of a token is held
    this.held = this.held.slice(sure.length);
    this.linesLeft -= sure.reduce((lines, each) => lines + each.text.split("\n").length - 1, 0);
    if (this.linesLeft <= 0) this.reason = "lines";
    return sure;
  }
}

/** The tokens of the first characters of a text, the last one cut. @param {Drawn[]} drawn @param {number} length */
function cut(drawn, length) {
  const kept = [];
  for (const each of drawn) {
    if (length <= 0 && each.text) break;
    kept.push(each.text.length <= length ? each : { ...each, text: each.text.slice(0, length) });
    length -= each.text.length;
  }
  return kept;
}

/** The length of the longest end of a text that is the beginning of one of several. @param {string} text @param {string[]} texts */
function longestBeginning(text, texts) {
  const most = Math.max(0, ...texts.map((each) => each.length - 1));
  for (let length = Math.min(most, text.length); length > 0; length--) {
    if (texts.some((each) => each.startsWith(text.slice(-length)))) return length;
  }
  return 0;
}
