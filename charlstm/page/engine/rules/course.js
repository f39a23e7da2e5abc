/** A text that is drawn under rules: what they let it go on with, and where they let it end. */
import { Ways } from "./ways.js";

const SPARE = 64; // tokens in which a text comes by itself to where its rules let it end, or else it is led there
const LEAST = -9999; // the logit of a token that a mix never draws, if its rules leave no other

/** A text that is drawn under rules; without a guide it may be any. */
export class Course {
  /** @param {import("./ways.js").Guide | null} guide @param {number} length tokens after which it ends where it may */
  constructor(guide, length) {
    this.guide = guide;
    this.left = length;
    this.ways = new Ways();
    /** @type {Float64Array | undefined} */
    this.distances = undefined;
  }

  /** @returns {Course} */
  copy() {
    return Object.assign(Object.create(Course.prototype), this); // guides and what they say never change
  }

  /** Find out what may come next, which takes time where several rules meet. @returns {Generator<never[]>} */
  *ready() {
    if (this.guide?.ready) for (const _ of this.guide.ready()) yield [];
    this.distances = this.guide?.distances();
  }

  /** The distance of an end after each token that may come next; `Infinity` after others. */
  get allowed() {
    const guide = /** @type {import("./ways.js").Guide} */ (this.guide);
    return this.left <= -SPARE ? this.ways.nearer(guide) : /** @type {Float64Array} */ (this.distances);
  }

  /** Remove from the next draw what the rules do not allow. @param {Float64Array} logits changed in place */
  keep(logits) {
    if (!this.guide) return;
    this.allowed.forEach((distance, token) => {
      logits[token] = distance < Infinity ? Math.max(logits[token], LEAST) : -Infinity;
    });
  }

  /** The share of the network's probability that the rules leave. @param {Float64Array} logs logarithms of probabilities */
  share(logs) {
    return this.allowed.reduce((sum, distance, token) => (distance < Infinity ? sum + Math.exp(logs[token]) : sum), 0);
  }

  /** @param {number} token that was drawn */
  push(token) {
    this.left--;
    this.guide = this.guide?.advance(token) ?? null;
  }

  /** Whether the rules end the text here. */
  get over() {
    return this.distances?.every((distance) => distance === Infinity) ?? false;
  }

  /** Whether the text has its length, and may end here. */
  get done() {
    return this.left <= 0 && (this.guide?.mayEnd() ?? true);
  }
}
