import { Attention } from "./attention.js";
import { concatenate, Matrix } from "./matrix.js";
import { Memory } from "./memory.js";
import { SideInputs } from "./side_inputs.js";
import { Stack } from "./stack.js";

/**
 * A causal network, one token at a time: embedding (and side inputs) → recurrent layers (→ attention) → softmax.
 *
 * The state is a value: it goes in by argument, comes out by return, and is never changed, so any number of texts can
 * go on from one state.
 *
 * @typedef {object} State
 * @property {import("./stack.js").StackState[]} layers of each stack
 * @property {import("./attention.js").Memory} attention
 * @property {import("./side_inputs.js").SideState} side
 * @property {boolean} frozen whether the match memory stores nothing more of what is read
 *
 * @typedef {object} Step
 * @property {Float32Array} logits of the next token, (V,)
 * @property {State} state after the token
 * @property {import("./cells.js").Parts[][]} parts what each layer of each stack computed
 * @property {Float32Array[]} features of each stack
 *
 * @typedef {{stack: number, layer: number, part: string, unit: number, value: number}} Hold a unit and what it is held at
 */
export class Network {
  /** @param {import("./checkpoint.js").Checkpoint} checkpoint @param {Memory} memory */
  constructor({ architecture, tensors }, memory = new Memory()) {
    this.architecture = architecture;
    this.vocabSize = architecture.vocab_size;
    this.embedding = /** @type {import("./checkpoint.js").Tensor} */ (tensors.get("embedding.weight"));
    this.stackNames = stackNames(architecture);
    this.stacks = this.stackNames.map((name) => new Stack(name, architecture, tensors, memory));
    this.side = new SideInputs(architecture, tensors);
    const window = architecture.attention_window;
    this.attention = window ? new Attention(window, tensors, memory) : null;
    this.head = Matrix.of(/** @type {import("./checkpoint.js").Tensor} */ (tensors.get("head.weight")), memory);
    this.headBias = /** @type {import("./checkpoint.js").Tensor} */ (tensors.get("head.bias")).numbers();
  }

  /** The state before any text. @returns {State} */
  empty() {
    return {
      layers: this.stacks.map((stack) => stack.empty()),
      attention: [],
      side: this.side.empty(),
      frozen: false,
    };
  }

  /**
   * Read one token.
   * @param {number} token
   * @param {State} before
   * @returns {Step}
   */
  step(token, before) {
    return this.stepEach([token], [before])[0];
  }

  /**
   * Read one token of each of several texts.
   * @param {number[]} tokens
   * @param {State[]} before the state of each
   * @returns {Step[]}
   */
  stepEach(tokens, before) {
    const embedded = tokens.map((token) => {
      const row = new Float32Array(this.architecture.embedding_size);
      this.embedding.row(token, row);
      return row;
    });
    const side = tokens.map((token, text) => this.side.step(token, before[text].side, before[text].frozen, embedded[text]));
    const attention = before.map((state) => state.attention);
    const members = this.stacks.map((stack, member) => {
      const steps = stack.stepEach(embedded, before.map(({ layers }) => layers[member]));
      return steps.map(({ parts, state }, text) => {
        const hidden = parts.map(({ h }) => h);
        if (this.attention) {
          const step = this.attention.step(hidden[hidden.length - 1], attention[text]);
          hidden[hidden.length - 1] = step.attended;
          attention[text] = step.memory;
        }
        return { parts, state, features: stack.features(hidden) };
      });
    });
    const features = tokens.map((_, text) => members.map((member) => member[text].features));
    return this.predictEach(features).map((logits, text) => ({
      logits,
      state: {
        layers: members.map((member) => member[text].state),
        attention: attention[text],
        side: side[text],
        frozen: before[text].frozen,
      },
      parts: members.map((member) => member[text].parts),
      features: features[text],
    }));
  }

  /**
   * The logits of the next token: of an ensemble the mean of its members' (1/K) Σ_k (W_k h_k + c).
   * @param {Float32Array[][]} features of each text, of each member
   */
  predictEach(features) {
    const read = features.map((each) => {
      const all = concatenate(each);
      return each.length > 1 ? all.map((value) => value / each.length) : all;
    });
    return this.head.timesEach(read, this.headBias);
  }

  /**
   * Let a text go on from a state with a unit held at a value. What the unit computes at a step still reaches the
   * softmax there, and is forgotten after it.
   * @param {State} state
   * @param {Hold} hold
   * @returns {State}
   */
  hold(state, { stack, layer, part, unit, value }) {
    const place = this.stacks[stack].cell.state.indexOf(part);
    const layers = state.layers.map((each, s) =>
      each.map((parts, k) =>
        s === stack && k === layer
          ? parts.map((values, p) => (p === place ? values.map((old, u) => (u === unit ? value : old)) : values))
          : parts,
      ),
    );
    return { ...state, layers };
  }
}

/**
 * The prefix of the tensors of each stack: one, or one for each member of an ensemble or for each direction.
 * @param {Record<string, any>} architecture
 */
export function stackNames({ bidirectional, ensemble }) {
  if (bidirectional) return ["layers", "backwards"];
  return Array.from({ length: ensemble }, (_, member) => (member ? `layers_${member + 1}` : "layers"));
}
