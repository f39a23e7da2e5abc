import { CELLS } from "./cells.js";
import { concatenate, Matrix } from "./matrix.js";

/**
 * The recurrent layers of one direction, or of one member of an ensemble. With skip connections every layer also reads
 * the embedding, and the softmax reads every layer (Graves 2013).
 *
 * @typedef {Float32Array[][]} StackState for each layer, from the lowest, the parts of its state; a value, never changed
 * @typedef {{parts: import("./cells.js").Parts[], state: StackState}} Stepped what each layer computed, and the next state
 */
export class Stack {
  /**
   * @param {string} prefix of the names of its tensors
   * @param {Record<string, any>} architecture
   * @param {Map<string, import("./checkpoint.js").Tensor>} tensors
   * @param {import("./memory.js").Memory} memory
   */
  constructor(prefix, architecture, tensors, memory) {
    this.skip = architecture.skip_connections;
    this.size = architecture.hidden_size;
    this.cell = CELLS[/** @type {keyof typeof CELLS} */ (architecture.cell)];
    this.layers = Array.from({ length: architecture.num_layers }, (_, k) => {
      /** @param {string} name */
      const tensor = (name) => /** @type {import("./checkpoint.js").Tensor} */ (tensors.get(`${prefix}.${k}.${name}`));
      /** @type {Record<string, Float32Array>} */
      const vectors = {};
      for (const name of this.cell.vectors) vectors[name] = tensor(name).numbers();
      return {
        input: Matrix.of(tensor("weight_ih"), memory),
        recurrent: Matrix.of(tensor("weight_hh"), memory),
        bias: tensor("bias").numbers(),
        vectors,
      };
    });
  }

  /** The state before any text. @returns {StackState} */
  empty() {
    return this.layers.map(() => this.cell.state.map(() => new Float32Array(this.size)));
  }

  /**
   * Read the embedding of one token.
   * @param {Float32Array} embedded
   * @param {StackState} state
   * @returns {Stepped}
   */
  step(embedded, state) {
    return this.stepEach([embedded], [state])[0];
  }

  /**
   * Read the embedding of one token of each of several texts.
   * @param {Float32Array[]} embedded
   * @param {StackState[]} states
   * @returns {Stepped[]}
   */
  stepEach(embedded, states) {
    let xs = embedded;
    /** @type {import("./cells.js").Parts[][]} */
    const parts = states.map(() => []);
    this.layers.forEach(({ input, recurrent, bias, vectors }, k) => {
      const below = k && this.skip ? xs.map((x, text) => concatenate([x, embedded[text]])) : xs;
      const fromInput = input.timesEach(below, bias);
      const fromState = recurrent.timesEach(states.map((state) => state[k][0]));
      xs = states.map((state, text) => {
        const computed = this.cell.equations({
          fromInput: fromInput[text],
          fromState: fromState[text],
          state: state[k],
          vectors,
        });
        parts[text].push(computed);
        return computed.h;
      });
    });
    return parts.map((each) => ({
      parts: each,
      state: each.map((computed) => this.cell.state.map((part) => computed[part])),
    }));
  }

  /**
   * What the softmax reads: h of the top layer, with skip connections h of every layer.
   * @param {Float32Array[]} hidden of each layer
   */
  features(hidden) {
    return this.skip ? concatenate(hidden) : hidden[hidden.length - 1];
  }
}
