/**
 * The regular expressions of the rules: from their text to a tree.
 *
 * Python's syntax, as far as it describes a regular language: literals, `.`, classes, `\d \w \s` and their opposites,
 * groups, `|` and quantifiers. A lazy quantifier describes the same texts as a greedy one. The whole text has to match,
 * so `^` and `$` mean something only at the ends, and nothing new there. What remembers or looks around is refused.
 *
 * @typedef {import("./characters.js").Ranges} Ranges
 * @typedef {{kind: "characters", ranges: Ranges, begin: number, end: number}} Characters one out of some; `begin` and
 *   `end` are where they stand in the expression
 * @typedef {{kind: "sequence", parts: Tree[]}} Sequence one part after the other; without parts it is the empty text
 * @typedef {{kind: "choice", ways: Tree[]}} Choice
 * @typedef {{kind: "repeat", part: Tree, least: number, most: number}} Repeat
 * @typedef {Characters | Sequence | Choice | Repeat} Tree
 */
import { kindOf, merged, one, without } from "./characters.js";
import { fault } from "./faults.js";

const DEEPEST = 100; // groups within groups
/** @type {[string, string][]} */
const REFUSED = [
  ["(?=", "looks ahead"],
  ["(?!", "looks ahead"],
  ["(?<=", "looks back"],
  ["(?<!", "looks back"],
  ["(?P=", "refers back to a group"],
  ["(?(", "depends on a group"],
  ["(?>", "forbids to try again"],
  ["(?#", "is a comment"],
];
/** @type {Record<string, string>} */
const ESCAPED = { n: "\n", t: "\t", r: "\r", f: "\f", v: "\v", a: "\x07" };
/** @type {Record<string, number>} how many digits follow */
const HEXADECIMAL = { x: 2, u: 4, U: 8 };
const QUANTIFIER = /[*+?]|\{(?=[^}])([0-9]*)(,)?([0-9]*)\}/y;
const GROUP = /\((?:\?(?::|P<[\p{L}\p{Nl}\p{No}_][\p{L}\p{N}_]*>))?/uy;
const OCTAL = /0[0-7]{0,2}|[0-3][0-7]{2}/y;
const HINT = "It takes literals, classes, groups, | and the quantifiers * + ? {m,n}.";

/** Read a regular expression. @param {string} pattern @returns {Tree} */
export function parse(pattern) {
  return new Parser(pattern).parse();
}

/** The expression that only one text matches. @param {string} text @returns {Tree} */
export function literal(text) {
  const parts = Array.from(text, (character) => characters(one(character), 0, 0));
  return { kind: "sequence", parts };
}

/** Reads an expression from left to right. */
class Parser {
  /** @param {string} pattern */
  constructor(pattern) {
    this.pattern = pattern;
    this.at = 0;
  }

  parse() {
    const tree = this.choice(0);
    if (this.at < this.pattern.length) throw this.fault("closes a group that was not opened", this.at);
    return tree;
  }

  /** @param {string} what @param {number} at @param {string} [hint] */
  fault(what, at, hint) {
    const place = Array.from(this.pattern.slice(0, at)).length;
    return fault(`\`match\` ${what}, at position ${place}`, hint);
  }

  /** @param {string} text */
  sees(text) {
    return this.pattern.startsWith(text, this.at);
  }

  /** Whether a text comes next, which is then read. @param {string} text */
  takes(text) {
    const seen = this.sees(text);
    if (seen) this.at += text.length;
    return seen;
  }

  /** What an expression finds at a place. @param {RegExp} sticky @param {number} at */
  find(sticky, at) {
    sticky.lastIndex = at;
    return sticky.exec(this.pattern);
  }

  /** The next character, which is read. */
  next() {
    const character = String.fromCodePoint(/** @type {number} */ (this.pattern.codePointAt(this.at)));
    this.at += character.length;
    return character;
  }

  /** @param {number} depth @returns {Tree} */
  choice(depth) {
    const ways = [this.sequence(depth)];
    while (this.takes("|")) ways.push(this.sequence(depth));
    return ways.length === 1 ? ways[0] : { kind: "choice", ways };
  }

  /** @param {number} depth @returns {Tree} */
  sequence(depth) {
    /** @type {Tree[]} */
    const parts = [];
    const begin = this.at;
    while (this.at < this.pattern.length && !this.sees("|") && !this.sees(")")) {
      if (["^", "$", "\\A", "\\Z"].some((anchor) => this.sees(anchor))) this.anchor(begin, depth);
      else parts.push(this.quantified(this.atom(depth)));
    }
    return parts.length === 1 ? parts[0] : { kind: "sequence", parts };
  }

  /** Read an anchor of the whole text, which changes nothing. @param {number} begin @param {number} depth */
  anchor(begin, depth) {
    const at = this.at;
    const opens = this.sees("^") || this.sees("\\A");
    this.at += this.sees("\\") ? 2 : 1;
    const stands = opens ? at === begin : this.at === this.pattern.length || this.sees("|");
    if (depth || !stands) {
      throw this.fault("has an anchor in its midst", at, "The whole text has to match, so no ^ or $ is needed.");
    }
  }

  /** @param {number} depth @returns {Tree} */
  atom(depth) {
    const at = this.at;
    if (this.sees("(")) return this.group(depth);
    if (this.sees("[")) return characters(this.set(), at, this.at);
    if (this.find(QUANTIFIER, at)) throw this.fault("repeats nothing", at);
    const character = this.next();
    const ranges = character === "\\" ? this.escape(at) : character === "." ? without(one("\n")) : one(character);
    return characters(ranges, at, this.at);
  }

  /** @param {number} depth @returns {Tree} */
  group(depth) {
    const at = this.at;
    for (const [begin, what] of REFUSED) if (this.sees(begin)) throw this.fault(what, at, HINT);
    this.at += /** @type {RegExpExecArray} */ (this.find(GROUP, at))[0].length;
    if (this.sees("?")) throw this.fault("has a group of an unknown kind, or a flag", at, HINT);
    if (depth === DEEPEST) throw this.fault(`has more than ${DEEPEST} groups in each other`, at);
    const tree = this.choice(depth + 1);
    if (!this.takes(")")) throw this.fault("opens a group and does not close it", at);
    return tree;
  }

  /** @param {Tree} part @returns {Tree} */
  quantified(part) {
    const at = this.at;
    const found = this.find(QUANTIFIER, at);
    if (!found) return part;
    this.at += found[0].length;
    const [least, most] = bounds(found);
    if (most < least) throw this.fault("repeats something less often than at least", at);
    this.takes("?"); // lazy: the same texts
    if (this.sees("+")) throw this.fault("forbids to try again", this.at, HINT);
    if (this.find(QUANTIFIER, this.at)) {
      throw this.fault("repeats a repetition", this.at, "Put the first one into a group.");
    }
    return { kind: "repeat", part, least, most };
  }

  // ---- one character -----------------------------------------------------------------------------------------------

  /** Read what follows a backslash. @param {number} at its place @param {boolean} inClass @returns {Ranges} */
  escape(at, inClass = false) {
    if (this.at === this.pattern.length) throw this.fault("ends with a backslash", at);
    const letter = this.next();
    if ("dDwWsS".includes(letter)) return kindOf(letter);
    if (letter in ESCAPED || (inClass && letter === "b")) return one(ESCAPED[letter] ?? "\b");
    if (letter in HEXADECIMAL) return this.number(at, HEXADECIMAL[letter]);
    if (/[0-9]/.test(letter)) return this.octal(at, inClass);
    if (/[bB]/.test(letter)) throw this.fault("has a word boundary", at, HINT);
    if (/[A-Za-z]/.test(letter)) throw this.fault(`has \\${letter}, which means nothing`, at);
    return one(letter);
  }

  /** @param {number} at @param {number} digits @returns {Ranges} */
  number(at, digits) {
    const typed = this.pattern.slice(this.at, this.at + digits);
    const point = typed.length === digits && /^[0-9a-fA-F]+$/.test(typed) ? parseInt(typed, 16) : Infinity;
    if (point > 0x10ffff) throw this.fault(`has no character of ${digits} hexadecimal digits`, at);
    this.at += digits;
    return [[point, point]];
  }

  /** @param {number} at @param {boolean} inClass @returns {Ranges} */
  octal(at, inClass) {
    const found = this.find(OCTAL, at + 1);
    if (!found) throw this.fault(inClass ? "has no such character" : "refers back to a group", at, HINT);
    this.at = at + 1 + found[0].length;
    const point = parseInt(found[0], 8);
    return [[point, point]];
  }

  /** Read a class in brackets. @returns {Ranges} */
  set() {
    const at = this.at;
    this.at++;
    const negated = this.takes("^");
    /** @type {Ranges} */
    const ranges = [];
    const begin = this.at;
    while (this.at === begin || !this.sees("]")) {
      if (this.at >= this.pattern.length) throw this.fault("opens a class and does not close it", at);
      ranges.push(...this.setItem(at));
    }
    this.at++;
    return negated ? without(merged(ranges)) : merged(ranges);
  }

  /** Read a character, a range or an escape of a class that begins `at` a place. @param {number} at @returns {Ranges} */
  setItem(at) {
    const firstAt = this.at;
    const first = this.setCharacter();
    if (!this.sees("-") || this.sees("-]")) return first;
    this.at++;
    if (this.at >= this.pattern.length) throw this.fault("opens a class and does not close it", at);
    const last = this.setCharacter();
    const [low, lowEnd] = [first[0][0], first[first.length - 1][1]];
    const [high, highEnd] = [last[0][0], last[last.length - 1][1]];
    if (low !== lowEnd || high !== highEnd || high < low) throw this.fault("has no such range", firstAt);
    return [[low, high]];
  }

  /** @returns {Ranges} */
  setCharacter() {
    const at = this.at;
    const character = this.next();
    return character === "\\" ? this.escape(at, true) : one(character);
  }
}

/** @param {Ranges} ranges @param {number} begin @param {number} end @returns {Tree} */
function characters(ranges, begin, end) {
  return { kind: "characters", ranges, begin, end };
}

/** How often, at least and at most. @param {RegExpExecArray} quantifier @returns {[number, number]} */
function bounds([whole, least, comma, most]) {
  if (whole === "?") return [0, 1];
  if (whole === "*" || whole === "+") return [whole === "+" ? 1 : 0, Infinity];
  const [from, to] = [least, most].map((digits) => (digits ? Number(digits.slice(0, 9)) : null));
  return [from ?? 0, comma ? (to ?? Infinity) : (from ?? Infinity)];
}
