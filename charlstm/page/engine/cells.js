/**
 * The recurrent cells, one step each. Letters: σ the logistic function, ⊙ the product of each pair of numbers; a prime
 * marks a value of the step before. x is the input, h the output, c the cell state.
 *
 * A cell is called with the sums W x + b of all its gates, with the sums U h', and with its state; it returns every part
 * of its equations by its letter.
 *
 * @typedef {Record<string, Float32Array>} Parts
 * @typedef {{fromInput: Float32Array, fromState: Float32Array, state: Float32Array[], vectors: Record<string, Float32Array>}} Step
 */

/** @param {number} z */
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

/**
 * The simple recurrent network (Elman 1990).
 *
 *     h = tanh(W x + U h' + b)
 *
 * @param {Step} step
 * @returns {Parts}
 */
function rnn({ fromInput, fromState }) {
  return { h: fromInput.map((sum, k) => Math.tanh(sum + fromState[k])) };
}

/**
 * The LSTM (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber & Cummins 2000).
 *
 *     i = σ(W_i x + U_i h' + b_i)     input gate
 *     f = σ(W_f x + U_f h' + b_f)     forget gate
 *     g = tanh(W_g x + U_g h' + b_g)  candidate
 *     o = σ(W_o x + U_o h' + b_o)     output gate
 *     c = f ⊙ c' + i ⊙ g
 *     h = o ⊙ tanh(c)
 *
 * @param {Step} step
 * @returns {Parts}
 */
function lstm({ fromInput, fromState, state: [, before] }) {
  const size = before.length;
  const [i, f, g, o, c, h] = emptyVectors(6, size);
  for (let k = 0; k < size; k++) {
    i[k] = sigmoid(fromInput[k] + fromState[k]);
    f[k] = sigmoid(fromInput[size + k] + fromState[size + k]);
    g[k] = Math.tanh(fromInput[2 * size + k] + fromState[2 * size + k]);
    o[k] = sigmoid(fromInput[3 * size + k] + fromState[3 * size + k]);
    c[k] = f[k] * before[k] + i[k] * g[k];
    h[k] = o[k] * Math.tanh(c[k]);
  }
  return { i, f, g, o, c, h };
}

/**
 * The LSTM whose gates read the cell state: i and f the previous one, o the new one (Gers & Schmidhuber 2000).
 *
 *     i = σ(W_i x + U_i h' + p_i ⊙ c' + b_i)      c = f ⊙ c' + i ⊙ g
 *     f = σ(W_f x + U_f h' + p_f ⊙ c' + b_f)      o = σ(W_o x + U_o h' + p_o ⊙ c + b_o)
 *     g = tanh(W_g x + U_g h' + b_g)              h = o ⊙ tanh(c)
 *
 * @param {Step} step
 * @returns {Parts}
 */
function peephole({ fromInput, fromState, state: [, before], vectors: { peephole: p } }) {
  const size = before.length;
  const [i, f, g, o, c, h] = emptyVectors(6, size);
  for (let k = 0; k < size; k++) {
    i[k] = sigmoid(fromInput[k] + fromState[k] + p[k] * before[k]);
    f[k] = sigmoid(fromInput[size + k] + fromState[size + k] + p[size + k] * before[k]);
    g[k] = Math.tanh(fromInput[2 * size + k] + fromState[2 * size + k]);
    c[k] = f[k] * before[k] + i[k] * g[k];
    o[k] = sigmoid(fromInput[3 * size + k] + fromState[3 * size + k] + p[2 * size + k] * c[k]);
    h[k] = o[k] * Math.tanh(c[k]);
  }
  return { i, f, g, o, c, h };
}

/**
 * The gated recurrent unit (Cho et al. 2014), with the reset gate after the recurrent product, as in cuDNN.
 *
 *     r = σ(W_r x + U_r h' + b_r)                 reset gate
 *     z = σ(W_z x + U_z h' + b_z)                 update gate: the share of h' that is kept
 *     n = tanh(W_n x + b_n + r ⊙ (U_n h' + d_n))  candidate
 *     h = (1 - z) ⊙ n + z ⊙ h'
 *
 * @param {Step} step
 * @returns {Parts}
 */
function gru({ fromInput, fromState, state: [before], vectors: { bias_n: d } }) {
  const size = before.length;
  const [r, z, n, h] = emptyVectors(4, size);
  for (let k = 0; k < size; k++) {
    r[k] = sigmoid(fromInput[k] + fromState[k]);
    z[k] = sigmoid(fromInput[size + k] + fromState[size + k]);
    n[k] = Math.tanh(fromInput[2 * size + k] + r[k] * (fromState[2 * size + k] + d[k]));
    h[k] = (1 - z[k]) * n[k] + z[k] * before[k];
  }
  return { r, z, n, h };
}

/** For each cell its equations, the parts of its state (the first is its output), and its vectors besides the bias. */
export const CELLS = {
  rnn: { equations: rnn, state: ["h"], vectors: [] },
  lstm: { equations: lstm, state: ["h", "c"], vectors: [] },
  gru: { equations: gru, state: ["h"], vectors: ["bias_n"] },
  peephole: { equations: peephole, state: ["h", "c"], vectors: ["peephole"] },
};

/** @param {number} count @param {number} size */
function emptyVectors(count, size) {
  return Array.from({ length: count }, () => new Float32Array(size));
}
