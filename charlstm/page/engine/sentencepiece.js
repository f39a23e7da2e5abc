/**
 * SentencePiece models (Kudo & Richardson 2018), unigram or BPE: pieces of words as ids. A newline has an id of its own,
 * and what no piece can spell is spelled in bytes.
 */
import { utf8Decoder } from "./utf8.js";

const SPACE = "\u2581";
const LONGEST_RUN = 4096;
const NORMAL = 1, UNKNOWN = 2, USER_DEFINED = 4, BYTE = 6; // sentencepiece_model.proto, ModelProto.SentencePiece.Type
const BPE = 2; // TrainerSpec.ModelType

/** @typedef {import("./tokenizers.js").Tokenizer} Tokenizer */

/** @implements {Tokenizer} */
export class SentencePieces {
  /** @param {string} model the serialised model in base64 */
  constructor(model) {
    this.kind = /** @type {const} */ ("sentencepiece");
    const { pieces, type } = readModel(Uint8Array.from(atob(model), (character) => character.charCodeAt(0)));
    this.pieces = pieces;
    this.bpe = type === BPE;
    this.vocabSize = pieces.length;
    this.unknown = pieces.findIndex((piece) => piece.type === UNKNOWN);
    this.ids = new Map(pieces.map(({ text }, id) => [text, id]));
    this.own = pieces.filter((piece) => piece.type === USER_DEFINED).map(({ text }) => text);
    const scores = pieces.filter((piece) => piece.type === NORMAL).map(({ score }) => score);
    this.least = Math.min(...scores);
    this.most = Math.max(...scores);
    this.longest = Math.max(...pieces.map(({ text }) => text.length));
    this.vocabulary = pieces.map(({ text, type: kind }) =>
      kind === BYTE ? `\\x${text.slice(3, 5).toLowerCase()}` : text.replaceAll(SPACE, " "),
    );
  }

  /** @param {string} text */
  encode(text) {
    const lines = text.split("\n").map((line) => {
      const characters = Array.from(line);
      const runs = [];
      for (let at = 0; at < characters.length; at += LONGEST_RUN) runs.push(characters.slice(at, at + LONGEST_RUN));
      return runs.flatMap((run) => this.encodeRun(run.join("")));
    });
    const newline = /** @type {number} */ (this.ids.get("\n"));
    return lines.flatMap((line, k) => (k ? [newline, ...line] : line));
  }

  /** U+2581 would be taken for a space, so it is spelled in bytes. @param {string} run @returns {number[]} */
  encodeRun(run) {
    return run.split(new RegExp(`(${SPACE}+)`)).flatMap((part) => {
      if (part.startsWith(SPACE)) return this.spell(part);
      const pieces = (this.bpe ? this.merge : this.segment).call(this, part.replaceAll(" ", SPACE));
      return pieces.flatMap((piece) => {
        const id = this.ids.get(piece);
        return id === undefined || id === this.unknown ? this.spell(piece) : [id];
      });
    });
  }

  /** The ids of the bytes of a text. @param {string} text @returns {number[]} */
  spell(text) {
    return Array.from(new TextEncoder().encode(text), (byte) => {
      const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      return /** @type {number} */ (this.ids.get(name));
    });
  }

  /** The segmentation with the highest sum of scores (Viterbi). @param {string} text @returns {string[]} */
  segment(text) {
    const characters = Array.from(text);
    const best = [0, ...Array(characters.length).fill(-Infinity)];
    const begins = Array(characters.length + 1).fill(0);
    for (let begin = 0; begin < characters.length; begin++) {
      let piece = "";
      for (let end = begin + 1; end <= characters.length && piece.length < this.longest; end++) {
        piece += characters[end - 1];
        const score = this.scoreOf(piece, end - begin);
        if (best[begin] + score > best[end]) [best[end], begins[end]] = [best[begin] + score, begin];
      }
    }
    const pieces = [];
    for (let end = characters.length; end > 0; end = begins[end]) {
      pieces.unshift(characters.slice(begins[end], end).join(""));
    }
    return pieces;
  }

  /** @param {string} piece @param {number} length */
  scoreOf(piece, length) {
    const id = this.ids.get(piece);
    const known = id === undefined ? null : this.pieces[id];
    if (known?.type === USER_DEFINED) return new TextEncoder().encode(piece).length * this.most - 0.1;
    if (known?.type === NORMAL) return known.score;
    return length === 1 ? this.least - 10 : -Infinity;
  }

  /** Merge the pair with the highest score, the first of equals, until none is left. @param {string} text */
  merge(text) {
    const parts = this.own.reduce(
      (/** @type {string[]} */ split, own) => split.flatMap((part) => (this.own.includes(part) ? [part] : around(part, own))),
      [text],
    );
    return parts.flatMap((part) => {
      if (this.own.includes(part)) return [part];
      const pieces = Array.from(part);
      for (;;) {
        let [place, most] = [-1, -Infinity];
        for (let k = 0; k + 1 < pieces.length; k++) {
          const id = this.ids.get(pieces[k] + pieces[k + 1]);
          if (id !== undefined && this.pieces[id].type === NORMAL && this.pieces[id].score > most) {
            [place, most] = [k, this.pieces[id].score];
          }
        }
        if (place < 0) return pieces;
        pieces.splice(place, 2, pieces[place] + pieces[place + 1]);
      }
    });
  }

  /** @returns {import("./tokenizers.js").Decoder} */
  decoder() {
    return utf8Decoder((token) => this.bytesOf(token));
  }

  /** @param {number} token */
  bytesOf(token) {
    const { text, type } = this.pieces[token];
    if (type === BYTE) return [parseInt(text.slice(3, 5), 16)];
    return Array.from(new TextEncoder().encode(type === UNKNOWN ? "\ufffd" : text.replaceAll(SPACE, " ")));
  }
}

/** A text cut around a piece, which stays. @param {string} text @param {string} piece */
function around(text, piece) {
  return text.split(piece).flatMap((part, k) => (k ? [piece, part] : [part])).filter(Boolean);
}

/**
 * Read the pieces and the kind of a serialised model: the fields of a protocol buffer that matter here.
 * @param {Uint8Array} bytes
 */
function readModel(bytes) {
  const pieces = [];
  let type = 1;
  for (const [field, value] of fields(bytes)) {
    if (field === 1) {
      const piece = { text: "", score: 0, type: NORMAL };
      for (const [inner, content] of fields(value)) {
        if (inner === 1) piece.text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(content);
        if (inner === 2) piece.score = new DataView(content.buffer, content.byteOffset).getFloat32(0, true);
        if (inner === 3) piece.type = content;
      }
      pieces.push(piece);
    }
    if (field === 2) for (const [inner, content] of fields(value)) if (inner === 3) type = content;
  }
  return { pieces, type };
}

/** The fields of a message. @param {Uint8Array} bytes @returns {Generator<[number, any]>} */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) yield [Math.floor(key / 8), varint()];
    else {
      const length = wire === 2 ? varint() : wire === 5 ? 4 : 8;
      yield [Math.floor(key / 8), bytes.subarray(at, at + length)];
      at += length;
    }
  }
}
