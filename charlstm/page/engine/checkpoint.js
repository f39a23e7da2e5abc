/**
 * Checkpoints: `model.safetensors`, read and written as the command line does.
 *
 *     8 bytes     length of the header, little-endian
 *     header      JSON: {"__metadata__": {"config": …, "tokenizer": …, …}, "a tensor": {dtype, shape, data_offsets}, …}
 *     data        the tensors
 *
 * A matrix may be stored as 8-bit integers q, with a scale s for each row, a bfloat16: its numbers are q · s.
 */

import { sha256 } from "./sha256.js";

/** @typedef {{dtype: string, shape: number[], data: Float32Array | Int8Array | Uint8Array | Uint16Array}} Stored */

/**
 * @typedef {object} Checkpoint
 * @property {Record<string, any>} architecture the settings of the network, flat, by name
 * @property {Record<string, any>} tokenizer the state of its tokenizer
 * @property {Record<string, any>} writing how it writes unless it is told otherwise
 * @property {Map<string, Tensor>} tensors its weights, by name
 * @property {Record<string, string>} metadata all metadata of the file, as they stand there
 * @property {number} reach the length of its training windows, in tokens
 */

const VIEWS = { F32: Float32Array, F16: Uint16Array, BF16: Uint16Array, U16: Uint16Array, I8: Int8Array, U8: Uint8Array };

/** A tensor of any stored type, whose numbers are read as float32. */
export class Tensor {
  /**
   * @param {Stored} stored
   * @param {Uint16Array | null} scales of the rows, if it is stored as 8-bit integers
   */
  constructor(stored, scales = null) {
    this.shape = stored.shape;
    this.dtype = stored.dtype;
    this.data = stored.data;
    this.scales = scales;
    this.columns = stored.shape[stored.shape.length - 1] ?? 1;
  }

  /**
   * Copy a row.
   * @param {number} row
   * @param {Float32Array} out
   */
  row(row, out) {
    const { data, columns, dtype } = this;
    const begin = row * columns;
    const scale = this.scales ? fromBfloat16(this.scales[row]) : 1;
    for (let k = 0; k < columns; k++) {
      const value = data[begin + k];
      out[k] = dtype === "F16" ? fromFloat16(value) : dtype === "BF16" ? fromBfloat16(value) : value * scale;
    }
  }

  /** All its numbers, row after row. */
  numbers() {
    const rows = this.shape.length > 1 ? this.shape[0] : 1;
    const all = new Float32Array(rows * this.columns);
    for (let row = 0; row < rows; row++) this.row(row, all.subarray(row * this.columns, (row + 1) * this.columns));
    return all;
  }
}

/**
 * Read a checkpoint.
 * @param {ArrayBuffer} file
 * @returns {Checkpoint}
 */
export function readCheckpoint(file) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  const { __metadata__: metadata, ...entries } = header;
  /** @type {Map<string, Stored>} */
  const stored = new Map();
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(entries)) {
    const View = VIEWS[/** @type {keyof typeof VIEWS} */ (dtype)];
    if (!View) continue; // lists of what has been read, which writing does not need
    const count = (offsets[1] - offsets[0]) / View.BYTES_PER_ELEMENT;
    stored.set(name, { dtype, shape, data: new View(file, 8 + length + offsets[0], count) });
  }
  const tensors = new Map();
  for (const [name, tensor] of stored) {
    if (name.endsWith(".scale")) continue;
    const scales = stored.get(`${name}.scale`);
    tensors.set(name, new Tensor(tensor, scales ? /** @type {Uint16Array} */ (scales.data) : null));
  }
  const config = JSON.parse(metadata.config);
  return {
    architecture: config.model,
    tokenizer: JSON.parse(metadata.tokenizer),
    writing: metadata.writing ? JSON.parse(metadata.writing) : {},
    tensors,
    metadata,
    reach: config.data.seq_len,
  };
}

/**
 * Write a checkpoint of float32 tensors.
 * @param {Map<string, {shape: number[], data: Float32Array}>} tensors
 * @param {Record<string, string>} metadata ASCII only; its digest is replaced
 * @returns {Uint8Array} the file
 */
export function writeCheckpoint(tensors, metadata) {
  const names = [...tensors.keys()].sort((a, b) => (a < b ? -1 : 1));
  /** @param {string} digest */
  const header = (digest) => {
    /** @type {Record<string, any>} */
    const entries = { __metadata__: { ...metadata, sha256: digest } };
    let end = 0;
    for (const name of names) {
      const { shape, data } = /** @type {{shape: number[], data: Float32Array}} */ (tensors.get(name));
      entries[name] = { dtype: "F32", shape, data_offsets: [end, end + data.byteLength] };
      end += data.byteLength;
    }
    const text = new TextEncoder().encode(JSON.stringify(entries));
    const padded = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(32);
    new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
    padded.set(text, 8);
    return padded;
  };
  const start = header("0".repeat(64));
  const size = names.reduce((sum, name) => sum + (tensors.get(name)?.data.byteLength ?? 0), start.length);
  const file = new Uint8Array(size);
  let end = start.length;
  for (const name of names) {
    const data = /** @type {Float32Array} */ (tensors.get(name)?.data);
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), end);
    end += data.byteLength;
  }
  file.set(start); // the digest is that of the file with zeros in its place
  file.set(header(sha256(file)));
  return file;
}

const bits = new DataView(new ArrayBuffer(4));

/** @param {number} half the upper half of a float32 */
function fromBfloat16(half) {
  bits.setUint32(0, half << 16);
  return bits.getFloat32(0);
}

/** @param {number} half the bits of a float16 */
function fromFloat16(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
