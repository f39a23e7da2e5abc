/**
 * Filling blanks. Candidates grow from the left, a token at a time, and the best are kept (beam search). The text after
 * a blank then scores them: x fills it as well as the whole text is likely with x in it,
 *
 *     log p(x | left, right) = log p(x | left) + log p(right | left x) - a constant
 *
 * A causal network proposes without seeing the right side, and scores every token to the end of the text. A
 * bidirectional one sees the right side as it proposes, which is enough unless the length is variable: then a few tokens
 * to the right are hidden as well, and scored.
 *
 * @typedef {object} Reading how a search uses a network
 * @property {(ids: number[]) => any} begin read the text before the first blank
 * @property {(ids: number[]) => any} readRight read the text from a blank on, MASK where a token is unknown
 * @property {(left: any, right: any, index: number) => Float32Array} predict the logits at a place of it
 * @property {(left: any, token: number) => any} advance
 * @property {(variable: boolean) => number} lookahead how many tokens after a blank are scored
 *
 * @typedef {{left: any, blanks: number[][], nats: number}} Candidate
 */
import { BidirectionalNetwork } from "./bidirectional.js";
import { parseBlanks } from "./blanks.js";
import { logSoftmax } from "./filters.js";

const WIDTH = 24;
const NEAR = 16; // tokens read after a blank before candidates of all its lengths are compared
const ASSUMED = 4; // masks that stand for a later blank of variable length
const LOOKAHEAD = 8;
const HOPELESS = 30; // nats below the best: such a candidate is not read any further
const MASK = -1;

/**
 * @param {any} network
 * @param {import("./tokenizers.js").Tokenizer} tokenizer
 * @param {string} text with blanks
 * @param {number} count how many answers
 * @param {number} width how many candidates are kept
 * @returns {Generator<null, {text: string, blanks: string[], share: number}[]>} yields after each piece of work
 */
export function* fill(network, tokenizer, text, count, width = WIDTH) {
  const { texts, blanks } = parseBlanks(text);
  const known = texts.map((each) => tokenizer.encode(each));
  const reading = network instanceof BidirectionalNetwork ? masked(network) : causal(network);
  const banned = tokenizer.vocabulary.flatMap((each, id) => (each.includes("\n") || id === tokenizer.unknown ? [id] : []));
  const wordEnds = known[known.length - 1].length
    ? []
    : tokenizer.vocabulary.flatMap((each, id) => (/^[\s\p{P}]/u.test(each) ? [id] : []));
  const opening = known[0].length ? known[0] : [Math.max(0, tokenizer.vocabulary.indexOf("\n"))];
  /** @type {Candidate[]} */
  let candidates = [{ left: reading.begin(opening), blanks: [], nats: 0 }];
  for (let number = 0; number < blanks.length; number++) {
    const { shortest, longest } = blanks[number];
    const after = known[number + 1];
    const isLast = number === blanks.length - 1;
    const scored = Math.min(after.length, reading.lookahead(shortest < longest));
    const needed = isLast ? scored : after.length;
    const rest = [...after.slice(scored), ...masks(blanks, known, number + 1), ...(wordEnds.length ? [MASK] : [])];
    /** @type {Candidate[]} */
    const all = [];
    for (let length = shortest; length <= longest; length++) {
      const right = reading.readRight([...Array(length + scored).fill(MASK), ...rest]);
      let some = candidates.map(({ left, blanks: filled, nats }) => ({
        left,
        blanks: [...filled, /** @type {number[]} */ ([])],
        nats: nats - Math.log(longest - shortest + 1),
      }));
      for (let index = 0; index < length; index++) {
        some = extend(reading, some, right, index, banned, width);
        yield null;
      }
      for (let index = 0; index < Math.min(NEAR, needed); index++) {
        some = some.map((each) => read(reading, each, after[index], right, length + index, index < scored));
        yield null;
      }
      if (wordEnds.length && isLast) some = some.map((each) => endWord(reading, each, right, length, wordEnds));
      all.push(...some);
    }
    candidates = best(all, width);
    for (const token of after.slice(NEAR, needed)) {
      candidates = best(candidates, Math.max(count, candidates.filter(hopeful(candidates)).length));
      candidates = candidates.map((each) => read(reading, each, token, null, 0, scored > NEAR));
      yield null;
    }
  }
  return answers(candidates, tokenizer, texts, count);
}

/**
 * Extend every candidate by every token, and keep the best.
 * @param {Reading} reading @param {Candidate[]} candidates @param {any} right @param {number} index
 * @param {number[]} banned @param {number} width
 */
function extend(reading, candidates, right, index, banned, width) {
  const children = candidates.flatMap((parent) => {
    const logits = Float32Array.from(reading.predict(parent.left, right, index));
    for (const token of banned) logits[token] = -Infinity;
    return Array.from(logSoftmax(logits), (log, token) => ({ parent, token, nats: parent.nats + log }));
  });
  return best(children, width).map(({ parent, token, nats }) => ({
    left: reading.advance(parent.left, token),
    blanks: [...parent.blanks.slice(0, -1), [...parent.blanks[parent.blanks.length - 1], token]],
    nats,
  }));
}

/**
 * Read a token of the known text.
 * @param {Reading} reading @param {Candidate} candidate @param {number} token @param {any} right @param {number} index
 * @param {boolean} scored
 */
function read(reading, candidate, token, right, index, scored) {
  const added = scored ? logSoftmax(reading.predict(candidate.left, right, index))[token] : 0;
  return { ...candidate, left: reading.advance(candidate.left, token), nats: candidate.nats + added };
}

/**
 * Score that a word ends at a place.
 * @param {Reading} reading @param {Candidate} candidate @param {any} right @param {number} index @param {number[]} ends
 */
function endWord(reading, candidate, right, index, ends) {
  const logs = logSoftmax(reading.predict(candidate.left, right, index));
  return { ...candidate, nats: candidate.nats + Math.log(ends.reduce((sum, id) => sum + Math.exp(logs[id]), 0)) };
}

/** The tokens from a later blank on, MASK in each blank. @param {import("./blanks.js").Blank[]} blanks @param {number[][]} known @param {number} number */
function masks(blanks, known, number) {
  return blanks.slice(number).flatMap(({ shortest, longest }, k) => {
    const length = Math.min(longest, Math.max(shortest, ASSUMED));
    return [...Array(length).fill(MASK), ...known[number + 1 + k]];
  });
}

/** @template {{nats: number}} T @param {T[]} candidates @param {number} count @returns {T[]} */
function best(candidates, count) {
  return candidates
    .filter(({ nats }) => nats > -Infinity)
    .sort((a, b) => b.nats - a.nats)
    .slice(0, count);
}

/** @param {Candidate[]} candidates @returns {(candidate: Candidate) => boolean} */
function hopeful(candidates) {
  const least = Math.max(...candidates.map(({ nats }) => nats)) - HOPELESS;
  return ({ nats }) => nats >= least;
}

/** @param {Candidate[]} candidates @param {import("./tokenizers.js").Tokenizer} tokenizer @param {string[]} texts @param {number} count */
function answers(candidates, tokenizer, texts, count) {
  const shares = logSoftmax(Float64Array.from(candidates, ({ nats }) => nats)).map(Math.exp);
  return best(candidates.map((each, k) => ({ ...each, share: shares[k] })), count).map(({ blanks: filled, share }) => {
    const blanks = filled.map((ids) => {
      const decoder = tokenizer.decoder();
      return ids.map((id) => decoder.push(id)).join("") + decoder.flush();
    });
    return { text: texts.map((text, k) => text + (blanks[k] ?? "")).join(""), blanks, share };
  });
}

/** @param {import("./network.js").Network} network @returns {Reading} */
function causal(network) {
  return {
    begin: (ids) => ids.reduce((/** @type {any} */ left, id) => network.step(id, left?.state ?? network.empty()), null),
    readRight: () => null,
    predict: (left) => left.logits,
    advance: (left, token) => network.step(token, left.state),
    lookahead: () => Infinity,
  };
}

/** @param {BidirectionalNetwork} network @returns {Reading} */
function masked(network) {
  return {
    begin: (ids) => network.begin(ids),
    readRight: (ids) => {
      const end = ids.findIndex((id) => id !== MASK);
      const reach = (end < 0 ? ids.length : end) + network.reach;
      return network.future(ids.slice(0, reach).map((id) => (id === MASK ? network.mask : id)));
    },
    predict: (left, right, index) => network.predict(left, right[index]),
    advance: (left, token) => network.advance(left, token),
    lookahead: (variable) => (variable ? LOOKAHEAD : 0),
  };
}
