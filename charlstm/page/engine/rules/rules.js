/**
 * From plain settings to the rules of a text.
 *
 * The rules about single characters are regular expressions, also where nobody types one: the beginnings of lines are
 * `Dear[^\n]*\nYours[^\n]*`, and a longest line is `[^\n]{0,60}(\n[^\n]{0,60})*`.
 *
 * @typedef {import("../tokenizers.js").Tokenizer} Tokenizer
 * @typedef {import("./ways.js").Guide} Guide
 * @typedef {import("./match.js").Automaton} Automaton
 * @typedef {{automata: Automaton[], joined: Automaton[]}} Compiled
 *
 * @typedef {object} RuleSettings the rules that a text keeps: all of those that are set
 * @property {string | null} [match] a regular expression that the whole of what is drawn matches
 * @property {string | string[] | null} [starts] what the lines begin with, in order, after which the text is over; in one
 *   text they are separated by commas
 * @property {number | null} [max_line] characters of a line, at most
 * @property {boolean | string | string[] | null} [words] whether letters may form only words of the training text; or
 *   those of a list, or of another text
 * @property {boolean | null} [rhyme] whether it is written in pairs of lines that rhyme (`couplets.js`)
 * @property {number | null} [no_copy] only where the training text is known, which it is not here
 */
import { fault, notInAlphabet, quoted } from "./faults.js";
import { automatonOf, both, MatchGuide } from "./match.js";
import { Rhymes } from "./rhymes.js";
import { allOf, Joint, Ways } from "./ways.js";
import { findWords, knownWords, Vocabulary, WordGuide } from "./words.js";

const LONGEST_LINE = 1000;

/**
 * The names of the rules that a network can keep to here.
 * @param {Tokenizer} tokenizer @param {boolean} hasWords @param {string} record what ends each of its texts
 */
export function rulesFor({ kind }, hasWords, record) {
  const words = hasWords && kind !== "byte" ? ["words"] : [];
  const rhyme = hasWords && kind === "char" && !record ? ["rhyme"] : [];
  return ["match", "starts", "max_line", ...words, ...rhyme, "particles"];
}

/** The rules that are set, for texts of one network. What they need is made once, when it is first needed. */
export class Rules {
  /**
   * @param {RuleSettings} settings
   * @param {Tokenizer} tokenizer
   * @param {string[]} words of the training text
   * @param {string} record what ends each of its texts: then it ends what matches, too
   */
  constructor(settings, tokenizer, words, record) {
    const { match, max_line: longest, no_copy: noCopy } = settings;
    if (noCopy) throw fault(`\`no_copy=${noCopy}\` must be 0 where the training text is unknown`);
    if (longest && !(longest > 0 && longest <= LONGEST_LINE && Number.isInteger(longest))) {
      throw fault(`\`max_line=${longest}\` must be 0 (any number) to ${LONGEST_LINE.toLocaleString("en")}`);
    }
    this.tokenizer = tokenizer;
    this.record = record;
    this.longest = longest ?? 0;
    const starts = startsOf(settings.starts);
    this.given = [
      ...(typeof match === "string" ? ["match"] : []),
      ...(starts.length ? ["starts"] : []),
      ...(longest ? ["max_line"] : []),
      ...(settings.words ? ["words"] : []),
    ];
    /** @type {{name: string, pattern: string, end: string}[]} */
    this.patterns = [];
    if (typeof match === "string") this.patterns.push({ name: "match", pattern: match, end: record });
    if (starts.length) {
      checkStarts(starts, tokenizer);
      const pattern = starts.map((start) => `${start.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&")}[^\n]*`).join("\n");
      this.patterns.push({ name: "starts", pattern: record ? pattern : `${pattern}\n?`, end: record });
    }
    if (longest && !hasNewline(tokenizer)) {
      throw fault("`max_line` cannot be kept: this model has no newline in its alphabet");
    }
    /** @type {Map<number, Compiled>} by the characters that the first line may still have, those of the last text */
    this.compiled = new Map();
    const listed = listOf(settings.words);
    if (listed && !knownWords(listed, tokenizer).length) {
      throw fault("the list of words has none in letters that this model knows");
    }
    this.vocabulary = settings.words ? new Vocabulary(listed ?? words, tokenizer) : null;
    this.rhymes = settings.rhyme ? rhymesOf(listed ?? words, tokenizer, record) : null;
  }

  /**
   * The guide of what follows a text, which need not keep to any rule itself; null if no rule is set.
   * @param {string} text
   * @returns {Generator<null, Guide | null>} yields after each piece of work
   */
  *after(text) {
    const ended = this.record ? text.lastIndexOf(this.record) : -1;
    const begun = ended < 0 ? text : text.slice(ended + this.record.length);
    const column = Array.from(begun.slice(begun.lastIndexOf("\n") + 1)).length;
    const { automata, joined } = yield* this.automataAt(Math.max(0, this.longest - column));
    const words = this.vocabulary ? [WordGuide.after(this.vocabulary, begun)] : [];
    const parts = [...joined.map((each) => new MatchGuide(each)), ...words];
    if (!parts.length) return null;
    const guide = allOf(parts);
    if (guide.ready) yield* guide.ready();
    if (guide.distances().every((distance) => distance === Infinity)) {
      throw this.nothingFollows([...automata.map((each) => new MatchGuide(each)), ...words]);
    }
    return guide;
  }

  /**
   * All automata, and the same in as few as can be.
   * @param {number} first the characters that the first line may still have
   * @returns {Generator<null, Compiled>}
   */
  *automataAt(first) {
    const known = this.compiled.get(first);
    if (known) return known;
    const lines = { name: "max_line", pattern: `[^\n]{0,${first}}(?:\n[^\n]{0,${this.longest}})*`, end: "" };
    /** @type {Compiled} */
    const { automata, joined } = { automata: [], joined: [] };
    for (const { name, pattern, end } of [...this.patterns, ...(this.longest ? [lines] : [])]) {
      const automaton = yield* automatonOf(pattern, this.tokenizer, { end, name });
      const together = joined.length ? yield* both(joined[joined.length - 1], automaton) : null;
      if (together) joined[joined.length - 1] = together;
      else joined.push(automaton);
      automata.push(automaton);
    }
    this.compiled.clear();
    this.compiled.set(first, { automata, joined });
    return { automata, joined };
  }

  /** @param {Guide[]} parts */
  nothingFollows(parts) {
    const names = this.given.map((name) => `\`${name}\``);
    const all = names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]} together`;
    const ways = new Ways();
    if (ways.way(new Joint(parts))?.steps === 0) return fault(`no text but the empty one keeps to ${all}`);
    const decoder = this.tokenizer.decoder();
    const farthest = ways.farthest.map((token) => decoder.push(token)).join("") + decoder.flush();
    return fault(`no text was found that keeps to ${all}: nothing can follow ${quoted(farthest)}`);
  }
}

/** @param {string | string[] | null} [starts] */
function startsOf(starts) {
  if (typeof starts === "string") return starts ? starts.split(",").map((start) => start.trim()) : [];
  return starts ?? [];
}

/** The words of a list, or of a text; null if none is given. @param {boolean | string | string[] | null} [words] */
function listOf(words) {
  if (Array.isArray(words)) return findWords(words.join("\n"));
  return typeof words === "string" ? findWords(words) : null;
}

/** @param {string[]} words @param {Tokenizer} tokenizer @param {string} record */
function rhymesOf(words, tokenizer, record) {
  if (record) throw fault("`rhyme` is for a network that has read one text, and no list of texts");
  if (tokenizer.kind !== "char") throw fault("`rhyme` is for a network of characters", "Train one with `tokenizer='char'`.");
  if (!hasNewline(tokenizer)) throw fault("`rhyme` cannot be kept: this model has no newline in its alphabet");
  const known = knownWords(words, tokenizer);
  if (!known.length) {
    const what = "this network knows no words that could rhyme: its text has none, or is older than their list";
    throw fault(what, "Train it again, or give it a list of words.");
  }
  const rhymes = new Rhymes(known);
  if (!known.some((word) => rhymes.of(word).length)) throw fault("no two of the words rhyme", "Give it a longer list of words.");
  return rhymes;
}

/** @param {string[]} starts @param {Tokenizer} tokenizer */
function checkStarts(starts, tokenizer) {
  const { kind, vocabulary, unknown } = tokenizer;
  starts.forEach((start, k) => {
    if (start.includes("\n")) throw fault(`\`starts=${quoted(start)}\` must be texts of one line`);
    if (kind !== "char") return;
    const characters = Array.from(start);
    const at = characters.findIndex((each) => [-1, unknown].includes(vocabulary.indexOf(each)));
    if (at >= 0) throw notInAlphabet(characters[at], at, `line ${k + 1} of starts`);
  });
  if (starts.length > 1 && !hasNewline(tokenizer)) {
    throw fault("`starts` cannot be kept: this model has no newline in its alphabet");
  }
}

/** @param {Tokenizer} tokenizer */
function hasNewline({ kind, vocabulary }) {
  return kind !== "char" || vocabulary.includes("\n");
}
