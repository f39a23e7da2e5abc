/**
 * Several networks mixed while they write (Akten & Grierson 2016). With weights w that sum to 1, for a character that all
 * know, and for one that only some know, whose weights sum to W:
 *
 *     p ∝ exp(Σ_k w_k log p_k)          p ∝ W exp(Σ_k w_k log p_k / W)
 *
 * The state has no weight in it, so they can change at every step.
 */
import { logSoftmax } from "./filters.js";

export class Mix {
  /** @param {{network: any, tokenizer: import("./tokenizers.js").Tokenizer}[]} members */
  constructor(members) {
    this.members = members;
    const tokenizers = members.map(({ tokenizer }) => tokenizer);
    this.vocabulary = mixedVocabulary(tokenizers);
    const hasUnknown = tokenizers.some(({ unknown }) => unknown !== null);
    /** The unknown symbol of the mix, if any network has one: its last token. */
    this.unknown = hasUnknown ? this.vocabulary.length - 1 : null;
    /** For each member the id that it has for each token of the mix, or -1. */
    this.ids = tokenizers.map(({ vocabulary, unknown }) => {
      const own = new Map(known({ vocabulary, unknown }).map((text) => [text, vocabulary.indexOf(text)]));
      return this.vocabulary.map((text, id) => (id === this.unknown ? (unknown ?? -1) : (own.get(text) ?? -1)));
    });
    /** What each member reads for each token: another one where it does not know it. */
    this.read = this.ids.map((ids, k) => ids.map((id, token) => (id < 0 ? standIn(this.vocabulary[token], members[k].tokenizer) : id)));
    /** @type {number[]} */
    this.weights = [];
    this.weigh(members.map(() => 1));
  }

  /** @param {number[]} weights of the members, not all 0 */
  weigh(weights) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.weights = weights.map((weight) => weight / total);
  }

  empty() {
    return { members: this.members.map(({ network }) => network.empty()), frozen: false };
  }

  /** @param {number} token @param {any} state */
  step(token, state) {
    const steps = this.members.map(({ network }, k) =>
      network.step(this.read[k][token], { ...state.members[k], frozen: state.frozen }),
    );
    const logs = steps.map(({ logits }) => logSoftmax(logits));
    const logits = Float32Array.from(this.vocabulary, (_, id) => {
      let [sum, together] = [0, 0];
      this.ids.forEach((own, k) => {
        if (own[id] < 0 || !this.weights[k]) return;
        sum += this.weights[k] * logs[k][own[id]];
        together += this.weights[k];
      });
      return together ? Math.log(together) + sum / together : -Infinity;
    });
    return { logits, state: { members: steps.map((step) => step.state), frozen: state.frozen } };
  }
}

/**
 * The tokens of a mix: the alphabet that all have, or all characters that any of them knows by their code points; last the
 * unknown symbol, if any has one.
 * @param {{vocabulary: string[], unknown: number | null}[]} tokenizers
 */
export function mixedVocabulary(tokenizers) {
  const alphabets = tokenizers.map(known);
  const same = alphabets.every((alphabet) => alphabet.join("") === alphabets[0].join(""));
  const all = [...new Set(alphabets.flat())].sort((a, b) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0));
  return [...(same ? alphabets[0] : all), ...(tokenizers.some(({ unknown }) => unknown !== null) ? ["\ufffd"] : [])];
}

/** @param {{vocabulary: string[], unknown: number | null}} tokenizer */
function known({ vocabulary, unknown }) {
  return vocabulary.filter((_, id) => id !== unknown);
}

const LOOK_ALIKES = ["'‘’‚‛`´", "\"“”„‟«»", "-‐‑‒–—−", " \t\u00a0", "\n\r\u2028\u2029"];

/**
 * The id of what a network reads for a character that it does not know: a look-alike, the letter without its accent or in
 * the other case, its unknown symbol, or a blank.
 * @param {string} character
 * @param {import("./tokenizers.js").Tokenizer} tokenizer
 */
function standIn(character, { vocabulary, unknown }) {
  const bare = character.normalize("NFKD").replace(/\p{M}/gu, "");
  const alike = LOOK_ALIKES.find((group) => group.includes(character)) ?? "";
  const near = [...alike, bare, bare.toLowerCase(), bare.toUpperCase()].find((each) => vocabulary.includes(each));
  return near !== undefined ? vocabulary.indexOf(near) : (unknown ?? Math.max(0, vocabulary.indexOf(" ")));
}
