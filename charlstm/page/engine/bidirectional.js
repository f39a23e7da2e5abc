import { concatenate, Matrix } from "./matrix.js";
import { Memory } from "./memory.js";
import { stackNames } from "./network.js";
import { Stack } from "./stack.js";

/**
 * A bidirectional network, which predicts a token from both sides (Berglund et al. 2015). With f_t what the forward
 * stack says after token t, and b_t what the backward one says after it has read from the end down to t:
 *
 *     m_t = tanh(M [f_(t-1), b_(t+1)] + d)
 *     logits_t = W m_t + c
 */
export class BidirectionalNetwork {
  /** @param {import("./checkpoint.js").Checkpoint} checkpoint @param {Memory} memory */
  constructor({ architecture, tensors, reach }, memory = new Memory()) {
    /** @param {string} name */
    const tensor = (name) => /** @type {import("./checkpoint.js").Tensor} */ (tensors.get(name));
    this.architecture = architecture;
    this.vocabSize = architecture.vocab_size;
    this.mask = this.vocabSize;
    this.reach = reach;
    this.embedding = tensor("embedding.weight");
    const [forward, backward] = stackNames(architecture).map((name) => new Stack(name, architecture, tensors, memory));
    this.forward = forward;
    this.backward = backward;
    this.merge = Matrix.of(tensor("merge.weight"), memory);
    this.mergeBias = tensor("merge.bias").numbers();
    this.head = Matrix.of(tensor("head.weight"), memory);
    this.headBias = tensor("head.bias").numbers();
  }

  /**
   * Predict each token of a text from all others.
   * @param {number[]} ids `mask` where a token is hidden
   * @returns {Float32Array[]} the logits of each
   */
  logits(ids) {
    let left = this.begin([]);
    const future = this.future(ids);
    return ids.map((token, place) => {
      const logits = this.predict(left, future[place]);
      left = this.advance(left, token);
      return logits;
    });
  }

  /**
   * The forward state after the tokens before a blank, as far back as a window of the training reached.
   * @param {number[]} ids
   * @returns {import("./stack.js").StackState}
   */
  begin(ids) {
    return ids.slice(-this.reach).reduce((state, token) => this.advance(state, token), this.forward.empty());
  }

  /**
   * Read one token forwards.
   * @param {import("./stack.js").StackState} state
   * @param {number} token
   */
  advance(state, token) {
    return this.forward.step(this.embed(token), state).state;
  }

  /**
   * What the backward stack says of everything after each place.
   * @param {number[]} ids
   * @returns {Float32Array[]}
   */
  future(ids) {
    let state = this.backward.empty();
    const features = [this.backward.features(state.map(([h]) => h))];
    for (const token of ids.slice(1).reverse()) {
      state = this.backward.step(this.embed(token), state).state;
      features.push(this.backward.features(state.map(([h]) => h)));
    }
    return features.reverse();
  }

  /**
   * Predict the token at a place.
   * @param {import("./stack.js").StackState} left the forward state after everything before it
   * @param {Float32Array} future what the backward stack says of everything after it
   */
  predict(left, future) {
    const past = this.forward.features(left.map(([h]) => h));
    const merged = this.merge.times(concatenate([past, future]), this.mergeBias).map(Math.tanh);
    return this.head.times(merged, this.headBias);
  }

  /** @param {number} token */
  embed(token) {
    const embedded = new Float32Array(this.architecture.embedding_size);
    this.embedding.row(token, embedded);
    return embedded;
  }
}
