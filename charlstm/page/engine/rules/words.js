/**
 * A rule that lets letters form only words of the training text. A word is a run of letters and the marks on them, with
 * single apostrophes between letters.
 *
 * - Letters may only go on so that a known word can still be completed, and a word ends only where it is a known one.
 * - A word that the text has in lower case may also begin with a capital. One that it has only with capitals, a name,
 *   keeps them.
 * - A hyphen separates, so both parts of "well-made" have to be known. Endings have to be known with their word.
 * - The text before may end inside a word: if no known word begins like that, it may end in any way.
 * - Digits, punctuation, blanks and line ends are free.
 *
 * What has been written of a word is the letters since the last separator, or null inside a word that is not known.
 *
 * @typedef {import("../tokenizers.js").Tokenizer} Tokenizer
 * @typedef {import("./ways.js").Guide} Guide
 */
import { fault } from "./faults.js";

const APOSTROPHES = "'’";
const LONGEST_BEGINNING = 1000; // characters that are looked at for the beginning of a word
const MOST_CACHED = 2_000_000; // distances that are remembered

/** Reads the list of words of a checkpoint, which is compressed. @param {Uint8Array} packed @returns {Promise<string[]>} */
export async function unpackWords(packed) {
  const unpacked = new Blob([/** @type {any} */ (packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const text = await new Response(unpacked).text();
  return text ? text.split("\n") : [];
}

/** The words of a text in order, as they are written. @param {string} text @returns {string[]} */
export function findWords(text) {
  return text.match(/[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*/gu) ?? [];
}

/** Those of some words that a network can write. @param {string[]} words @param {Tokenizer} tokenizer */
export function knownWords(words, { kind, vocabulary, unknown }) {
  if (kind !== "char") return words;
  const known = new Set(vocabulary.filter((_, id) => id !== unknown));
  return words.filter((word) => Array.from(word).every((letter) => known.has(letter)));
}

/** The words that a rule allows, and for each beginning of a word what may follow. */
export class Vocabulary {
  /** @param {string[]} words as the text has them, with their capitals @param {Tokenizer} tokenizer */
  constructor(words, tokenizer) {
    if (tokenizer.kind === "byte") throw fault("words cannot be kept to by a network of bytes, which has no letters");
    const forms = new Set(words.flatMap((word) => (isLower(word) ? [word, capitalised(word)] : [word])));
    this.words = knownWords([...forms], tokenizer).sort();
    if (!this.words.length) {
      const what = "this network knows no words: its text has none, or is older than their list";
      throw fault(what, "Train it again, or leave the rule out.");
    }
    this.tokens = Array.from({ length: tokenizer.vocabSize }, (_, token) => textOf(token, tokenizer));
    /** @type {Map<string, number[]>} by the letter or apostrophe that they begin with; single others all do the same */
    this.byFirst = new Map();
    this.tokens.forEach((text, token) => {
      const [first = ""] = text;
      const group = isLetter(first) || isApostrophe(first) ? first : "";
      if (group || text !== first || !text) this.byFirst.set(group, [...(this.byFirst.get(group) ?? []), token]);
    });
    /** @type {Map<string | null, Float64Array>} */
    this.known = new Map();
  }

  /** The number of words before a text in their order. @param {string} text */
  placeOf(text) {
    let [low, high] = [0, this.words.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.words[middle] < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether a run of letters is a whole word; an apostrophe after one is a quotation mark. @param {string} beginning */
  isWord(beginning) {
    const whole = beginning.replace(/['’]+$/, "");
    return whole === "" || this.words[this.placeOf(whole)] === whole;
  }

  /** Whether a known word begins like that. @param {string} beginning */
  begins(beginning) {
    return this.words[this.placeOf(beginning)]?.startsWith(beginning) ?? false;
  }

  /** Whether a text may end after a beginning of a word. @param {string | null} beginning */
  mayEnd(beginning) {
    return beginning === null || this.isWord(beginning);
  }

  /**
   * What a beginning of a word becomes by more text; undefined if a word would end that is not known, or none begins so.
   * @param {string | null} beginning @param {string} text @returns {string | null | undefined}
   */
  after(beginning, text) {
    /** @type {string | null | undefined} */
    let now = beginning;
    for (const character of text) {
      now = this.afterOne(now, character);
      if (now === undefined) return undefined;
    }
    return now;
  }

  /** @param {string | null} beginning @param {string} character */
  afterOne(beginning, character) {
    const longer = beginning === null ? null : beginning + character;
    if (isLetter(character)) return longer === null || this.begins(longer) ? longer : undefined;
    // An apostrophe belongs to the word before it, and no letter may follow unless a word goes on like that.
    const belongs = isApostrophe(character) && beginning !== null && isLetter(Array.from(beginning).pop() ?? "");
    const goesOn = belongs && longer !== null && this.begins(longer);
    if (beginning !== null && !goesOn && !this.isWord(beginning)) return undefined;
    return belongs ? longer : "";
  }

  /** How far the end of a word is after each token that follows its beginning. @param {string | null} beginning */
  distances(beginning) {
    let distances = this.known.get(beginning);
    if (distances) return distances;
    if (this.known.size * this.tokens.length >= MOST_CACHED) this.known.clear();
    distances = new Float64Array(this.tokens.length).fill(this.distance(beginning, " "));
    for (const [first, tokens] of this.byFirst) {
      const goesOn = beginning === null || !first || isApostrophe(first) || this.begins(beginning + first);
      for (const token of tokens) distances[token] = goesOn ? this.distance(beginning, this.tokens[token]) : Infinity;
    }
    this.known.set(beginning, distances);
    return distances;
  }

  /** @param {string | null} beginning @param {string} text */
  distance(beginning, text) {
    const after = this.after(beginning, text);
    if (after === undefined || !text) return Infinity;
    return this.mayEnd(after) ? 0 : 1;
  }
}

/** This rule, after a text. @implements {Guide} */
export class WordGuide {
  /** @param {Vocabulary} vocabulary @param {string | null} beginning */
  constructor(vocabulary, beginning) {
    this.vocabulary = vocabulary;
    this.beginning = beginning;
    this.key = beginning ?? "-";
  }

  /** After any text, whose own words need not be known. @param {Vocabulary} vocabulary @param {string} text */
  static after(vocabulary, text) {
    const characters = Array.from(text.slice(-LONGEST_BEGINNING));
    const end = characters.findLastIndex((each) => !isLetter(each) && !isApostrophe(each)) + 1;
    const beginning = characters.slice(end).join("").replace(/^['’]+/, "");
    const known = vocabulary.begins(beginning) || vocabulary.isWord(beginning);
    return new WordGuide(vocabulary, known ? beginning : null);
  }

  distances() {
    return this.vocabulary.distances(this.beginning).slice();
  }

  mayEnd() {
    return this.vocabulary.mayEnd(this.beginning);
  }

  /** @param {number} token */
  advance(token) {
    const text = this.vocabulary.tokens[token];
    return new WordGuide(this.vocabulary, /** @type {string | null} */ (this.vocabulary.after(this.beginning, text)));
  }
}

/** @param {string} character */
function isLetter(character) {
  return /^[\p{L}\p{M}]/u.test(character);
}

/** @param {string} character */
function isApostrophe(character) {
  return character !== "" && APOSTROPHES.includes(character);
}

/** @param {string} word */
function isLower(word) {
  return /\p{Lowercase}/u.test(word) && !/[\p{Uppercase}\p{Lt}]/u.test(word);
}

/** @param {string} word */
function capitalised(word) {
  const [first] = word;
  return first.toUpperCase() + word.slice(first.length);
}

/** The text of a token; none of the unknown symbol, and of bytes that with others could become any letter. @param {number} token @param {Tokenizer} tokenizer */
function textOf(token, tokenizer) {
  if (token === tokenizer.unknown) return "";
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(tokenizer.bytesOf(token)));
  } catch {
    return "";
  }
}
