/**
 * Reading texts: the network after any text, without reading again what it has read before.
 *
 * States are values, so those after every 32 tokens of what was read last are kept, by a hash of the tokens before, and
 * those after the last few texts. A text that shares its beginning with an earlier one is read from the last such place on.
 *
 * @typedef {import("./network.js").Step} Step
 * @typedef {import("./network.js").State} State
 */

const EVERY = 32;
const MOST = 600;
const ENDS = 8; // of texts

export class Reader {
  /** @param {{empty: () => any, step: (token: number, state: any) => any}} network */
  constructor(network) {
    this.network = network;
    /** @type {Map<string, any>} */
    this.kept = new Map();
    /** @type {Map<string, any>} */
    this.ends = new Map();
  }

  /**
   * Read a text.
   * @param {number[]} ids at least one
   * @param {number} from the first token whose step is wanted
   * @returns {Generator<Step>} the steps of the tokens from there on
   */
  *read(ids, from = 0) {
    const { keys, before, end } = prefixKeys(ids, from);
    let state = this.network.empty();
    let place = 0;
    const last = this.ends.get(before);
    if (last && from) [state, place] = [last.state, from];
    for (let known = Math.floor(from / EVERY); known > 0 && !place; known--) {
      const step = this.kept.get(keys[known - 1]);
      if (step) [state, place] = [step.state, known * EVERY];
    }
    for (; place < ids.length; place++) {
      const step = this.network.step(ids[place], state);
      state = step.state;
      if ((place + 1) % EVERY === 0) keep(this.kept, keys[(place + 1) / EVERY - 1], step, MOST);
      if (place + 1 === ids.length) keep(this.ends, end, step, ENDS);
      if (place >= from) yield step;
    }
  }

  /**
   * The network after a text.
   * @param {number[]} ids at least one
   * @returns {Step}
   */
  after(ids) {
    let last = this.ends.get(prefixKeys(ids, 0).end);
    if (!last) for (const step of this.read(ids, ids.length - 1)) last = step;
    return /** @type {Step} */ (last);
  }
}

/** Keep a step, and forget the oldest. @param {Map<string, any>} kept @param {string} key @param {any} step @param {number} most */
function keep(kept, key, step, most) {
  kept.delete(key);
  kept.set(key, step);
  if (kept.size > most) kept.delete(/** @type {string} */ (kept.keys().next().value));
}

/**
 * Keys of beginnings, which are two hashes each: of 32, 64, … tokens, of those before a place, and of the whole.
 * @param {number[]} ids
 * @param {number} from
 */
function prefixKeys(ids, from) {
  const keys = [];
  let before = "";
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let place = 0; place < ids.length; place++) {
    if (place === from) before = `${place - 1}:${a}:${b}`;
    a = Math.imul(a ^ ids[place], 0x01000193);
    b = Math.imul(b ^ (b >>> 15) ^ ids[place], 0x2c1b3c6d);
    if ((place + 1) % EVERY === 0) keys.push(`${place}:${a}:${b}`);
  }
  return { keys, before, end: `${ids.length - 1}:${a}:${b}` };
}
