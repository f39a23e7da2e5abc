/**
 * Writing: a text goes on from where it ends, token by token.
 *
 * @typedef {import("./filters.js").Settings & {length: number, lines: number, stop: string[]}} WritingSettings
 * @typedef {{token: number, text: string, logits: Float32Array}} Drawn a token, what it adds, and the logits before it
 * @typedef {{logits: Float32Array, state: any}} Position a network after a text
 * @typedef {{step: (token: number, state: any) => Position, stepEach?: (tokens: number[], states: any[]) => Position[],
 *   hold?: (state: any, hold: any) => any}} Steps a network that reads token by token
 * @typedef {"length" | "stop" | "lines" | "rule"} Reason why a text ended
 */
import { draw, filter, logSoftmax } from "./filters.js";
import { Repeats } from "./repeats.js";
import { Course } from "./rules/course.js";

const RECENT = 64;

/**
 * @param {Steps} network
 * @param {import("./tokenizers.js").Tokenizer} tokenizer
 * @param {Position} position where the text ends
 * @param {number[]} before the ids of the text
 * @param {WritingSettings} settings
 * @param {() => number} uniform
 * @param {import("./network.js").Hold | null} held a unit that is held at a value, or none
 * @param {import("./rules/ways.js").Guide | null} guide the rules that it keeps, after the text before; null allows all
 * @returns {Generator<Drawn[], Reason>} the tokens that are certain now: often one, while a stop text may begin none
 */
export function* write(network, tokenizer, position, before, settings, uniform, held = null, guide = null) {
  const text = new Text(tokenizer, before, settings, guide);
  let at = frozen(position);
  yield* text.ready();
  for (;;) {
    const token = text.draw(at.logits, uniform);
    yield text.push(token, at.logits);
    if (text.reason) return text.reason;
    yield* text.ready();
    if (text.reason) {
      yield text.rest;
      return text.reason;
    }
    [at] = stepEach(network, [token], [at], held);
  }
}

/** A position from which on nothing enters the match memory. @param {Position} position @returns {Position} */
export function frozen({ logits, state }) {
  return { logits, state: { ...state, frozen: true } };
}

/**
 * Let several texts go on with a token each.
 * @param {Steps} network
 * @param {number[]} tokens
 * @param {Position[]} positions
 * @param {import("./network.js").Hold | null} held a unit that is held at a value, or none
 * @returns {Position[]}
 */
export function stepEach(network, tokens, positions, held) {
  const states = positions.map(({ state }) => state);
  const steps = network.stepEach?.(tokens, states) ?? states.map((state, k) => network.step(tokens[k], state));
  return steps.map(({ logits, state }) => ({ logits, state: held && network.hold ? network.hold(state, held) : state }));
}

/** A text that is written: what it is drawn from, token by token, and where it ends. */
export class Text {
  /**
   * @param {import("./tokenizers.js").Tokenizer} tokenizer
   * @param {number[]} before the ids of the text that it goes on with
   * @param {WritingSettings} settings
   * @param {import("./rules/ways.js").Guide | null} guide the rules that it keeps; null allows all
   */
  constructor(tokenizer, before, settings, guide) {
    this.tokenizer = tokenizer;
    this.settings = settings;
    this.decoder = tokenizer.decoder();
    this.repeats = new Repeats(before);
    this.before = before.slice(-RECENT);
    /** @type {number[]} */
    this.tokens = [];
    this.ends = new Ends(settings);
    this.course = new Course(guide, settings.length);
    /** @type {Reason | null} why it is over; null while it is not */
    this.reason = null;
  }

  /** Find out what may come next, or that it ends here, which takes time where several rules meet. @returns {Generator<never[]>} */
  *ready() {
    yield* this.course.ready();
    if (this.course.over) this.reason = "rule";
    else if (this.course.done) this.reason = "length";
  }

  /** The logarithm of the share of the network's probability that the rules leave. @param {Float32Array} logits */
  share(logits) {
    const { temperature } = this.settings;
    const own = new Float64Array(logits);
    if (this.tokenizer.unknown !== null) own[this.tokenizer.unknown] = -Infinity;
    if (temperature > 0) for (let token = 0; token < own.length; token++) own[token] /= temperature;
    return Math.log(this.course.share(logSoftmax(own)));
  }

  /** Draw a token. @param {Float32Array} logits @param {() => number} uniform */
  draw(logits, uniform) {
    const filtered = new Float64Array(logits);
    this.course.keep(filtered);
    if (this.settings.no_repeat) this.repeats.penalise(filtered, this.settings.no_repeat);
    if (this.settings.longest_run) this.repeats.endRun(filtered, this.settings.longest_run);
    if (this.tokenizer.unknown !== null) filtered[this.tokenizer.unknown] = -Infinity;
    filter(filtered, this.settings, [...this.before, ...this.tokens.slice(-RECENT)].slice(-RECENT));
    return draw(filtered, uniform);
  }

  /** Go on with a token; @returns what is certain now @param {number} token @param {Float32Array} logits before it */
  push(token, logits) {
    this.course.push(token);
    this.tokens.push(token);
    this.repeats.push(token);
    const sure = this.ends.push({ token, text: this.decoder.push(token), logits });
    this.reason = this.ends.reason;
    return sure;
  }

  /** The same text once more, to go on with it in another way. @returns {Text} */
  copy() {
    const again = Object.assign(Object.create(Text.prototype), this);
    again.decoder = this.tokenizer.decoder();
    for (const token of this.tokens) again.decoder.push(token);
    again.tokens = [...this.tokens];
    for (const part of ["repeats", "ends", "course"]) again[part] = again[part].copy();
    return again;
  }

  /** What was held back, once it is over. */
  get rest() {
    return this.ends.held;
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

  /** @returns {Ends} */
  copy() {
    return Object.assign(Object.create(Ends.prototype), this, { held: [...this.held] });
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
