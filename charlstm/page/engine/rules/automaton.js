/**
 * From the tree of a regular expression to a deterministic automaton over bytes.
 *
 * The tree becomes a graph with empty edges (Thompson 1968), and the sets of its nodes in which a text can be become the
 * states of the automaton (Rabin & Scott 1959). Characters are read as their bytes in UTF-8, whatever the network's
 * tokens are: characters, bytes or pieces of words are all runs of bytes.
 *
 * @typedef {import("./syntax.js").Tree} Tree
 * @typedef {import("./characters.js").Ranges} Ranges
 *
 * @typedef {object} ByteAutomaton begins in state 0
 * @property {number[]} symbol what each byte is read as: those that no edge tells apart are one symbol
 * @property {Int32Array[]} next for each state the state after each symbol, -1 for none
 * @property {boolean[]} final for each state whether the text may end
 */
import { byteRanges } from "./characters.js";
import { fault } from "./faults.js";

const MOST_NODES = 200_000;
const MOST_STATES = 20_000;
const MOST_TOGETHER = 1_000_000; // nodes of all states together, since each is looked at: some seconds

/**
 * Make the automaton of an expression.
 * @param {Tree} tree
 * @param {(ranges: Ranges) => Ranges} known restricts characters to those that can be written
 * @param {string} name of the rule that it comes from, for messages
 * @returns {Generator<null, ByteAutomaton>} yields after each piece of work
 */
export function* determine(tree, known, name) {
  const tooMany = (what = `more than ${MOST_STATES.toLocaleString("en")} states`) =>
    fault(`\`${name}\` needs ${what}`, "Let it repeat less, or less often.");
  const graph = new Graph(known, tooMany);
  const end = graph.node([]);
  return yield* subsets(graph, graph.add(tree, end), end, tooMany);
}

/** A nondeterministic automaton: each node has empty edges, or one edge of a range of bytes. */
class Graph {
  /** @param {(ranges: Ranges) => Ranges} known @param {() => Error} tooMany */
  constructor(known, tooMany) {
    this.known = known;
    this.tooMany = tooMany;
    /** @type {number[][]} */
    this.empty = [];
    /** @type {([number, number, number] | null)[]} the first and the last byte, and the node that they lead to */
    this.edge = [];
    /** @type {Map<Tree, Ranges[]>} */
    this.bytes = new Map();
  }

  /** Add a node. @param {number[]} empty @param {[number, number, number] | null} edge */
  node(empty, edge = null) {
    if (this.edge.length === MOST_NODES) throw this.tooMany();
    this.empty.push(empty);
    this.edge.push(edge);
    return this.edge.length - 1;
  }

  /**
   * Add an expression before a node.
   * @param {Tree} tree @param {number} end
   * @returns {number} the node that it begins with
   */
  add(tree, end) {
    if (tree.kind === "characters") return this.characters(tree, end);
    if (tree.kind === "sequence") return tree.parts.reduceRight((after, part) => this.add(part, after), end);
    if (tree.kind === "choice") return this.node(tree.ways.map((way) => this.add(way, end)));
    return this.repeat(tree, end);
  }

  /** @param {import("./syntax.js").Repeat} tree @param {number} end */
  repeat({ part, least, most }, end) {
    let start = end;
    if (most === Infinity) {
      start = this.node([end]);
      this.empty[start].push(this.add(part, start));
    } else {
      for (let k = least; k < most; k++) start = this.node([end, this.add(part, start)]); // (x(x(x)?)?)?
    }
    for (let k = 0; k < least; k++) start = this.add(part, start);
    return start;
  }

  /** @param {import("./syntax.js").Characters} tree @param {number} end */
  characters(tree, end) {
    /** @type {Map<string, number>} */
    const shared = new Map(); // the same last bytes are the same nodes
    /** @type {(ranges: Ranges) => number} */
    const before = (ranges) => {
      if (!ranges.length) return end;
      const key = ranges.join();
      let node = shared.get(key);
      if (node === undefined) {
        node = this.node([], [...ranges[0], before(ranges.slice(1))]);
        shared.set(key, node);
      }
      return node;
    };
    let bytes = this.bytes.get(tree);
    if (!bytes) this.bytes.set(tree, (bytes = this.known(tree.ranges).flatMap(byteRanges)));
    return this.node(bytes.map(before));
  }

  /**
   * The nodes that empty edges lead to, sorted, as far as they have an edge or are an end.
   * @param {number[]} nodes
   */
  closure(nodes) {
    const seen = new Set(nodes);
    for (const node of seen) for (const next of this.empty[node]) seen.add(next); // also visits what is added
    return [...seen].filter((node) => this.edge[node] || !this.empty[node].length).sort((a, b) => a - b);
  }
}

/**
 * Make a graph deterministic.
 * @param {Graph} graph @param {number} begin @param {number} end @param {(what?: string) => Error} tooMany
 * @returns {Generator<null, ByteAutomaton>}
 */
function* subsets(graph, begin, end, tooMany) {
  const { symbol, count } = symbols(graph);
  const states = [graph.closure([begin])];
  const numbers = new Map([[states[0].join(), 0]]);
  /** @type {Map<string, number>} the state of each set of nodes, before empty edges are followed */
  const closures = new Map();
  /** @type {Int32Array[]} */
  const next = [];
  let nodes = states[0].length;
  for (const state of states) {
    const row = new Int32Array(count).fill(-1);
    targets(graph, state, symbol, count).forEach((found, number) => {
      if (!found.size) return;
      const sorted = [...found].sort((a, b) => a - b);
      const key = sorted.join();
      let following = closures.get(key);
      if (following === undefined) {
        const closure = graph.closure(sorted);
        const name = closure.join();
        following = numbers.get(name) ?? states.length;
        if (following === states.length) {
          if (states.length === MOST_STATES) throw tooMany();
          nodes += closure.length;
          if (nodes > MOST_TOGETHER) throw tooMany("states that are too large");
          numbers.set(name, following);
          states.push(closure);
        }
        closures.set(key, following);
      }
      row[number] = following;
    });
    next.push(row);
    yield null;
  }
  return { symbol, next, final: states.map((state) => state.includes(end)) };
}

/** Bytes that no edge tells apart are one symbol. @param {Graph} graph */
function symbols({ edge }) {
  const isBorder = Array(257).fill(false);
  for (const each of edge) if (each) isBorder[each[0]] = isBorder[each[1] + 1] = true;
  let count = 1;
  const symbol = Array.from({ length: 256 }, (_, byte) => (byte && isBorder[byte] ? count++ : count - 1));
  return { symbol, count };
}

/**
 * The nodes that each symbol leads to from a set of nodes.
 * @param {Graph} graph @param {number[]} state @param {number[]} symbol @param {number} count
 */
function targets(graph, state, symbol, count) {
  const found = Array.from({ length: count }, () => /** @type {Set<number>} */ (new Set()));
  for (const node of state) {
    const edge = graph.edge[node];
    if (!edge) continue;
    for (let number = symbol[edge[0]]; number <= symbol[edge[1]]; number++) found[number].add(edge[2]);
  }
  return found;
}
