/**
 * The fan of futures: nested boxes, as high as each way on is likely. A click takes the way to the box.
 */
import { drawing, element, percent } from "../dom.js";
import { visible } from "../marks.js";

const WIDTH = 560;
const HEIGHT = 420;
const DEPTH = 12;
const LEAST = 0.004;
const MOST = 300;
const PATHS = 5;

/**
 * Where each node's box is: as high as its share of everything, siblings one under the other.
 * @param {[number, number, number][]} nodes parent, token and probability of the path
 * @returns {{top: number, height: number, depth: number}[]} in shares of the whole height
 */
export function boxes(nodes) {
  /** @type {{top: number, height: number, depth: number}[]} */
  const placed = [];
  /** @type {Map<number, number>} */
  const filled = new Map(); // how much of each parent is taken
  for (const [parent, , probability] of nodes) {
    const above = parent < 0 ? { top: 0, height: 1, depth: -1 } : placed[parent];
    const used = filled.get(parent) ?? 0;
    placed.push({ top: above.top + used, height: probability, depth: above.depth + 1 });
    filled.set(parent, used + probability);
  }
  return placed;
}

/** The tokens of the way to a node. @param {[number, number, number][]} nodes @param {number} node */
export function wayTo(nodes, node) {
  const tokens = [];
  for (let at = node; at >= 0; at = nodes[at][0]) tokens.unshift(nodes[at][1]);
  return tokens;
}

/**
 * The likeliest ways that end in a leaf: which is the most likely to be read on the whole.
 * @param {[number, number, number][]} nodes
 * @param {number} count
 */
export function likeliestWays(nodes, count) {
  const parents = new Set(nodes.map(([parent]) => parent));
  return nodes
    .map(([, , probability], node) => ({ node, probability }))
    .filter(({ node }) => !parents.has(node))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count);
}

/** @param {HTMLElement} panel @param {import("../session.js").Session} session */
export function fanView(panel, session) {
  const picture = drawing("svg", { class: "fan", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  picture.setAttribute("aria-label", "Ways on, each as tall as it is likely; the likeliest are listed below");
  const list = element("ol", { class: "paths" });
  const note = element("p", { class: "soft" }, "Each box is a character: the taller, the likelier is the text up to it. Click one to write that text.");
  panel.replaceChildren(element("h2", {}, "The fan of futures"), picture, note, list);
  let shown = "";
  let control = new AbortController();
  return async () => {
    if (panel.hidden || session.writing || session.facts.bidirectional) return;
    const { caret, vocabulary, asked } = session;
    const text = session.characters().slice(0, caret).join("");
    const key = JSON.stringify([asked, text]);
    if (key === shown) return;
    shown = key;
    control.abort();
    control = new AbortController();
    const { signal } = control;
    await session.attempt(signal, async () => {
      const request = { ...asked, text, depth: DEPTH, least: LEAST, most: MOST };
      const { nodes } = await session.backend.fan(request, signal);
      if (!signal.aborted) draw(nodes, caret, vocabulary);
    });
  };

  /** @param {[number, number, number][]} nodes @param {number} at @param {string[]} vocabulary */
  function draw(nodes, at, vocabulary) {
    const column = WIDTH / DEPTH;
    const placed = boxes(nodes);
    /** @param {number} node */
    const wordsOf = (node) => wayTo(nodes, node).map((id) => vocabulary[id]).join("");
    const made = placed.map(({ top, height, depth }, node) => {
      const [, token, probability] = nodes[node];
      const share = depth ? probability / nodes[nodes[node][0]][2] : probability;
      const box = drawing("rect", {
        x: depth * column, y: top * HEIGHT, width: column, height: Math.max(1, height * HEIGHT),
        fill: `color-mix(in oklab, var(--s5) ${Math.round(share * 100)}%, var(--s1))`,
      });
      box.addEventListener("click", () => session.put(at, wordsOf(node)));
      const title = drawing("title", {});
      title.textContent = `${visible(wordsOf(node))}  ${percent(probability)}`;
      box.append(title);
      const size = Math.min(20, height * HEIGHT * 0.8, column * 0.8);
      if (size < 6) return [box];
      const y = (top + height / 2) * HEIGHT + size * 0.34;
      const letter = drawing("text", { x: (depth + 0.5) * column, y, "font-size": size, "text-anchor": "middle" });
      letter.textContent = visible(vocabulary[token]);
      return [box, letter];
    });
    picture.replaceChildren(...made.flat());
    list.replaceChildren(
      ...likeliestWays(nodes, PATHS).map(({ node, probability }) =>
        element(
          "li",
          {},
          element(
            "button",
            { type: "button", onclick: () => session.put(at, wordsOf(node)) },
            element("span", {}, visible(wordsOf(node))),
            element("span", { class: "soft" }, percent(probability)),
          ),
        ),
      ),
    );
  }
}
