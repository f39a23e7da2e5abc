/**
 * Products of a matrix and a vector, which take nearly all the time of a network.
 *
 * The rows lie interleaved in blocks of eight. So a product reads all weights once, in order, and eight sums grow side
 * by side, each in a register of the processor.
 */

const BLOCK = 8;

export class Matrix {
  /**
   * @param {Float32Array} numbers row after row
   * @param {number} rows
   * @param {number} columns
   */
  constructor(numbers, rows, columns) {
    this.rows = rows;
    this.columns = columns;
    const blocks = Math.ceil(rows / BLOCK);
    this.interleaved = new Float32Array(blocks * BLOCK * columns);
    for (let row = 0; row < rows; row++) {
      const first = (row - (row % BLOCK)) * columns + (row % BLOCK);
      for (let column = 0; column < columns; column++) {
        this.interleaved[first + column * BLOCK] = numbers[row * columns + column];
      }
    }
    this.padded = new Float32Array(blocks * BLOCK);
  }

  /** @param {import("./checkpoint.js").Tensor} tensor */
  static of(tensor) {
    return new Matrix(tensor.numbers(), tensor.shape[0], tensor.columns);
  }

  /**
   * Compute W x + b.
   * @param {Float32Array} x
   * @param {Float32Array | null} bias
   * @returns {Float32Array} a view that the next call overwrites
   */
  times(x, bias = null) {
    const { interleaved: w, columns, rows, padded: out } = this;
    for (let row = 0, p = 0; row < rows; row += BLOCK) {
      let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
      for (let column = 0; column < columns; column++, p += BLOCK) {
        const value = x[column];
        a += w[p] * value;
        b += w[p + 1] * value;
        c += w[p + 2] * value;
        d += w[p + 3] * value;
        e += w[p + 4] * value;
        f += w[p + 5] * value;
        g += w[p + 6] * value;
        h += w[p + 7] * value;
      }
      out[row] = a;
      out[row + 1] = b;
      out[row + 2] = c;
      out[row + 3] = d;
      out[row + 4] = e;
      out[row + 5] = f;
      out[row + 6] = g;
      out[row + 7] = h;
    }
    if (bias) for (let row = 0; row < rows; row++) out[row] += bias[row];
    return out.length === rows ? out : out.subarray(0, rows);
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
