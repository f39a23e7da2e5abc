/**
 * Side inputs: rows of tables, chosen by the tokens read so far, whose sum is added to the embedding of a token.
 *
 * With x_t the id of the token at step t plus 1, and 0 before the start of the text:
 *
 *     h_1(t) = mix(x_t)
 *     h_n(t) = mix(h_(n-1)(t) · P + x_(t-n+1))        hash of the n tokens that end at step t
 *
 * Two tables are known. Of the *n-gram embeddings* a token has the rows h_2, h_3, … modulo the number of rows. The
 * *match memory* looks up what followed the last time that the same n tokens were read:
 *
 *     M_n[h_n(t-1) mod R] = (tag of h_n(t-1), x_t)    stores what followed the n tokens before
 *     f_n(t) = the number in M_n[h_n(t) mod R] if its tag is that of h_n(t), else 0
 *
 * A frozen memory is only read: a network that finds what it has just written would write it again.
 *
 * @typedef {object} History what was read last; a value, never changed
 * @property {number[]} numbers ids plus 1, the newest first
 * @property {number[]} hashes of the n-grams of 2, 3, … tokens that end at the newest
 * @property {number[]} previous the hashes of the step before
 * @typedef {Int32Array[]} Slots the slots of a match memory, in blocks that states share; a value, never changed
 * @typedef {{history: History, slots: Slots}} SideState
 */

const BITS = 0x7fffffff;
const P = 0x1e3779b1;
const C = 0x2c1b3c6d;
const NUMBER_BITS = 21;
const TAG_BITS = 10;
const BLOCK = 128;

/** 31 bits, each of which depends on every bit of the value. @param {number} value */
function mix(value) {
  const bits = value & BITS;
  const mixed = Math.imul(bits ^ (bits >>> 15), C) & BITS; // the low 32 bits of a product are exact
  return mixed ^ (mixed >>> 12);
}

/**
 * The hashes of the n-grams of 2, 3, … tokens that end at the newest.
 * @param {number[]} numbers the newest first
 */
function ngramHashes(numbers) {
  let hash = mix(numbers[0]);
  return numbers.slice(1).map((number) => (hash = mix((Math.imul(hash, P) + number) | 0)));
}

/** @param {number} length @returns {History} */
function emptyHistory(length) {
  const numbers = Array(length).fill(0);
  const hashes = ngramHashes(numbers);
  return { numbers, hashes, previous: hashes };
}

export class SideInputs {
  /**
   * @param {Record<string, any>} architecture
   * @param {Map<string, import("./checkpoint.js").Tensor>} tensors
   */
  constructor(architecture, tensors) {
    this.vocabSize = architecture.vocab_size;
    this.order = architecture.ngram_order >= 2 ? architecture.ngram_order : 0;
    this.buckets = architecture.ngram_buckets;
    /** @type {number[]} */
    this.matchOrders = architecture.match_orders ?? [];
    this.matchSlots = architecture.match_slots;
    this.ngrams = tensors.get("side_inputs.ngrams.weight");
    this.matches = tensors.get("side_inputs.match.weight");
    this.length = Math.max(this.order, ...this.matchOrders, 0);
    this.scratch = new Float32Array(architecture.embedding_size);
  }

  /** The memories before any text. @returns {SideState} */
  empty() {
    const blocks = this.matchOrders.length * Math.ceil(this.matchSlots / BLOCK);
    return { history: emptyHistory(this.length), slots: Array(blocks).fill(new Int32Array(BLOCK)) };
  }

  /**
   * Read a token.
   * @param {number} token
   * @param {SideState} state
   * @param {boolean} frozen whether the match memory stores nothing
   * @returns {{state: SideState, ngrams: number[], matches: number[]}} the memories after it, and the rows of each table
   */
  rows(token, { history: before, slots }, frozen) {
    if (!this.length) return { state: { history: before, slots }, ngrams: [], matches: [] };
    const numbers = [token + 1, ...before.numbers.slice(0, -1)];
    const history = { numbers, hashes: ngramHashes(numbers), previous: before.hashes };
    const ngrams = this.order ? history.hashes.slice(0, this.order - 1).map((hash) => hash % this.buckets) : [];
    const after = frozen ? slots : [...slots];
    const matches = this.matchOrders.map((n, k) => {
      const follower = this.follow(after, k, history.previous[n - 2], history.hashes[n - 2], token + 1, frozen);
      return k * (this.vocabSize + 1) + follower;
    });
    return { state: { history, slots: after }, ngrams, matches };
  }

  /**
   * Read a token, and add its rows to its embedding.
   * @param {number} token
   * @param {SideState} before
   * @param {boolean} frozen
   * @param {Float32Array} embedded
   * @returns {SideState}
   */
  step(token, before, frozen, embedded) {
    const { state, ngrams, matches } = this.rows(token, before, frozen);
    for (const row of ngrams) this.add(this.ngrams, row, embedded);
    for (const row of matches) this.add(this.matches, row, embedded);
    return state;
  }

  /**
   * Store what followed the n tokens before, and look up what followed those that end now.
   * @param {Slots} slots changed in place: a new list, whose blocks are replaced
   * @param {number} k which of the orders
   * @param {number} previous hash of the n tokens that end at the step before
   * @param {number} current hash of those that end now
   * @param {number} number of the token read
   * @param {boolean} frozen
   * @returns {number} f_n: the number of the token found, or 0
   */
  follow(slots, k, previous, current, number, frozen) {
    const first = k * Math.ceil(this.matchSlots / BLOCK);
    if (!frozen) {
      const place = previous % this.matchSlots;
      const block = slots[first + Math.floor(place / BLOCK)].slice();
      block[place % BLOCK] = this.tag(previous) * 2 ** NUMBER_BITS + number;
      slots[first + Math.floor(place / BLOCK)] = block;
    }
    const place = current % this.matchSlots;
    const stored = slots[first + Math.floor(place / BLOCK)][place % BLOCK];
    return stored >> NUMBER_BITS === this.tag(current) ? stored & (2 ** NUMBER_BITS - 1) : 0;
  }

  /** @param {number} hash */
  tag(hash) {
    return Math.floor(hash / this.matchSlots) & (2 ** TAG_BITS - 1);
  }

  /**
   * @param {import("./checkpoint.js").Tensor | undefined} table
   * @param {number} row
   * @param {Float32Array} embedded
   */
  add(table, row, embedded) {
    table?.row(row, this.scratch);
    for (let k = 0; k < embedded.length; k++) embedded[k] += this.scratch[k];
  }
}
