/**
 * The fan of futures: every way on that is likely enough, as a tree of tokens with the probability of each path.
 *
 * The likeliest path is always continued first, so what is cut off by the number of nodes is the least likely.
 */
import { logSoftmax } from "./filters.js";

/**
 * @param {{step: (token: number, state: any) => {logits: Float32Array, state: any}}} network
 * @param {{logits: Float32Array, state: any}} position where the ways begin
 * @param {{depth: number, least: number, most: number, unknown: number | null}} limits
 * @returns {Generator<null, [number, number, number][]>} yields after each step of the network; returns for each node
 *   its parent (-1 is the beginning), its token and the probability of its path, every parent before its children
 */
export function* fan(network, position, { depth, least, most, unknown }) {
  /** @type {[number, number, number][]} */
  const nodes = [];
  const waiting = [{ node: -1, length: 0, probability: 1, logits: position.logits, state: position.state, token: -1 }];
  while (waiting.length && nodes.length < most) {
    const next = waiting.reduce((best, each, k) => (each.probability > waiting[best].probability ? k : best), 0);
    const [way] = waiting.splice(next, 1);
    let { logits, state } = way;
    if (way.node >= 0) {
      ({ logits, state } = network.step(way.token, state));
      yield null;
    }
    const logs = logSoftmax(logits);
    for (let token = 0; token < logs.length && nodes.length < most; token++) {
      const probability = way.probability * Math.exp(logs[token]);
      if (probability < least || token === unknown) continue;
      nodes.push([way.node, token, probability]);
      const longer = { node: nodes.length - 1, length: way.length + 1, probability, logits, state, token };
      if (longer.length < depth) waiting.push(longer);
    }
  }
  return nodes;
}
