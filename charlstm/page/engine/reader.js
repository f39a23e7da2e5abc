/**
 * Reading texts: the network after any text, without reading again what it has read before.
 *
 * States are values, so those after every 32 tokens of what was read last are kept, by a hash of the tokens before. A
 * text that shares its beginning with an earlier one is read from the last such place on.
 *
 * @typedef {import("./network.js").Step} Step
 * @typedef {import("./network.js").State} State
 */

const EVERY = 32;
const MOST = 600;

export class Reader {
  /** @param {{empty: () => any, step: (token: number, state: any) => any}} network */
  constructor(network) {
    this.network = network;
    /** @type {Map<string, any>} */
    this.kept = new Map();
  }

  /**
   * Read a text.
   * @param {number[]} ids at least one
   * @param {number} from the first token whose step is wanted
   * @returns {Generator<Step>} the steps of the tokens from there on
   */
  *read(ids, from = 0) {
    const keys = prefixKeys(ids);
    let state = this.network.empty();
    let place = 0;
    for (let known = Math.floor(from / EVERY); known > 0; known--) {
      const step = this.kept.get(keys[known - 1]);
      if (!step) continue;
      [state, place] = [step.state, known * EVERY];
      break;
    }
    for (; place < ids.length; place++) {
      const step = this.network.step(ids[place], state);
      state = step.state;
      if ((place + 1) % EVERY === 0) this.keep(keys[(place + 1) / EVERY - 1], step);
      if (place >= from) yield step;
    }
  }

  /**
   * The network after a text.
   * @param {number[]} ids at least one
   * @returns {Step}
   */
  after(ids) {
    let last;
    for (const step of this.read(ids, ids.length - 1)) last = step;
    return /** @type {Step} */ (last);
  }

  /** @param {string} key @param {any} step */
  keep(key, step) {
    this.kept.delete(key);
    this.kept.set(key, step);
    if (this.kept.size > MOST) this.kept.delete(/** @type {string} */ (this.kept.keys().next().value));
  }
}

/** A key for each beginning of 32, 64, … tokens: two hashes of it. @param {number[]} ids */
function prefixKeys(ids) {
  const keys = [];
  let [a, b] = [0x811c9dc5, 0x9e3779b9];
  for (let place = 0; place < ids.length; place++) {
    a = Math.imul(a ^ ids[place], 0x01000193);
    b = Math.imul(b ^ (b >>> 15) ^ ids[place], 0x2c1b3c6d);
    if ((place + 1) % EVERY === 0) keys.push(`${place}:${a}:${b}`);
  }
  return keys;
}
