/**
 * Learning: a network reads a text on, in windows of several lanes side by side, and after each window every weight moves
 * a little against its gradient (backpropagation through time; Adam, Kingma & Ba 2015).
 *
 * A lane is a stretch of the text, read from its beginning to its end with the state carried over from window to window.
 * Gradients end where a window begins. The members of an ensemble learn each by themselves.
 *
 * Letters: N tokens of a window in all lanes together, R rows of all gates of a layer, D features of its input.
 */
import { BACKWARD } from "./backward.js";
import { CELLS } from "./cells.js";
import { writeCheckpoint } from "./checkpoint.js";
import { Memory } from "./memory.js";
import { stackNames } from "./network.js";
import { Parameter, Product } from "./product.js";
import { SideInputs } from "./side_inputs.js";

export const LANES = 8;
export const WINDOW = 32;
const CLIP = 1;

export class Learner {
  /** @param {import("./checkpoint.js").Checkpoint} checkpoint of a causal network without attention */
  constructor(checkpoint) {
    const { architecture, tensors } = checkpoint;
    if (architecture.bidirectional || architecture.attention_window) {
      throw new Error("A network that reads both ways, or attends to its past, learns on the command line only.");
    }
    this.checkpoint = checkpoint;
    this.architecture = architecture;
    this.memory = new Memory();
    this.steps = 0;
    /** @type {Map<string, Parameter>} */
    this.parameters = new Map();
    for (const [name, tensor] of tensors) {
      if (tensor.dtype === "U8") continue; // lists of words, which are no weights
      this.parameters.set(name, new Parameter(tensor, name === "side_inputs.ngrams.weight"));
    }
    /** @param {string} name */
    const parameter = (name) => /** @type {Parameter} */ (this.parameters.get(name));
    this.side = new SideInputs(architecture, tensors);
    this.embedding = parameter("embedding.weight");
    this.ngrams = this.parameters.get("side_inputs.ngrams.weight");
    this.matches = this.parameters.get("side_inputs.match.weight");
    this.cell = CELLS[/** @type {keyof typeof CELLS} */ (architecture.cell)];
    this.backward = BACKWARD[architecture.cell];
    this.stacks = stackNames(architecture).map((prefix) =>
      Array.from({ length: architecture.num_layers }, (_, k) => {
        /** @type {Record<string, Parameter>} */
        const vectors = {};
        for (const name of this.cell.vectors) vectors[name] = parameter(`${prefix}.${k}.${name}`);
        return {
          input: new Product(parameter(`${prefix}.${k}.weight_ih`), this.memory),
          recurrent: new Product(parameter(`${prefix}.${k}.weight_hh`), this.memory),
          bias: parameter(`${prefix}.${k}.bias`),
          vectors,
        };
      }),
    );
    const features = architecture.hidden_size * (architecture.skip_connections ? architecture.num_layers : 1);
    this.heads = this.stacks.map((_, member) => new Product(parameter("head.weight"), this.memory, member * features, features));
    this.headBias = parameter("head.bias");
  }

  /** The state of one lane before any text. */
  empty() {
    const size = this.architecture.hidden_size;
    return {
      side: this.side.empty(),
      layers: this.stacks.map((layers) => layers.map(() => this.cell.state.map(() => new Float32Array(size)))),
    };
  }

  /**
   * Learn from one window.
   * @param {number[][]} inputs the ids of each lane, equally many
   * @param {number[][]} targets those that follow
   * @param {any[]} states of each lane; replaced by those after the window
   * @param {number} rate the learning rate
   * @returns {number} the loss before, in nats per token
   */
  step(inputs, targets, states, rate) {
    const window = this.forward(inputs, states);
    const loss = this.lossOf(window, targets, true);
    this.backwardThrough(window);
    this.move(rate);
    return loss;
  }

  /**
   * The loss of a text, read from its beginning by the mean of all members.
   * @param {number[]} ids
   * @returns {Generator<null, number>} nats per token; yields after each window
   */
  *evaluate(ids) {
    const states = [this.empty()];
    let sum = 0;
    for (let begin = 0; begin + 1 < ids.length; begin += WINDOW) {
      const inputs = ids.slice(begin, Math.min(begin + WINDOW, ids.length - 1));
      const window = this.forward([inputs], states);
      sum += this.lossOf(window, [ids.slice(begin + 1, begin + 1 + inputs.length)], false) * inputs.length;
      yield null;
    }
    return sum / (ids.length - 1);
  }

  /** Compute everything of a window, and keep it. @param {number[][]} inputs @param {any[]} states */
  forward(inputs, states) {
    const lanes = inputs.length;
    const length = inputs[0].length;
    const size = this.embedding.columns;
    const embedded = new Float32Array(length * lanes * size);
    /** @type {{token: number, ngrams: number[], matches: number[]}[]} */
    const read = [];
    for (let time = 0; time < length; time++) {
      for (let lane = 0; lane < lanes; lane++) {
        const token = inputs[lane][time];
        const { state, ngrams, matches } = this.side.rows(token, states[lane].side, false);
        states[lane].side = state;
        const own = embedded.subarray((time * lanes + lane) * size, (time * lanes + lane + 1) * size);
        this.embedding.addRow(token, own);
        for (const row of ngrams) this.ngrams?.addRow(row, own);
        for (const row of matches) this.matches?.addRow(row, own);
        read.push({ token, ngrams, matches });
      }
    }
    const members = this.stacks.map((layers, member) => this.forwardStack(layers, member, embedded, states, length));
    return { lanes, length, read, embedded, members };
  }

  /** @param {any[]} layers @param {number} member @param {Float32Array} embedded @param {any[]} states @param {number} length */
  forwardStack(layers, member, embedded, states, length) {
    const lanes = states.length;
    const size = this.architecture.hidden_size;
    const skip = this.architecture.skip_connections;
    let below = embedded;
    const passed = layers.map(({ input, recurrent, bias, vectors }, k) => {
      const x = k && skip ? sideBySide([below, embedded], length * lanes) : below;
      const sums = input.forward(x, length * lanes);
      const rows = input.rows;
      const hidden = new Float32Array(length * lanes * size);
      const weights = Object.fromEntries(Object.entries(vectors).map(([name, each]) => [name, /** @type {any} */ (each).numbers]));
      /** @type {{parts: any, before: Float32Array[], fromState: Float32Array}[]} */
      const steps = [];
      const hBefore = new Float32Array(length * lanes * size);
      for (let time = 0; time < length; time++) {
        const first = time * lanes;
        for (let lane = 0; lane < lanes; lane++) hBefore.set(states[lane].layers[member][k][0], (first + lane) * size);
        const fromStates = recurrent.forward(hBefore.subarray(first * size, (first + lanes) * size), lanes);
        for (let lane = 0; lane < lanes; lane++) {
          const fromInput = sums.subarray((first + lane) * rows, (first + lane + 1) * rows);
          for (let row = 0; row < rows; row++) fromInput[row] += bias.numbers[row];
          const fromState = fromStates.slice(lane * rows, (lane + 1) * rows);
          const before = states[lane].layers[member][k];
          const parts = this.cell.equations({ fromInput, fromState, state: before, vectors: weights });
          states[lane].layers[member][k] = this.cell.state.map((part) => /** @type {any} */ (parts)[part]);
          hidden.set(parts.h, (first + lane) * size);
          steps.push({ parts, before, fromState });
        }
      }
      below = hidden;
      return { x, hidden, hBefore, steps, weights };
    });
    const features = skip ? sideBySide(passed.map(({ hidden }) => hidden), length * lanes) : below;
    return { passed, features, logits: this.heads[member].forward(features, length * lanes) };
  }

  /**
   * The loss of a window in nats per token.
   * @param {any} window
   * @param {number[][]} targets
   * @param {boolean} apart whether each member has a loss of its own, whose derivatives are kept; else that of their mean
   */
  lossOf({ lanes, length, members }, targets, apart) {
    const vocab = this.headBias.numbers.length;
    const judged = apart ? members.map((/** @type {any} */ { logits }) => [logits]) : [members.map((/** @type {any} */ { logits }) => logits)];
    let sum = 0;
    judged.forEach((/** @type {Float32Array[]} */ group, /** @type {number} */ k) => {
      const derivatives = new Float32Array(apart ? length * lanes * vocab : 0);
      for (let place = 0; place < length * lanes; place++) {
        const target = targets[place % lanes][Math.floor(place / lanes)];
        const logits = Float64Array.from(this.headBias.numbers, (bias, id) => bias + mean(group, place * vocab + id));
        const most = logits.reduce((a, b) => Math.max(a, b));
        const total = logits.reduce((all, logit) => all + Math.exp(logit - most), 0);
        sum += most + Math.log(total) - logits[target];
        if (!apart) continue;
        const share = 1 / (judged.length * length * lanes);
        for (let id = 0; id < vocab; id++) {
          derivatives[place * vocab + id] = (Math.exp(logits[id] - most) / total - (id === target ? 1 : 0)) * share;
        }
      }
      if (apart) members[k].dLogits = derivatives;
    });
    return sum / (judged.length * length * lanes);
  }

  /** Add the gradients of a window. @param {any} window */
  backwardThrough({ lanes, length, read, embedded, members }) {
    const count = length * lanes;
    const dEmbedded = new Float32Array(embedded.length);
    members.forEach((/** @type {any} */ { features, dLogits, passed }, /** @type {number} */ member) => {
      const head = this.heads[member];
      for (let place = 0; place < count; place++) {
        for (let id = 0; id < head.rows; id++) this.headBias.gradient[id] += dLogits[place * head.rows + id];
      }
      const dFeatures = head.backward(dLogits, features, count);
      this.backwardStack(member, passed, dFeatures, dEmbedded, lanes, length);
    });
    const size = this.embedding.columns;
    read.forEach((/** @type {any} */ { token, ngrams, matches }, /** @type {number} */ place) => {
      const own = dEmbedded.subarray(place * size, (place + 1) * size);
      this.embedding.addGradient(token, own);
      for (const row of ngrams) this.ngrams?.addGradient(row, own);
      for (const row of matches) this.matches?.addGradient(row, own);
    });
  }

  /** @param {number} member @param {any[]} passed @param {Float32Array} dFeatures @param {Float32Array} dEmbedded @param {number} lanes @param {number} length */
  backwardStack(member, passed, dFeatures, dEmbedded, lanes, length) {
    const count = length * lanes;
    const size = this.architecture.hidden_size;
    const skip = this.architecture.skip_connections;
    const top = passed.length - 1;
    /** @type {Float32Array} d of the output of the layer, as the layer above read it */
    let dAbove = new Float32Array(count * size);
    for (let k = top; k >= 0; k--) {
      const dHidden = dAbove;
      if (skip) addColumns(dHidden, dFeatures, count, size, passed.length * size, k * size);
      else if (k === top) addColumns(dHidden, dFeatures, count, size, size, 0);
      const dX = this.backwardLayer(this.stacks[member][k], passed[k], dHidden, lanes, length);
      const width = dX.length / count;
      if (k === 0) addColumns(dEmbedded, dX, count, width, width, 0);
      else {
        dAbove = new Float32Array(count * size);
        addColumns(dAbove, dX, count, size, width, 0);
        if (skip) addColumns(dEmbedded, dX, count, width - size, width, size);
      }
    }
  }

  /** @param {any} layer @param {any} passed @param {Float32Array} dHidden @param {number} lanes @param {number} length */
  backwardLayer({ input, recurrent, bias, vectors }, { x, hBefore, steps, weights }, dHidden, lanes, length) {
    const count = length * lanes;
    const size = this.architecture.hidden_size;
    const rows = input.rows;
    const dInput = new Float32Array(count * rows);
    const dState = new Float32Array(count * rows);
    const vectorGradients = Object.fromEntries(Object.entries(vectors).map(([name, each]) => [name, /** @type {any} */ (each).gradient]));
    const dc = Array.from({ length: lanes }, () => new Float32Array(size));
    let dNext = new Float32Array(lanes * size);
    for (let time = length - 1; time >= 0; time--) {
      const first = time * lanes;
      const direct = new Float32Array(lanes * size);
      for (let lane = 0; lane < lanes; lane++) {
        const place = first + lane;
        const dh = dHidden.slice(place * size, (place + 1) * size);
        for (let unit = 0; unit < size; unit++) dh[unit] += dNext[lane * size + unit];
        const before = this.backward({
          ...steps[place],
          vectors: weights,
          vectorGradients,
          dh,
          dc: dc[lane],
          dInput: dInput.subarray(place * rows, (place + 1) * rows),
          dState: dState.subarray(place * rows, (place + 1) * rows),
        });
        if (before.dh) direct.set(before.dh, lane * size);
        if (before.dc) dc[lane] = before.dc;
      }
      dNext = recurrent.backwardInput(dState.subarray(first * rows, (first + lanes) * rows), lanes);
      for (let each = 0; each < dNext.length; each++) dNext[each] += direct[each];
    }
    recurrent.addGradient(dState, hBefore, count);
    for (let place = 0; place < count; place++) {
      for (let row = 0; row < rows; row++) bias.gradient[row] += dInput[place * rows + row];
    }
    return input.backward(dInput, x, count);
  }

  /** Move every weight against its gradient, whose norm over all weights is at most 1. @param {number} rate */
  move(rate) {
    this.steps++;
    const products = [...this.stacks.flat().flatMap(({ input, recurrent }) => [input, recurrent]), ...this.heads];
    for (const product of products) product.collect();
    let squares = 0;
    for (const parameter of this.parameters.values()) squares += parameter.squares();
    const scale = Math.min(1, CLIP / (Math.sqrt(squares) + 1e-6));
    for (const parameter of this.parameters.values()) parameter.move(rate, scale, this.steps);
    for (const product of products) product.refresh();
  }

  /** The weights as they are now, as a checkpoint's tensors. */
  tensors() {
    return new Map([...this.parameters].map(([name, { shape, numbers }]) => [name, { shape, data: numbers }]));
  }

  /**
   * The network as the file of a checkpoint.
   * @param {Record<string, any>} provenance what is known of where its weights come from, besides
   */
  file(provenance = {}) {
    const { metadata } = this.checkpoint;
    const known = { ...JSON.parse(metadata.provenance), ...provenance };
    return writeCheckpoint(this.tensors(), { ...metadata, provenance: ascii(known) });
  }
}

/** JSON in ASCII, as checkpoints have it. @param {any} value */
function ascii(value) {
  return JSON.stringify(value).replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** @param {Float32Array[]} arrays @param {number} place */
function mean(arrays, place) {
  return arrays.reduce((sum, array) => sum + array[place], 0) / arrays.length;
}

/** Rows of several matrices, one behind the other. @param {Float32Array[]} parts @param {number} count rows of each */
function sideBySide(parts, count) {
  const widths = parts.map((part) => part.length / count);
  const width = widths.reduce((sum, each) => sum + each, 0);
  const all = new Float32Array(count * width);
  let begin = 0;
  parts.forEach((part, k) => {
    for (let row = 0; row < count; row++) all.set(part.subarray(row * widths[k], (row + 1) * widths[k]), row * width + begin);
    begin += widths[k];
  });
  return all;
}

/**
 * Add some columns of a matrix to another one.
 * @param {Float32Array} to rows of `width`
 * @param {Float32Array} from rows of `fromWidth`
 * @param {number} count rows
 * @param {number} width
 * @param {number} fromWidth
 * @param {number} begin the first column
 */
function addColumns(to, from, count, width, fromWidth, begin) {
  for (let row = 0; row < count; row++) {
    for (let column = 0; column < width; column++) to[row * width + column] += from[row * fromWidth + begin + column];
  }
}
