/**
 * The derivatives of the recurrent cells: `cells.js` read backwards. With L the loss, d_x stands for ∂L/∂x.
 *
 * Each takes d_h and d_c of a step, and what the step computed; it writes d of the sums W x + b and of the sums U h', and
 * returns d_h' as far as h' is read outside the sums, and d_c'.
 *
 * @typedef {object} Back
 * @property {Record<string, Float32Array>} parts what the step computed
 * @property {Float32Array[]} before its state before, h' and with some cells c'
 * @property {Float32Array} fromState the sums U h'
 * @property {Record<string, Float32Array>} vectors of the cell
 * @property {Record<string, Float32Array>} vectorGradients to which d of the vectors is added
 * @property {Float32Array} dh
 * @property {Float32Array} dc
 * @property {Float32Array} dInput d of the sums W x + b: written
 * @property {Float32Array} dState d of the sums U h': written
 */

/** @param {number} s a value of σ, whose derivative is s (1 - s) */
const ofSigmoid = (s) => s * (1 - s);
/** @param {number} t a value of tanh, whose derivative is 1 - t² */
const ofTanh = (t) => 1 - t * t;

/** @param {Back} step @returns {{dh: Float32Array | null, dc: Float32Array | null}} */
function rnn({ parts: { h }, dh, dInput, dState }) {
  for (let k = 0; k < h.length; k++) dInput[k] = dState[k] = dh[k] * ofTanh(h[k]);
  return { dh: null, dc: null };
}

/**
 *     d_c += d_h ⊙ o ⊙ tanh'(c)          d_i = d_c ⊙ g    d_f = d_c ⊙ c'    d_g = d_c ⊙ i
 *     d_o = d_h ⊙ tanh(c)                d_c' = d_c ⊙ f
 *
 * @param {Back} step
 */
function lstm({ parts: { i, f, g, o, c }, before: [, cBefore], dh, dc, dInput, dState }) {
  const size = c.length;
  const dcBefore = new Float32Array(size);
  for (let k = 0; k < size; k++) {
    const squashed = Math.tanh(c[k]);
    const d = dc[k] + dh[k] * o[k] * ofTanh(squashed);
    dInput[k] = d * g[k] * ofSigmoid(i[k]);
    dInput[size + k] = d * cBefore[k] * ofSigmoid(f[k]);
    dInput[2 * size + k] = d * i[k] * ofTanh(g[k]);
    dInput[3 * size + k] = dh[k] * squashed * ofSigmoid(o[k]);
    dcBefore[k] = d * f[k];
  }
  dState.set(dInput);
  return { dh: null, dc: dcBefore };
}

/** As `lstm`; o reads c, and i and f read c', through p. @param {Back} step */
function peephole({ parts: { i, f, g, o, c }, before: [, cBefore], vectors: { peephole: p }, vectorGradients, dh, dc, dInput, dState }) {
  const size = c.length;
  const dcBefore = new Float32Array(size);
  const dp = vectorGradients.peephole;
  for (let k = 0; k < size; k++) {
    const squashed = Math.tanh(c[k]);
    const dO = dh[k] * squashed * ofSigmoid(o[k]);
    const d = dc[k] + dh[k] * o[k] * ofTanh(squashed) + dO * p[2 * size + k];
    const dI = d * g[k] * ofSigmoid(i[k]);
    const dF = d * cBefore[k] * ofSigmoid(f[k]);
    dInput[k] = dI;
    dInput[size + k] = dF;
    dInput[2 * size + k] = d * i[k] * ofTanh(g[k]);
    dInput[3 * size + k] = dO;
    dp[k] += dI * cBefore[k];
    dp[size + k] += dF * cBefore[k];
    dp[2 * size + k] += dO * c[k];
    dcBefore[k] = d * f[k] + dI * p[k] + dF * p[size + k];
  }
  dState.set(dInput);
  return { dh: null, dc: dcBefore };
}

/**
 *     d_n = d_h ⊙ (1 - z)    d_z = d_h ⊙ (h' - n)    d_r = d of n's sum ⊙ (U_n h' + d_n)    d_h' = d_h ⊙ z + …
 *
 * @param {Back} step
 */
function gru({ parts: { r, z, n }, before: [hBefore], fromState, vectors: { bias_n: bias }, vectorGradients, dh, dInput, dState }) {
  const size = n.length;
  const dhBefore = new Float32Array(size);
  for (let k = 0; k < size; k++) {
    const dN = dh[k] * (1 - z[k]) * ofTanh(n[k]);
    dInput[k] = dState[k] = dN * (fromState[2 * size + k] + bias[k]) * ofSigmoid(r[k]);
    dInput[size + k] = dState[size + k] = dh[k] * (hBefore[k] - n[k]) * ofSigmoid(z[k]);
    dInput[2 * size + k] = dN;
    dState[2 * size + k] = dN * r[k];
    vectorGradients.bias_n[k] += dN * r[k];
    dhBefore[k] = dh[k] * z[k];
  }
  return { dh: dhBefore, dc: null };
}

/** The derivatives of each of `CELLS`. @type {Record<string, (step: Back) => {dh: Float32Array | null, dc: Float32Array | null}>} */
export const BACKWARD = { rnn, lstm, gru, peephole };
