/**
 * How surprising each token of a text was.
 *
 * @typedef {object} Scored columns of equal length
 * @property {string[]} texts the characters that each token adds
 * @property {number[]} ids
 * @property {(number | null)[]} nats the loss; null where nothing was predicted
 * @property {(number | null)[]} ranks tokens thought likelier
 * @property {(number | null)[]} entropy nats that the network expected to lose
 * @property {[number, number][][]} alternatives the likeliest ids with their nats, the likeliest first
 */
import { logSoftmax } from "./filters.js";

const ALTERNATIVES = 8;
const LOWEST = -9999;

/** @returns {Scored} */
export function emptyScore() {
  return { texts: [], ids: [], nats: [], ranks: [], entropy: [], alternatives: [] };
}

/**
 * Add a token.
 * @param {Scored} scored
 * @param {string} text
 * @param {number} id
 * @param {Float32Array | null} logits before it; null at the beginning of a text
 */
export function addScore(scored, text, id, logits) {
  scored.texts.push(text);
  scored.ids.push(id);
  if (!logits) {
    for (const column of [scored.nats, scored.ranks, scored.entropy]) column.push(null);
    scored.alternatives.push([]);
    return;
  }
  const logs = logSoftmax(logits);
  scored.nats.push(-Math.max(logs[id], LOWEST));
  scored.ranks.push(logs.reduce((count, log) => count + (log > logs[id] ? 1 : 0), 0));
  scored.entropy.push(entropy(logs));
  scored.alternatives.push(likeliest(logs, ALTERNATIVES));
}

/** The mean loss that is expected, in nats. @param {Float64Array} logs */
export function entropy(logs) {
  return logs.reduce((sum, log) => (log > -700 ? sum - Math.exp(log) * log : sum), 0);
}

/**
 * @param {Float64Array} logs
 * @param {number} count
 * @returns {[number, number][]} ids and nats, the likeliest first
 */
export function likeliest(logs, count) {
  /** @type {[number, number][]} */
  const best = [];
  for (let id = 0; id < logs.length; id++) {
    if (best.length === count && -logs[id] >= best[count - 1][1]) continue;
    let place = best.length;
    while (place && best[place - 1][1] > -logs[id]) place--;
    best.splice(place, 0, [id, -Math.max(logs[id], LOWEST)]);
    if (best.length > count) best.pop();
  }
  return best;
}
