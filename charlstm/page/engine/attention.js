import { Matrix } from "./matrix.js";

/**
 * Attention of the top layer to its own past. With h the hidden states, A the size of the queries, and s ranging over
 * the last W steps up to and including t:
 *
 *     q_t = Q h_t        a_ts = exp(q_t · k_s / √A) / Σ_r exp(q_t · k_r / √A)
 *     k_s = K h_s        m_t = h_t + O Σ_s a_ts v_s
 *     v_s = V h_s
 *
 * @typedef {{key: Float32Array, value: Float32Array}[]} Memory the last steps, the newest last; a value, never changed
 */
export class Attention {
  /**
   * @param {number} window W
   * @param {Map<string, import("./checkpoint.js").Tensor>} tensors
   * @param {import("./memory.js").Memory} memory
   */
  constructor(window, tensors, memory) {
    const [query, key, value, out] = ["query", "key", "value", "out"].map((name) =>
      Matrix.of(/** @type {import("./checkpoint.js").Tensor} */ (tensors.get(`attention.${name}`)), memory),
    );
    this.window = window;
    this.query = query;
    this.key = key;
    this.value = value;
    this.out = out;
  }

  /**
   * @param {Float32Array} h
   * @param {Memory} before
   * @returns {{attended: Float32Array, memory: Memory, weights: Float32Array}} m, and how much each step counted
   */
  step(h, before) {
    const step = { key: this.key.times(h), value: this.value.times(h) };
    const memory = [...before.slice(-(this.window - 1) || before.length), step];
    const query = this.query.times(h);
    const scale = 1 / Math.sqrt(query.length);
    const weights = Float32Array.from(memory, ({ key }) => dot(query, key) * scale);
    const largest = weights.reduce((most, score) => Math.max(most, score), -Infinity);
    let total = 0;
    for (let s = 0; s < weights.length; s++) total += weights[s] = Math.exp(weights[s] - largest);
    const sum = new Float32Array(query.length);
    memory.forEach(({ value }, s) => {
      weights[s] /= total;
      for (let k = 0; k < sum.length; k++) sum[k] += weights[s] * value[k];
    });
    const added = this.out.times(sum);
    return { attended: h.map((each, k) => each + added[k]), memory, weights };
  }
}

/** @param {Float32Array} a @param {Float32Array} b */
function dot(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}
