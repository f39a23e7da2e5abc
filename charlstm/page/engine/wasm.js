/**
 * The two products that take a network's time, in WebAssembly, which computes four numbers at once.
 *
 * Their instructions stand below, as functions of a very small assembler: an instruction is a list of bytes, and a list
 * of instructions is one, too. https://webassembly.github.io/spec/core/binary has the bytes.
 *
 * @typedef {any} Code a number, or a list of codes
 */

/** @param {number} value @returns {number[]} an unsigned number in LEB128 */
function unsigned(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}

/** @param {Code[]} parts @returns {Code} a list behind its length */
function vector(parts) {
  return [unsigned(parts.length), parts];
}

/** @param {Code} code @returns {number[]} */
function bytes(code) {
  return typeof code === "number" ? [code] : code.flatMap(bytes);
}

/** @param {Code} code @returns {Code} a block of bytes behind their number */
function sized(code) {
  const all = bytes(code);
  return [unsigned(all.length), all];
}

const I32 = 0x7f;
const V128 = 0x7b;
const END = 0x0b;

/** @param {number} number */
const get = (number) => [0x20, number];
/** @param {number} number @param {Code} value */
const set = (number, value) => [value, 0x21, number];
/** @param {number} value */
const constant = (value) => [0x41, value < 64 ? value : [(value & 127) | 128, value >> 7]];
/** @param {Code} a @param {Code} b */
const add = (a, b) => [a, b, 0x6a];
/** @param {Code} a @param {Code} b */
const subtract = (a, b) => [a, b, 0x6b];
/** @param {Code} a @param {Code} b */
const multiply = (a, b) => [a, b, 0x6c];
/** @param {number} number @param {Code} value */
const increase = (number, value) => set(number, add(get(number), value));

const noVector = [0xfd, 0x0c, Array(16).fill(0)];
/** @param {Code} at @param {number} offset */
const load = (at, offset = 0) => [at, 0xfd, 0x00, 2, unsigned(offset)];
/** One number in all four places. @param {Code} at */
const loadSplat = (at) => [at, 0xfd, 0x09, 2, 0];
/** @param {Code} at @param {number} offset @param {Code} value */
const store = (at, offset, value) => [at, value, 0xfd, 0x0b, 2, unsigned(offset)];
/** @param {Code} a @param {Code} b */
const addVectors = (a, b) => [a, b, 0xfd, 0xe4, 0x01];
/** @param {Code} a @param {Code} b */
const multiplyVectors = (a, b) => [a, b, 0xfd, 0xe6, 0x01];

/** Do something `count` times, at least once; the counter is spoilt. @param {number} counter @param {Code} count @param {Code} body */
const times = (counter, count, body) => [
  set(counter, count),
  [0x03, 0x40, body, set(counter, subtract(get(counter), constant(1))), get(counter), 0x0d, 0, END],
];

const SOME = 32;

/**
 * `dots`: y = W x for each of `count` vectors. W lies in blocks of sixteen rows, interleaved: the sixteen weights of a
 * column stand together. Every 32 columns have sums of their own, which are added up: a long sum of float32 numbers
 * loses more digits than several short ones.
 */
function dotsCode() {
  const [w, x, y, blocks, columns, count, block, vectors, column, left, p, q, out, a, b, c, d, A, B, C, D, value] = Array(22).keys();
  /** @param {number} sum @param {number} offset */
  const grow = (sum, offset) => set(sum, addVectors(get(sum), multiplyVectors(load(get(p), offset), get(value))));
  const few = [get(left), constant(SOME), [get(left), constant(SOME), 0x49], 0x1b]; // the smaller of the two
  const body = times(block, get(blocks), [
    set(q, get(x)),
    set(out, get(y)),
    times(vectors, get(count), [
      set(p, get(w)),
      [A, B, C, D].map((sum) => set(sum, noVector)),
      set(left, get(columns)),
      [0x03, 0x40], // until none is left
      [a, b, c, d].map((sum) => set(sum, noVector)),
      times(column, few, [
        set(value, loadSplat(get(q))),
        [a, b, c, d].map((sum, k) => grow(sum, 16 * k)),
        increase(p, constant(64)),
        increase(q, constant(4)),
      ]),
      [A, B, C, D].map((sum, k) => set(sum, addVectors(get(sum), get([a, b, c, d][k])))),
      set(left, subtract(get(left), few)),
      [get(left), 0x0d, 0, END],
      [A, B, C, D].map((sum, k) => store(get(out), 16 * k, get(sum))),
      increase(out, multiply(get(blocks), constant(64))),
    ]),
    set(w, get(p)),
    increase(y, constant(64)),
  ]);
  return { parameters: 6, integers: 7, vectors: 9, body };
}

/**
 * `combine`: y_i += Σ_j a_ij b_j for each i, where y_i and b_j are rows of `columns` numbers, a multiple of four; the
 * steps between the numbers a_ij along i and along j are given, so that a may be read as its transpose.
 */
function combineCode() {
  const [a, alongI, alongJ, b, y, rows, inner, columns, i, j, column, p, q, out, factor] = Array(15).keys();
  const width = multiply(get(columns), constant(4));
  const body = times(i, get(rows), [
    set(p, get(a)),
    set(q, get(b)),
    times(j, get(inner), [
      set(factor, loadSplat(get(p))),
      set(out, get(y)),
      times(column, [get(columns), constant(2), 0x76], [
        store(get(out), 0, addVectors(load(get(out)), multiplyVectors(load(get(q)), get(factor)))),
        increase(out, constant(16)),
        increase(q, constant(16)),
      ]),
      increase(p, get(alongJ)),
    ]),
    increase(a, get(alongI)),
    increase(y, width),
  ]);
  return { parameters: 8, integers: 6, vectors: 1, body };
}

/** The whole module. @returns {Uint8Array<ArrayBuffer>} */
function moduleBytes() {
  const functions = [dotsCode(), combineCode()];
  const names = ["dots", "combine"];
  /** @param {string} text */
  const name = (text) => vector([...new TextEncoder().encode(text)]);
  /** @param {number} id @param {Code} content */
  const section = (id, content) => [id, sized(content)];
  const types = functions.map(({ parameters }) => [0x60, vector(Array(parameters).fill(I32)), vector([])]);
  const bodies = functions.map(({ integers, vectors, body }) => sized([vector([[integers, I32], [vectors, V128]]), body, END]));
  return Uint8Array.from(
    bytes([
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, vector(types)),
      section(2, vector([[name("page"), name("memory"), 0x02, 0x00, 0]])),
      section(3, vector(functions.map((_, k) => k))),
      section(7, vector(names.map((each, k) => [name(each), 0x00, k]))),
      section(10, vector(bodies)),
    ]),
  );
}

/**
 * @param {WebAssembly.Memory} memory
 * @returns {{dots: (...numbers: number[]) => void, combine: (...numbers: number[]) => void} | null} null if this browser
 *   cannot compute so
 */
export function wasmKernels(memory) {
  try {
    const module = new WebAssembly.Module(moduleBytes());
    return /** @type {any} */ (new WebAssembly.Instance(module, { page: { memory } }).exports);
  } catch {
    return null;
  }
}
