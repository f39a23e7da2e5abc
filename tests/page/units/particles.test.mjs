/** Writing by particles: what is drawn keeps the rules, and has the probabilities that the network has among such texts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_FILTER } from "../../../charlstm/page/engine/filters.js";
import { writeByParticles } from "../../../charlstm/page/engine/particles.js";
import { random } from "../../../charlstm/page/engine/random.js";
import { Rules } from "../../../charlstm/page/engine/rules/rules.js";
import { tokenizerOf } from "../../../charlstm/page/engine/tokenizers.js";

const ALPHABET = "abxy";
// It likes to begin with a, after which it hates what the rule asks for.
const TABLE = [[0, 0, -6, -6], [0, 0, 0, 0], [0, 0, 0.5, 0], [0, 1, 0, 0]].map((row) => Float32Array.from(row));
const BEGINNING = { logits: Float32Array.of(4, 0, 0, 0), state: {} };
const tokenizer = tokenizerOf({ kind: "char", alphabet: ALPHABET });
const network = { step: (token) => ({ logits: TABLE[token], state: {} }) };

const result = (work) => {
  for (;;) {
    const { value, done } = work.next();
    if (done) return value;
  }
};

/** A text by so many particles, and why it ended. */
function drawn(particles, seed, settings = {}, rules = { match: "[ab][xy]{2}" }) {
  const guide = result(new Rules(rules, tokenizer, [], "").after(""));
  const uniforms = Array.from({ length: particles + 1 }, (_, stream) => random(seed, stream));
  const asked = { ...NO_FILTER, length: 50, lines: 0, stop: [], ...settings };
  let text = "";
  const writing = writeByParticles(network, tokenizer, BEGINNING, [], asked, uniforms, null, guide);
  for (;;) {
    const { value, done } = writing.next();
    if (done) return { text, reason: value };
    text += value.map((each) => each.text).join("");
  }
}

/** The exact probabilities of the texts that keep the rule. */
function exact(temperature) {
  const shares = (logits) => {
    const weights = Array.from(logits, (logit) => Math.exp(logit / temperature));
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum);
  };
  const texts = new Map();
  for (const one of [0, 1]) for (const two of [2, 3]) for (const three of [2, 3]) {
    const share = shares(BEGINNING.logits)[one] * shares(TABLE[one])[two] * shares(TABLE[two])[three];
    texts.set([one, two, three].map((token) => ALPHABET[token]).join(""), share);
  }
  const sum = [...texts.values()].reduce((a, b) => a + b);
  return new Map([...texts].map(([text, share]) => [text, share / sum]));
}

/** Half the sum of the differences between the shares of what is drawn and the exact ones. */
function distance(particles, draws, temperature) {
  const counts = new Map();
  for (let seed = 0; seed < draws; seed++) {
    const { text } = drawn(particles, seed, { temperature });
    assert.match(text, /^[ab][xy]{2}$/);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return 0.5 * [...exact(temperature)].reduce((sum, [text, share]) => sum + Math.abs((counts.get(text) ?? 0) / draws - share), 0);
}

for (const temperature of [1, 2]) {
  test(`many particles leave the garden path that few follow, at temperature ${temperature}`, () => {
    const [few, some, many] = [1, 8, 200].map((particles) => distance(particles, 300, temperature));
    assert.ok(few > some && some > many, `${few} ${some} ${many}`);
    assert.ok(many < 0.1, `${many}`);
  });
}

test("a text ends where its rules, its length, its lines or a stop text say", () => {
  assert.equal(drawn(4, 1).reason, "rule");
  const long = drawn(4, 1, { length: 30 }, { match: "[abxy]*" });
  assert.deepEqual([long.text.length, long.reason], [30, "length"]);
  const stopped = drawn(4, 3, { length: 500, stop: ["xb"] }, { match: "[abxy]*" });
  assert.equal(stopped.reason, "stop");
  assert.ok(!stopped.text.includes("xb"));
});

test("the same numbers give the same text, and others another", () => {
  const texts = [5, 5, 6].map((seed) => drawn(8, seed, { length: 40 }, { match: "[abxy]*" }).text);
  assert.equal(texts[0], texts[1]);
  assert.notEqual(texts[0], texts[2]);
});

test("of one token none is left, it is drawn all the same", () => {
  assert.equal(drawn(8, 1, {}, { match: "axx" }).text, "axx");
});
