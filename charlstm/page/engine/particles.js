/**
 * Writing under a rule by particles, so that it is not led up the garden path: see `sampling/particles.py`.
 *
 * Of N texts drawn side by side those are kept for which the rule left the network most to choose from (sequential Monte
 * Carlo; Lew et al. 2023),
 *
 *     w = product over its tokens of the share of the network's probability that the rule allowed
 *
 * Where the weights count for fewer than N / 2 texts, (Σ w)² / Σ w² < N / 2, as many texts as before are taken from among
 * them, each about as often as its weight says. What all of them have in common is certain, and is handed on at once.
 *
 * @typedef {import("./write.js").Drawn} Drawn
 * @typedef {import("./write.js").Position} Position
 * @typedef {{text: Text, position: Position, drawn: Drawn[]}} Particle a text, the network after it, and what was drawn of it
 */
import { logSoftmax } from "./filters.js";
import { frozen, stepEach, Text } from "./write.js";

/**
 * @param {import("./write.js").Steps} network
 * @param {import("./tokenizers.js").Tokenizer} tokenizer
 * @param {Position} position where the text ends
 * @param {number[]} before the ids of the text
 * @param {import("./write.js").WritingSettings} settings
 * @param {(() => number)[]} uniforms of each of the texts, and of their choice
 * @param {import("./network.js").Hold | null} held a unit that is held at a value, or none
 * @param {import("./rules/ways.js").Guide} guide the rules that it keeps, after the text before
 * @returns {Generator<Drawn[], import("./write.js").Reason>} the tokens that are certain now
 */
export function* writeByParticles(network, tokenizer, position, before, settings, [choosing, ...uniforms], held, guide) {
  const begun = frozen(position);
  const first = new Text(tokenizer, before, settings, guide);
  yield* first.ready();
  /** @type {Particle[]} */
  let particles = uniforms.map(() => ({ text: first.copy(), position: begun, drawn: [] }));
  let weights = uniforms.map(() => 0); // as logarithms
  let certain = 0;
  for (;;) {
    particles.forEach(({ text, position: { logits } }, k) => (weights[k] += text.reason ? 0 : text.share(logits)));
    if (worth(weights) < particles.length / 2) {
      particles = resampled(weights, choosing()).map((number) => {
        const { text, position, drawn } = particles[number];
        return { text: text.copy(), position, drawn: [...drawn] };
      });
      weights = particles.map(() => 0);
      const agreed = agreement(particles);
      yield particles[0].drawn.slice(certain, agreed);
      certain = Math.max(certain, agreed);
    }
    const open = particles.map((particle, k) => ({ particle, k })).filter(({ particle }) => !particle.text.reason);
    if (!open.length) break;
    const tokens = open.map(({ particle, k }) => particle.text.draw(particle.position.logits, uniforms[k]));
    for (const [n, { particle }] of open.entries()) yield* push(particle, tokens[n]);
    const steps = stepEach(network, tokens, open.map(({ particle }) => particle.position), held);
    for (const [n, { particle }] of open.entries()) particle.position = steps[n];
    yield [];
  }
  const { drawn, text } = particles[taken(weights, [choosing()])[0]];
  yield drawn.slice(certain);
  return /** @type {import("./write.js").Reason} */ (text.reason);
}

/** Let a text go on with a token. @param {Particle} particle @param {number} token @returns {Generator<never[]>} */
function* push({ text, position, drawn }, token) {
  drawn.push(...text.push(token, position.logits));
  if (text.reason) return;
  yield* text.ready();
  if (text.reason) drawn.push(...text.rest);
}

/** How much of what is drawn all texts begin with. @param {Particle[]} particles */
function agreement(particles) {
  const [first, ...others] = particles.map(({ drawn }) => drawn);
  const differs = first.findIndex(({ token, text }, k) => others.some((each) => each[k]?.token !== token || each[k].text !== text));
  return differs < 0 ? first.length : differs;
}

/** The number of equal weights that are worth as much. @param {number[]} weights */
function worth(weights) {
  return 1 / normalised(weights).reduce((sum, share) => sum + share * share, 0);
}

/** Take as many as there are, each about as often as its weight says (systematic resampling; Kitagawa 1996). @param {number[]} weights @param {number} uniform */
function resampled(weights, uniform) {
  return taken(weights, weights.map((_, k) => (uniform + k) / weights.length));
}

/** The number of the weight at each of some places, from 0 to 1 in order, if they lie end to end. @param {number[]} weights @param {number[]} places */
function taken(weights, places) {
  const shares = normalised(weights);
  let [number, sum] = [0, shares[0]];
  return places.map((place) => {
    while (sum < place && number < weights.length - 1) sum += shares[++number];
    return number;
  });
}

/** @param {number[]} weights */
function normalised(weights) {
  return Array.from(logSoftmax(Float64Array.from(weights)), Math.exp);
}
