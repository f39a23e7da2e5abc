/**
 * Several networks mixed while they write (Akten & Grierson 2016): with weights w that sum to 1,
 *
 *     p ∝ exp(Σ_k w_k log p_k)
 *
 * over all characters that any of them knows. Of a character that only some know it is the mean of those that know it.
 */
import { logSoftmax } from "./filters.js";

export class Mix {
  /**
   * @param {{network: any, tokenizer: import("./tokenizers.js").Tokenizer, weight: number}[]} members
   */
  constructor(members) {
    this.members = members;
    const total = members.reduce((sum, { weight }) => sum + weight, 0);
    this.weights = members.map(({ weight }) => weight / total);
    const known = members.map(({ tokenizer }) =>
      tokenizer.vocabulary.filter((_, id) => id !== tokenizer.unknown),
    );
    this.vocabulary = [...new Set(known.flat())].sort(byCodePoint);
    this.vocabSize = this.vocabulary.length;
    /** For each member the id that it has for each token of the mix, or -1. */
    this.ids = members.map(({ tokenizer }) => {
      const own = new Map(tokenizer.vocabulary.map((text, id) => [text, id]));
      if (tokenizer.unknown !== null) own.delete(tokenizer.vocabulary[tokenizer.unknown]);
      return this.vocabulary.map((text) => own.get(text) ?? -1);
    });
    /** What a member reads for a character that it does not know: its unknown symbol, a blank, or its first token. */
    this.strangers = members.map(({ tokenizer }) => {
      const blank = tokenizer.vocabulary.indexOf(" ");
      return tokenizer.unknown ?? (blank >= 0 ? blank : 0);
    });
  }

  empty() {
    return { members: this.members.map(({ network }) => network.empty()), frozen: false };
  }

  /** @param {number} token @param {any} state */
  step(token, state) {
    const steps = this.members.map(({ network }, k) => {
      const id = this.ids[k][token] >= 0 ? this.ids[k][token] : this.strangers[k];
      return network.step(id, { ...state.members[k], frozen: state.frozen });
    });
    const logs = steps.map(({ logits }) => logSoftmax(logits));
    const logits = Float32Array.from(this.vocabulary, (_, id) => {
      let [sum, weight] = [0, 0];
      this.ids.forEach((own, k) => {
        if (own[id] < 0 || !this.weights[k]) return;
        sum += this.weights[k] * logs[k][own[id]];
        weight += this.weights[k];
      });
      return weight ? sum / weight : -Infinity;
    });
    return { logits, state: { members: steps.map((step) => step.state), frozen: state.frozen }, steps };
  }
}

/** @param {string} a @param {string} b */
function byCodePoint(a, b) {
  return (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
}
