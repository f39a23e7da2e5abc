/**
 * Passages that a text says again. With run_d the length of the passage that ends both here and d tokens earlier,
 *
 *     run_d(t) = run_d(t - 1) + 1   if x_(t-d) = x_t, else 0
 *     logit of x_(t-d+1) -= run_d(t) - n + 1      where run_d(t) ≥ n, the length allowed; the largest penalty counts
 *
 * A word that has only one ending keeps it: the penalty decides where there is a choice.
 */
const WINDOW = 4096;

export class Repeats {
  /** @param {number[]} recent the tokens before */
  constructor(recent) {
    /** @type {number[]} */
    this.read = [];
    this.runs = new Int32Array(WINDOW + 1);
    for (const token of recent.slice(-WINDOW)) this.push(token);
  }

  /** @returns {Repeats} */
  copy() {
    return Object.assign(Object.create(Repeats.prototype), { read: [...this.read], runs: this.runs.slice() });
  }

  /** @param {number} token */
  push(token) {
    const { read, runs } = this;
    const end = read.length;
    const farthest = Math.min(WINDOW, end);
    for (let d = 1; d <= farthest; d++) runs[d] = read[end - d] === token ? runs[d] + 1 : 0;
    read.push(token);
  }

  /**
   * @param {Float64Array} logits changed in place
   * @param {number} allowed tokens that may be said again
   */
  penalise(logits, allowed) {
    const { read, runs } = this;
    const penalties = new Map();
    const farthest = Math.min(WINDOW, read.length);
    for (let d = 1; d <= farthest; d++) {
      if (runs[d] < allowed) continue;
      const next = read[read.length - d];
      penalties.set(next, Math.max(penalties.get(next) ?? 0, runs[d] - allowed + 1));
    }
    for (const [token, penalty] of penalties) logits[token] -= penalty;
  }

  /**
   * Remove the last token if the text ends with so many of it, unless no other is left.
   * @param {Float64Array} logits changed in place
   * @param {number} most
   */
  endRun(logits, most) {
    const last = this.read[this.read.length - 1];
    const end = this.read.slice(-most);
    if (end.length < most || end.some((token) => token !== last)) return;
    if (logits.some((logit, token) => token !== last && logit > -Infinity)) logits[last] = -Infinity;
  }
}
