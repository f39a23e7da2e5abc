/**
 * Where the numbers of matrices lie, and the products with them: WebAssembly's, or where a browser has none the same in
 * JavaScript. The memory grows, which makes views of it invalid, so places in it are kept as numbers.
 */
import { wasmKernels } from "./wasm.js";

const PAGE = 1 << 16; // bytes
const BLOCK = 16; // rows that lie interleaved

export class Memory {
  /** @param {boolean} wasm whether to use WebAssembly if there is any */
  constructor(wasm = true) {
    this.memory = new WebAssembly.Memory({ initial: 1 });
    this.end = 4; // in floats; 16 bytes are left free, so that no place is 0
    this.kernels = (wasm && wasmKernels(this.memory)) || scriptKernels(this.memory);
    this.floats = new Float32Array(this.memory.buffer);
  }

  /**
   * Reserve a place.
   * @param {number} count floats
   * @returns {number} where it begins, in floats
   */
  reserve(count) {
    const begin = this.end;
    this.end += Math.ceil(count / 4) * 4;
    const missing = this.end * 4 - this.memory.buffer.byteLength;
    if (missing > 0) {
      this.memory.grow(Math.ceil(missing / PAGE));
      this.floats = new Float32Array(this.memory.buffer);
    }
    return begin;
  }

  /**
   * y = W x for each of several vectors, one behind the other.
   * @param {number} w in blocks of sixteen interleaved rows
   * @param {number} x
   * @param {number} y as many numbers as there are rows in whole blocks, for each vector
   * @param {number} rows
   * @param {number} columns
   * @param {number} count vectors
   */
  dots(w, x, y, rows, columns, count) {
    this.kernels.dots(w * 4, x * 4, y * 4, Math.ceil(rows / BLOCK), columns, count);
  }

  /**
   * y_i += Σ_j a_ij b_j, for rows y_i and b_j.
   * @param {number} a
   * @param {number} alongI the step from a_ij to a_(i+1)j
   * @param {number} alongJ
   * @param {number} b
   * @param {number} y
   * @param {number} rows how many i
   * @param {number} inner how many j
   * @param {number} columns numbers in a row, a multiple of four
   */
  combine(a, alongI, alongJ, b, y, rows, inner, columns) {
    this.kernels.combine(a * 4, alongI * 4, alongJ * 4, b * 4, y * 4, rows, inner, columns);
  }
}

/**
 * Lay the rows of a matrix so that those of a block are interleaved: the weights of a column stand together.
 * @param {Float32Array} numbers row after row
 * @param {number} rows
 * @param {number} columns
 * @param {Float32Array} out rows in whole blocks
 */
export function interleave(numbers, rows, columns, out) {
  for (let row = 0; row < rows; row++) {
    const first = (row - (row % BLOCK)) * columns + (row % BLOCK);
    for (let column = 0; column < columns; column++) out[first + column * BLOCK] = numbers[row * columns + column];
  }
}

/** @param {number} rows */
export function wholeBlocks(rows) {
  return Math.ceil(rows / BLOCK) * BLOCK;
}

/** The same products in JavaScript. Eight sums grow side by side, each in a register. @param {WebAssembly.Memory} memory */
function scriptKernels(memory) {
  return {
    /** @param {number} w @param {number} x @param {number} y @param {number} blocks @param {number} columns @param {number} count */
    dots(w, x, y, blocks, columns, count) {
      const floats = new Float32Array(memory.buffer);
      for (let block = 0; block < blocks; block++) {
        for (let vector = 0; vector < count; vector++) {
          for (const half of [0, 8]) {
            let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
            let p = w / 4 + block * BLOCK * columns + half;
            const q = x / 4 + vector * columns;
            for (let column = 0; column < columns; column++, p += BLOCK) {
              const value = floats[q + column];
              a += floats[p] * value;
              b += floats[p + 1] * value;
              c += floats[p + 2] * value;
              d += floats[p + 3] * value;
              e += floats[p + 4] * value;
              f += floats[p + 5] * value;
              g += floats[p + 6] * value;
              h += floats[p + 7] * value;
            }
            floats.set([a, b, c, d, e, f, g, h], y / 4 + (vector * blocks + block) * BLOCK + half);
          }
        }
      }
    },
    /** @param {number} a @param {number} alongI @param {number} alongJ @param {number} b @param {number} y @param {number} rows @param {number} inner @param {number} columns */
    combine(a, alongI, alongJ, b, y, rows, inner, columns) {
      const floats = new Float32Array(memory.buffer);
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < inner; j++) {
          const factor = floats[(a + i * alongI + j * alongJ) / 4];
          const [out, row] = [y / 4 + i * columns, b / 4 + j * columns];
          for (let column = 0; column < columns; column++) floats[out + column] += factor * floats[row + column];
        }
      }
    },
  };
}
