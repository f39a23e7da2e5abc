/**
 * A lesson: a network learns a text for a while, is tested on the end of it, and keeps the best weights it had.
 *
 * @typedef {object} Progress
 * @property {number} share of the time that is over
 * @property {number} read characters so far
 * @property {number} passes through the text
 * @property {number} before the loss of the end of the text before the lesson, in nats
 * @property {number} now the last one
 */
import { LANES, Learner, WINDOW } from "./learn.js";

const HELD_BACK = 0.1; // share of the text that is tested on
const MOST_TESTED = 800; // tokens
const TESTS = 6;
const RATE = 0.001;
const WARMUP = 0.1; // share of the time in which the learning rate rises
const SHORTEST = 500; // tokens

/**
 * @param {import("./checkpoint.js").Checkpoint} checkpoint
 * @param {number[]} ids of the text
 * @param {number} seconds
 * @param {() => number} clock in milliseconds
 * @returns {Generator<Progress, {file: Uint8Array, before: number, after: number, read: number}>} yields after each
 *   piece of work
 */
export function* lesson(checkpoint, ids, seconds, clock) {
  if (ids.length < SHORTEST) throw new Error(`The text has ${ids.length} characters, and a lesson needs ${SHORTEST}.`);
  const learner = new Learner(checkpoint);
  const held = Math.min(MOST_TESTED, Math.floor(ids.length * HELD_BACK));
  const [text, test] = [ids.slice(0, -held), ids.slice(-held)];
  const begun = clock();
  /** @type {Progress} */
  const progress = { share: 0, read: 0, passes: 0, before: NaN, now: NaN };
  const judge = function* () {
    const testing = learner.evaluate(test);
    for (;;) {
      const { value, done } = testing.next();
      if (done) return value;
      yield progress;
    }
  };
  progress.before = progress.now = yield* judge();
  let best = { loss: progress.before, file: learner.file() };
  let tests = 1;
  for (const { inputs, targets, states, passes } of windows(learner, text)) {
    progress.share = (clock() - begun) / 1000 / seconds;
    if (progress.share >= 1) break;
    learner.step(inputs, targets, states, RATE * Math.min(1, progress.share / WARMUP) * (1 - progress.share));
    progress.read += inputs.length * inputs[0].length;
    progress.passes = passes;
    yield progress;
    if (progress.share * TESTS < tests) continue;
    tests++;
    progress.now = yield* judge();
    if (progress.now < best.loss) best = { loss: progress.now, file: learner.file() };
  }
  const last = yield* judge();
  if (last < best.loss) best = { loss: last, file: learner.file() };
  return { file: best.file, before: progress.before, after: best.loss, read: progress.read };
}

/**
 * The windows of a text, read again and again by all lanes side by side.
 * @param {Learner} learner
 * @param {number[]} ids
 */
function* windows(learner, ids) {
  const lanes = Math.max(1, Math.min(LANES, Math.floor(ids.length / (2 * WINDOW))));
  const length = Math.floor((ids.length - 1) / lanes);
  for (let passes = 0; ; passes++) {
    const states = Array.from({ length: lanes }, () => learner.empty());
    for (let begin = 0; begin < length; begin += WINDOW) {
      const end = Math.min(begin + WINDOW, length);
      const cut = (/** @type {number} */ shift) =>
        states.map((_, lane) => ids.slice(lane * length + begin + shift, lane * length + end + shift));
      yield { inputs: cut(0), targets: cut(1), states, passes: passes + begin / length };
    }
  }
}
