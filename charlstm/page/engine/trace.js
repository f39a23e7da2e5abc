/**
 * Gates and states as bytes: planes of 8-bit numbers, which are small to keep and quick to draw.
 *
 * @typedef {{v: 1, tokens: number, parts: string[], units: number, scale: [number, number][], planes: Uint8Array}} Planes
 *   planes[part][token][unit]; a byte b stands for low + b / 255 · (high - low)
 */

/** @type {Record<string, {parts: string[], signed: string[]}>} */
const KINDS = {
  lstm: { parts: ["i", "f", "g", "o", "c", "h"], signed: ["g", "c", "h"] },
  peephole: { parts: ["i", "f", "g", "o", "c", "h"], signed: ["g", "c", "h"] },
  gru: { parts: ["r", "z", "n", "h"], signed: ["n", "h"] },
  rnn: { parts: ["h"], signed: ["h"] },
};

/** The parts of a cell that are shown. @param {string} cell */
export function traceParts(cell) {
  return KINDS[cell];
}

/**
 * @param {{parts: string[], signed: string[]}} kind
 * @param {import("./cells.js").Parts[]} steps what a layer computed at each token
 * @param {number} units
 * @returns {Planes} c is shown through tanh
 */
export function tracePlanes({ parts, signed }, steps, units) {
  const planes = new Uint8Array(parts.length * steps.length * units);
  let end = 0;
  for (const part of parts) {
    const low = signed.includes(part) ? -1 : 0;
    for (const step of steps) {
      for (const value of step[part]) {
        const shown = part === "c" ? Math.tanh(value) : value;
        planes[end++] = Math.round(((shown - low) / (1 - low)) * 255);
      }
    }
  }
  const scale = parts.map((part) => /** @type {[number, number]} */ ([signed.includes(part) ? -1 : 0, 1]));
  return { v: 1, tokens: steps.length, parts, units, scale, planes };
}
