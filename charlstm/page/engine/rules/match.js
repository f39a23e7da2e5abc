/**
 * A rule that lets a text be written only so that all of it matches a regular expression.
 *
 * The expression becomes an automaton over the network's tokens. A token is whatever run of bytes it stands for: a state
 * and a token lead to the state after all of its bytes. Then every state that leads to no end is removed, backwards from
 * those in which the text may end. So there are no dead ends, and no token is forbidden that some matching text has.
 *
 * @typedef {import("./syntax.js").Tree} Tree
 * @typedef {import("./characters.js").Ranges} Ranges
 * @typedef {import("../tokenizers.js").Tokenizer} Tokenizer
 * @typedef {import("./ways.js").Guide} Guide
 *
 * @typedef {object} Automaton begins in state 0
 * @property {Int32Array[]} next for each state the state after each token, -1 where it is not allowed
 * @property {Float64Array} distance from each state the fewest tokens until the text may end
 */
import { determine } from "./automaton.js";
import { merged } from "./characters.js";
import { fault, notInAlphabet } from "./faults.js";
import { literal, parse } from "./syntax.js";

const MOST_ENTRIES = 20_000_000; // states times tokens
const MOST_OF_BOTH = 5_000_000; // and of two automata together, which then takes about a second

/**
 * Make the automaton of a regular expression over a network's tokens.
 * @param {string} pattern
 * @param {Tokenizer} tokenizer
 * @param {{end?: string, name?: string}} more what stands after a text that matches, such as the end of a record; and the
 *   rule that it comes from, for messages
 * @returns {Generator<null, Automaton>} yields after each piece of work
 */
export function* automatonOf(pattern, tokenizer, { end = "", name = "match" } = {}) {
  /** @type {Tree} */
  const tree = { kind: "sequence", parts: [parse(pattern), literal(end)] };
  const known = alphabet(tokenizer);
  const stuck = blocked(tree, known);
  if (stuck) throw cannotBe(pattern, stuck);
  const { next, final } = yield* overTokens(yield* determine(tree, known, name), tokenizer, name);
  const automaton = yield* pruned(next, final);
  if (automaton.next[0].every((state) => state < 0)) throw fault(`no text but the empty one matches \`${name}\``);
  return automaton;
}

/**
 * Two automata as one, whose states are pairs of theirs (Rabin & Scott 1959): what they leave together is known exactly,
 * and no way to an end has to be searched.
 * @param {Automaton} one
 * @param {Automaton} other
 * @returns {Generator<null, Automaton | null>} yields after each piece of work; null if it has too many states, and one
 *   whose first state allows nothing if no text keeps to both
 */
export function* both(one, other) {
  const width = other.next.length;
  const size = one.next[0].length;
  const numbers = new Map([[0, 0]]);
  const pairs = [0];
  /** @type {Int32Array[]} */
  const next = [];
  for (const pair of pairs) {
    if (pairs.length * size > MOST_OF_BOTH) return null;
    const others = other.next[pair % width];
    const row = one.next[Math.floor(pair / width)].map((state, token) => {
      if (state < 0 || others[token] < 0) return -1;
      const following = state * width + others[token];
      const number = numbers.get(following) ?? pairs.length;
      if (number === pairs.length) {
        numbers.set(following, number);
        pairs.push(following);
      }
      return number;
    });
    next.push(row);
    yield null;
  }
  const left = (/** @type {number} */ pair) => one.distance[Math.floor(pair / width)] + other.distance[pair % width];
  return yield* pruned(next, pairs.map((pair) => left(pair) === 0));
}

/**
 * Remove what leads to no end.
 * @param {Int32Array[]} next changed in place @param {boolean[]} final
 * @returns {Generator<null, Automaton>}
 */
function* pruned(next, final) {
  const distance = yield* distances(next, final);
  for (const row of next) {
    row.forEach((state, token) => {
      if (state >= 0 && distance[state] === Infinity) row[token] = -1;
    });
  }
  return { next, distance };
}

/**
 * Restricts ranges to what a network can write: in bytes it is everything.
 * @param {Tokenizer} tokenizer
 * @returns {(ranges: Ranges) => Ranges}
 */
function alphabet({ kind, vocabulary, unknown }) {
  if (kind !== "char") return (ranges) => ranges;
  const points = vocabulary.filter((_, id) => id !== unknown).map((text) => text.codePointAt(0) ?? 0);
  return (ranges) => merged(points.filter((point) => contains(ranges, point)).map((point) => [point, point]));
}

/** @param {Ranges} ranges @param {number} point */
function contains(ranges, point) {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle][1] < point) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low][0] <= point;
}

/**
 * The first character of an expression that cannot be written, if no text can match without it.
 * @param {Tree} tree @param {(ranges: Ranges) => Ranges} known @returns {import("./syntax.js").Characters | null}
 */
function blocked(tree, known) {
  if (tree.kind === "characters") return known(tree.ranges).length ? null : tree;
  if (tree.kind === "repeat") return tree.least ? blocked(tree.part, known) : null;
  const parts = tree.kind === "choice" ? tree.ways : tree.parts;
  const stuck = parts.map((part) => blocked(part, known)).filter((each) => each !== null);
  if (tree.kind === "choice" && stuck.length < parts.length) return null;
  return tree.kind === "choice" ? stuck.sort((a, b) => a.begin - b.begin)[0] : (stuck[0] ?? null);
}

/** @param {string} pattern @param {import("./syntax.js").Characters} stuck */
function cannotBe(pattern, { ranges, begin, end }) {
  const at = Array.from(pattern.slice(0, begin)).length;
  if (ranges.length === 1 && ranges[0][0] === ranges[0][1]) {
    return notInAlphabet(String.fromCodePoint(ranges[0][0]), at, "match");
  }
  return fault(`match: no character of ${pattern.slice(begin, end)}, at position ${at}, is in the alphabet`);
}

/**
 * The states that tokens lead to, and in which of them the text may end.
 * @param {import("./automaton.js").ByteAutomaton} automaton @param {Tokenizer} tokenizer @param {string} name
 * @returns {Generator<null, {next: Int32Array[], final: boolean[]}>}
 */
function* overTokens({ symbol, next: byBytes, final }, tokenizer, name) {
  const size = tokenizer.vocabSize;
  const tokens = Array.from({ length: size }, (_, token) => (token === tokenizer.unknown ? [] : tokenizer.bytesOf(token)));
  const texts = tokens.map((bytes) => bytes.map((byte) => symbol[byte]));
  const numbers = new Map([[0, 0]]);
  const found = [0];
  /** @type {Int32Array[]} */
  const next = [];
  for (const from of found) {
    if (found.length * size > MOST_ENTRIES) {
      const most = Math.floor(MOST_ENTRIES / size).toLocaleString("en");
      const what = `\`${name}\` needs more than ${most} states with ${size.toLocaleString("en")} tokens`;
      throw fault(what, "Let it repeat less, or less often.");
    }
    const row = new Int32Array(size).fill(-1);
    texts.forEach((text, token) => {
      let state = text.length ? from : -1;
      for (let k = 0; k < text.length && state >= 0; k++) state = byBytes[state][text[k]];
      if (state < 0) return;
      let number = numbers.get(state);
      if (number === undefined) {
        number = found.length;
        numbers.set(state, number);
        found.push(state);
      }
      row[token] = number;
    });
    next.push(row);
    yield null;
  }
  return { next, final: found.map((state) => final[state]) };
}

/**
 * The fewest tokens from each state to one in which the text may end.
 * @param {Int32Array[]} next @param {boolean[]} final @returns {Generator<null, Float64Array>}
 */
function* distances(next, final) {
  /** @type {number[][]} */
  const before = next.map(() => []);
  for (const [state, row] of next.entries()) {
    for (const target of row) {
      const known = target < 0 ? null : before[target];
      if (known && known[known.length - 1] !== state) known.push(state);
    }
    yield null;
  }
  const distance = Float64Array.from(final, (isFinal) => (isFinal ? 0 : Infinity));
  const waiting = next.map((_, state) => state).filter((state) => final[state]);
  for (const state of waiting) {
    for (const previous of before[state]) {
      if (distance[previous] < Infinity) continue;
      distance[previous] = distance[state] + 1;
      waiting.push(previous);
    }
  }
  return distance;
}

/** This rule, after a text. @implements {Guide} */
export class MatchGuide {
  /** @param {Automaton} automaton @param {number} state */
  constructor(automaton, state = 0) {
    this.automaton = automaton;
    this.state = state;
  }

  get key() {
    return String(this.state);
  }

  distances() {
    const { next, distance } = this.automaton;
    return Float64Array.from(next[this.state], (state) => (state < 0 ? Infinity : distance[state]));
  }

  mayEnd() {
    return this.automaton.distance[this.state] === 0;
  }

  /** @param {number} token */
  advance(token) {
    return new MatchGuide(this.automaton, this.automaton.next[this.state][token]);
  }
}
