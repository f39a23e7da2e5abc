/**
 * Filters of logits, and the draw. A token that a filter removes gets -∞. They come in this order: repetition penalty,
 * top-k, top-p, min-p, temperature. The temperature comes last, so that what is cut off does not depend on it: hot text
 * is varied, not garbled.
 *
 * @typedef {object} Settings
 * @property {number} temperature 0 always takes the likeliest
 * @property {number} top_k keep only the k likeliest; 0 is off
 * @property {number} top_p keep only the fewest likeliest whose probabilities add up to this; 1 is off
 * @property {number} min_p keep only what is at least this many times as likely as the likeliest; 0 is off
 * @property {number} repetition_penalty of the last 64 tokens; 1 is off
 * @property {number} no_repeat tokens of a passage that may be said again; 0 is off
 * @property {number} longest_run equal tokens in a row, at most; 0 is off
 */

/** @type {Settings} */
export const NO_FILTER = {
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  no_repeat: 0,
  longest_run: 0,
};

/**
 * @param {Float64Array} logits changed in place
 * @param {Settings} settings
 * @param {Iterable<number>} recent the last ids, for the repetition penalty
 */
export function filter(logits, settings, recent = []) {
  if (settings.repetition_penalty !== 1) {
    for (const token of new Set(recent)) {
      logits[token] *= logits[token] > 0 ? 1 / settings.repetition_penalty : settings.repetition_penalty;
    }
  }
  if (settings.top_k > 0) keepRanked(logits, (rank) => rank < settings.top_k);
  if (settings.top_p < 1) topP(logits, settings.top_p);
  if (settings.min_p > 0) {
    const least = largest(logits) + Math.log(settings.min_p);
    logits.forEach((logit, token) => logit < least && (logits[token] = -Infinity));
  }
  if (settings.temperature === 0) keepRanked(logits, (rank) => rank === 0);
  else logits.forEach((logit, token) => (logits[token] = logit / settings.temperature));
}

/**
 * Draw a token from the softmax, by the Gumbel-max trick (Yellott 1977).
 * @param {Float64Array} logits
 * @param {() => number} uniform
 */
export function draw(logits, uniform) {
  let best = 0;
  let most = -Infinity;
  for (let token = 0; token < logits.length; token++) {
    const noisy = logits[token] - Math.log(-Math.log(uniform()));
    if (noisy > most) [best, most] = [token, noisy];
  }
  return best;
}

/**
 * The logarithms of the probabilities.
 * @param {Float32Array | Float64Array} logits
 */
export function logSoftmax(logits) {
  const most = largest(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  const shift = most + Math.log(sum);
  const logs = new Float64Array(logits); // `from` with a function takes ten times as long
  for (let token = 0; token < logs.length; token++) logs[token] -= shift;
  return logs;
}

/** @param {Float64Array} logits @param {number} probability */
function topP(logits, probability) {
  const logs = logSoftmax(logits);
  const ranked = ranking(logits);
  let before = 0;
  for (const token of ranked) {
    const own = Math.exp(logs[token]);
    if (before >= probability) logits[token] = -Infinity;
    before += own;
  }
}

/** @param {Float64Array} logits @param {(rank: number) => boolean} keep */
function keepRanked(logits, keep) {
  ranking(logits).forEach((token, rank) => keep(rank) || (logits[token] = -Infinity));
}

/** The ids from the likeliest to the least likely, equals by id. @param {Float32Array | Float64Array} logits */
function ranking(logits) {
  return Array.from(logits, (_, token) => token).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** @param {Float32Array | Float64Array} logits */
function largest(logits) {
  let most = -Infinity;
  for (const logit of logits) if (logit > most) most = logit;
  return most;
}
