/** Weights that learn, and the products with them forwards and backwards. */
import { interleave, wholeBlocks } from "./memory.js";

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** A tensor of weights, its gradient, and what Adam remembers of earlier gradients. */
export class Parameter {
  /**
   * @param {import("./checkpoint.js").Tensor} tensor
   * @param {boolean} sparse whether only the rows that were read move, as of a table of many rows
   */
  constructor(tensor, sparse = false) {
    this.shape = tensor.shape;
    this.columns = tensor.columns;
    this.numbers = tensor.numbers();
    this.gradient = new Float32Array(this.numbers.length);
    this.mean = new Float32Array(this.numbers.length);
    this.square = new Float32Array(this.numbers.length);
    /** @type {Set<number> | null} */
    this.touched = sparse ? new Set() : null;
  }

  /** @param {number} row @param {Float32Array} to */
  addRow(row, to) {
    for (let k = 0; k < this.columns; k++) to[k] += this.numbers[row * this.columns + k];
  }

  /** @param {number} row @param {Float32Array} gradient */
  addGradient(row, gradient) {
    this.touched?.add(row);
    for (let k = 0; k < this.columns; k++) this.gradient[row * this.columns + k] += gradient[k];
  }

  /** The parts of the tensor that have a gradient. @returns {[number, number][]} */
  parts() {
    if (!this.touched) return [[0, this.numbers.length]];
    return Array.from(this.touched, (row) => [row * this.columns, (row + 1) * this.columns]);
  }

  /** The sum of the squares of the gradient. */
  squares() {
    let sum = 0;
    for (const [begin, end] of this.parts()) for (let k = begin; k < end; k++) sum += this.gradient[k] ** 2;
    return sum;
  }

  /**
   * Adam: with g the gradient and t the number of the step,
   *
   *     m ← β₁ m + (1 - β₁) g      v ← β₂ v + (1 - β₂) g²
   *     w ← w - rate · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
   *
   * @param {number} rate
   * @param {number} scale of the gradient
   * @param {number} step t
   */
  move(rate, scale, step) {
    const { numbers, gradient, mean, square } = this;
    const size = rate / (1 - BETA1 ** step);
    const unbiased = 1 / Math.sqrt(1 - BETA2 ** step);
    for (const [begin, end] of this.parts()) {
      for (let k = begin; k < end; k++) {
        const g = gradient[k] * scale;
        mean[k] += (1 - BETA1) * (g - mean[k]);
        square[k] = BETA2 * square[k] + (1 - BETA2) * g * g;
        numbers[k] -= (size * mean[k]) / (Math.sqrt(square[k]) * unbiased + EPSILON);
        gradient[k] = 0;
      }
    }
    this.touched?.clear();
  }
}

/** The product with a matrix of weights, or with some of its columns. */
export class Product {
  /**
   * @param {Parameter} parameter
   * @param {import("./memory.js").Memory} memory
   * @param {number} first the first column
   * @param {number} columns D
   */
  constructor(parameter, memory, first = 0, columns = parameter.columns) {
    this.parameter = parameter;
    this.memory = memory;
    this.first = first;
    this.columns = columns;
    this.rows = parameter.shape[0];
    this.width = Math.ceil(columns / 4) * 4; // of a row in the memory, the rest zeros
    this.interleaved = memory.reserve(wholeBlocks(this.rows) * this.width);
    this.weights = memory.reserve(this.rows * this.width);
    this.gradient = memory.reserve(this.rows * this.width);
    this.space = 0;
    this.spaceFor = 0;
    this.refresh();
  }

  /** Take over the weights after they have moved. */
  refresh() {
    const { memory, rows, width } = this;
    const all = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const begin = row * this.parameter.columns + this.first;
      all.set(this.parameter.numbers.subarray(begin, begin + this.columns), row * width);
    }
    memory.floats.set(all, this.weights);
    interleave(all, rows, width, memory.floats.subarray(this.interleaved));
  }

  /** Places in the memory for so many vectors in and out. @param {number} count */
  places(count) {
    if (count > this.spaceFor) {
      this.space = this.memory.reserve(count * (this.width + wholeBlocks(this.rows)));
      this.spaceFor = count;
    }
    return { input: this.space, output: this.space + count * this.width };
  }

  /** Put vectors into the memory. @param {Float32Array} vectors @param {number} count @param {number} width @param {number} place */
  put(vectors, count, width, place) {
    const { floats } = this.memory;
    const own = vectors.length / count;
    if (own === width) floats.set(vectors, place);
    else {
      floats.fill(0, place, place + count * width);
      for (let k = 0; k < count; k++) floats.set(vectors.subarray(k * own, (k + 1) * own), place + k * width);
    }
  }

  /** Take vectors out of the memory. @param {number} place @param {number} count @param {number} width @param {number} own */
  take(place, count, width, own) {
    const { floats } = this.memory;
    if (own === width) return floats.slice(place, place + count * own);
    const vectors = new Float32Array(count * own);
    for (let k = 0; k < count; k++) vectors.set(floats.subarray(place + k * width, place + k * width + own), k * own);
    return vectors;
  }

  /** W x of each vector. @param {Float32Array} x @param {number} count @returns {Float32Array} (count, rows) */
  forward(x, count) {
    const { input, output } = this.places(count);
    this.put(x, count, this.width, input);
    this.memory.dots(this.interleaved, input, output, this.rows, this.width, count);
    return this.take(output, count, wholeBlocks(this.rows), this.rows);
  }

  /** Both derivatives: adds that of the weights, and returns that of x. @param {Float32Array} dy @param {Float32Array} x @param {number} count */
  backward(dy, x, count) {
    this.addGradient(dy, x, count);
    return this.backwardInput(dy, count);
  }

  /** d_x = Wᵀ d_y of each vector. @param {Float32Array} dy @param {number} count @returns {Float32Array} (count, columns) */
  backwardInput(dy, count) {
    const { memory, rows, width } = this;
    const { input, output } = this.places(count);
    memory.floats.set(dy, output);
    memory.floats.fill(0, input, input + count * width);
    memory.combine(output, rows, 1, this.weights, input, count, rows, width);
    return this.take(input, count, width, this.columns);
  }

  /** d_W += Σ d_y xᵀ. @param {Float32Array} dy @param {Float32Array} x @param {number} count */
  addGradient(dy, x, count) {
    const { memory, rows, width } = this;
    const { input, output } = this.places(count);
    this.put(x, count, width, input);
    memory.floats.set(dy, output);
    memory.combine(output, 1, rows, input, this.gradient, rows, count, width);
  }

  /** Hand the gradient over to the parameter. */
  collect() {
    const { memory, rows, width, columns, parameter } = this;
    for (let row = 0; row < rows; row++) {
      const begin = row * parameter.columns + this.first;
      parameter.gradient.set(memory.floats.subarray(this.gradient + row * width, this.gradient + row * width + columns), begin);
    }
    memory.floats.fill(0, this.gradient, this.gradient + rows * width);
  }
}
