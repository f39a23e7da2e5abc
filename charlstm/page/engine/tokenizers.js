/**
 * Tokenizers: text to the ids that a network reads, and back.
 *
 * @typedef {object} Decoder makes text of ids as they come
 * @property {(token: number) => string} push the characters that are certain now
 * @property {() => string} flush what an incomplete character becomes
 *
 * @typedef {object} Tokenizer
 * @property {"char" | "byte" | "sentencepiece"} kind
 * @property {number} vocabSize
 * @property {number | null} unknown the id that stands for all unknown characters, which is never drawn
 * @property {(text: string) => number[]} encode
 * @property {() => Decoder} decoder
 * @property {(token: number) => number[]} bytesOf the bytes of UTF-8 of an id
 * @property {string[]} vocabulary the text of each id, to be shown
 */

import { utf8 } from "./rules/characters.js";
import { SentencePieces } from "./sentencepiece.js";
import { utf8Decoder } from "./utf8.js";

/** A character that the network's alphabet lacks. */
export class UnknownCharacter extends Error {
  /** @param {string} character @param {number} at its place in the text, in characters */
  constructor(character, at) {
    super(`${JSON.stringify(character)} is not in this network's alphabet (character ${at + 1})`);
    this.character = character;
    this.at = at;
  }
}

/**
 * @param {Record<string, any>} state as a checkpoint keeps it
 * @returns {Tokenizer}
 */
export function tokenizerOf(state) {
  if (state.kind === "byte") return new Bytes();
  if (state.kind === "sentencepiece") return new SentencePieces(state.model);
  return new Characters([...state.alphabet], state.unknown);
}

/** One id for each character. @implements {Tokenizer} */
class Characters {
  /** @param {string[]} alphabet @param {boolean} unknown whether one more id stands for all others */
  constructor(alphabet, unknown) {
    this.kind = /** @type {const} */ ("char");
    this.vocabulary = unknown ? [...alphabet, "\ufffd"] : alphabet;
    this.vocabSize = this.vocabulary.length;
    this.unknown = unknown ? alphabet.length : null;
    this.ids = new Map(alphabet.map((character, id) => [character, id]));
  }

  /** @param {string} text */
  encode(text) {
    return Array.from(text, (character, at) => {
      const id = this.ids.get(character) ?? this.unknown;
      if (id === null) throw new UnknownCharacter(character, at);
      return id;
    });
  }

  /** @returns {Decoder} */
  decoder() {
    return { push: (token) => this.vocabulary[token], flush: () => "" };
  }

  /** @param {number} token */
  bytesOf(token) {
    return utf8(this.vocabulary[token].codePointAt(0) ?? 0);
  }
}

/** One id for each byte of UTF-8. @implements {Tokenizer} */
class Bytes {
  constructor() {
    this.kind = /** @type {const} */ ("byte");
    this.vocabSize = 256;
    /** @type {number | null} */
    this.unknown = null;
    this.vocabulary = Array.from({ length: 256 }, (_, byte) =>
      byte < 128 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
    );
  }

  /** @param {string} text */
  encode(text) {
    return Array.from(new TextEncoder().encode(text));
  }

  /** @returns {Decoder} */
  decoder() {
    return utf8Decoder(this.bytesOf);
  }

  /** @param {number} token */
  bytesOf(token) {
    return [token];
  }
}
