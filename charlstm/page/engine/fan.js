/**
 * The fan of futures: every way on that is likely enough, as a tree of tokens with the probability of each path.
 *
 * All ways of one length are read side by side, as `sampling/fan.py` does; what is cut off by the number of nodes is the
 * least likely.
 *
 * @typedef {[number, number, number]} Node its parent (-1 is the beginning), its token and the probability of its path
 * @typedef {{logits: Float32Array, state: any}} After the network after a text
 */
import { logSoftmax } from "./filters.js";

const TOGETHER = 16; // ways that are read at a time

/**
 * @param {{step: (token: number, state: any) => After, stepEach?: (tokens: number[], states: any[]) => After[]}} network
 * @param {After} position where the ways begin
 * @param {{depth: number, least: number, most: number, unknown: number | null}} limits
 * @returns {Generator<null, Node[]>} yields after each step of the network; returns the nodes, every parent before its
 *   children
 */
export function* fan(network, position, { depth, least, most, unknown }) {
  /** @type {Node[]} */
  const nodes = [];
  let floor = least;
  let level = [{ node: -1, after: position }];
  for (let length = 1; ; length++) {
    const begin = nodes.length;
    const states = level.flatMap(({ node, after }) => {
      const children = childrenOf(node, node < 0 ? 1 : nodes[node][2], after.logits, floor, unknown);
      nodes.push(...children);
      return children.map(() => after.state);
    });
    if (nodes.length > most) floor = Math.max(floor, nodes.map(([, , own]) => own).sort((a, b) => b - a)[most - 1]);
    const ways = states.map((state, k) => ({ node: begin + k, state })).filter(({ node }) => nodes[node][2] >= floor);
    if (length >= depth || !ways.length) return likeliest(nodes, most);
    level = [];
    for (let from = 0; from < ways.length; from += TOGETHER) {
      const some = ways.slice(from, from + TOGETHER);
      const tokens = some.map(({ node }) => nodes[node][1]);
      const steps = network.stepEach?.(tokens, some.map(({ state }) => state)) ?? some.map(({ state }, k) => network.step(tokens[k], state));
      level.push(...some.map(({ node }, k) => ({ node, after: { logits: steps[k].logits, state: steps[k].state } })));
      yield null;
    }
  }
}

/** @param {number} parent @param {number} before its probability @param {Float32Array} logits after it @param {number} floor @param {number | null} unknown @returns {Node[]} */
function childrenOf(parent, before, logits, floor, unknown) {
  /** @type {Node[]} */
  const children = [];
  logSoftmax(logits).forEach((log, token) => {
    const own = before * Math.exp(log);
    if (own >= floor && token !== unknown) children.push([parent, token, own]);
  });
  return children;
}

/** The likeliest nodes, among equals the first: so the parent of each is kept, too. @param {Node[]} nodes @param {number} most @returns {Node[]} */
function likeliest(nodes, most) {
  const kept = nodes
    .map((_, place) => place)
    .sort((a, b) => nodes[b][2] - nodes[a][2] || a - b)
    .slice(0, most)
    .sort((a, b) => a - b);
  const places = new Map(kept.map((place, k) => [place, k]));
  return kept.map((place) => [places.get(nodes[place][0]) ?? -1, nodes[place][1], nodes[place][2]]);
}
