/** A matrix that vectors are multiplied with. */
import { interleave, Memory, wholeBlocks } from "./memory.js";

export class Matrix {
  /**
   * @param {Float32Array} numbers row after row
   * @param {number} rows
   * @param {number} columns
   * @param {Memory} memory
   */
  constructor(numbers, rows, columns, memory) {
    this.memory = memory;
    this.rows = rows;
    this.columns = columns;
    this.weights = memory.reserve(wholeBlocks(rows) * columns);
    this.space = 0; // of vectors in and out
    this.spaceFor = 0;
    interleave(numbers, rows, columns, memory.floats.subarray(this.weights));
  }

  /** @param {import("./checkpoint.js").Tensor} tensor @param {Memory} memory */
  static of(tensor, memory) {
    return new Matrix(tensor.numbers(), tensor.shape[0], tensor.columns, memory);
  }

  /**
   * Compute W x + b.
   * @param {Float32Array} x
   * @param {Float32Array | null} bias
   * @returns {Float32Array}
   */
  times(x, bias = null) {
    return this.timesEach([x], bias)[0];
  }

  /**
   * Compute W x + b for several x. The weights are read once for all of them, which takes a third of the time.
   * @param {Float32Array[]} several
   * @param {Float32Array | null} bias
   * @returns {Float32Array[]}
   */
  timesEach(several, bias = null) {
    const { memory, rows, columns } = this;
    const [count, height] = [several.length, wholeBlocks(rows)];
    if (!count) return [];
    if (count > this.spaceFor) {
      this.space = memory.reserve(count * (columns + height) + 4);
      this.spaceFor = count;
    }
    const input = this.space;
    const output = input + Math.ceil((count * columns) / 4) * 4;
    several.forEach((x, k) => memory.floats.set(x, input + k * columns));
    memory.dots(this.weights, input, output, rows, columns, count);
    return several.map((_, k) => {
      const out = memory.floats.slice(output + k * height, output + k * height + rows);
      if (bias) for (let row = 0; row < rows; row++) out[row] += bias[row];
      return out;
    });
  }
}

/**
 * One vector after another.
 * @param {Float32Array[]} vectors
 */
export function concatenate(vectors) {
  if (vectors.length === 1) return vectors[0];
  const all = new Float32Array(vectors.reduce((sum, vector) => sum + vector.length, 0));
  let end = 0;
  for (const vector of vectors) {
    all.set(vector, end);
    end += vector.length;
  }
  return all;
}
