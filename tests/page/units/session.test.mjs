import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "../../../charlstm/page/ui/session.js";
import { flat } from "../../../charlstm/page/ui/tree.js";

const NETWORK = { kind: "char", bidirectional: false, vocabulary: ["a", "b", "c"], unknown: null, writing: {}, rules: ["match", "max_line", "no_copy"] };
const scoredAs = (text, nats) => ({
  texts: Array.from(text),
  ids: Array.from(text, (letter) => NETWORK.vocabulary.indexOf(letter)),
  nats: Array.from(text, () => nats),
  ranks: Array.from(text, () => 0),
  entropy: Array.from(text, () => 1),
  alternatives: Array.from(text, () => []),
});

/** A backend whose networks lose 1 and 2 nats at each character, and that tells what it was asked to write. */
async function opened() {
  const asked = [];
  const backend = {
    models: async () => ({ default: "one", models: ["one", "two"].map((id) => ({ ...NETWORK, id })) }),
    score: async ({ model, text, from }) => ({
      ...scoredAs(Array.from(text).slice(from).join(""), model === "one" ? 1 : 2),
      at: from,
      next: { nats: [1, 1, 1], top: null, entropy: 1 },
    }),
    async *generate(request, signal) {
      asked.push(request);
      if (request.match === "(") throw new Error("`match` opens a group and does not close it, at position 0");
      for (let count = 0; count < request.length; count++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (signal.aborted) throw signal.reason;
        yield { event: "text", data: { row: 0, ...scoredAs("c", 1) } };
      }
      yield { event: "end", data: { row: 0, reason: "length", bits_per_char: 1 } };
    },
  };
  const session = new Session(backend, () => {});
  await session.open();
  return { session, asked };
}
const moment = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const lossesOf = (session) => flat(session.root).marks.map(({ nats }) => nats);

test("a change while it writes lets it write the rest, and no more", async () => {
  const { session, asked } = await opened();
  session.settings.length = 20;
  session.write();
  await moment(40);
  session.set({ temperature: 0.5 });
  await moment(300);
  assert.equal(asked.length, 2);
  assert.equal(asked[1].temperature, 0.5);
  assert.ok(asked[1].length < 20);
  assert.equal(session.length, 20);
});

test("undo shows no scores of a network that is no longer asked", async () => {
  const { session } = await opened();
  session.type(0, 0, ["a", "b"]);
  await moment(150);
  assert.deepEqual(lossesOf(session), [1, 1]);
  session.lastTyped = -Infinity; // a pause
  session.type(2, 2, ["c"]);
  await moment(150);
  session.ask("two", null);
  await moment(150);
  assert.deepEqual(lossesOf(session), [2, 2, 2]);
  session.undo();
  assert.equal(session.text, "ab");
  await moment(150);
  assert.deepEqual(lossesOf(session), [2, 2]);
});

test("a character that the network does not know is told before anything is asked", async () => {
  const { session, asked } = await opened();
  session.type(0, 0, ["a", "ü"]);
  await session.write();
  assert.match(session.fault, /"ü" \(character 2\)/);
  assert.equal(session.text, "aü");
  assert.equal(asked.length, 0);
});

test("what is typed in another canonical form is written in the network's", async () => {
  const { session } = await opened();
  session.models[0].vocabulary = ["a", "e", "\u00e9", "o", "\u0308"];
  session.type(0, 0, ["a", "e", "\u0301"]);
  assert.equal(session.text, "a\u00e9");
  session.begin("ae");
  session.type(2, 2, ["\u0301"]); // the accent alone
  assert.equal(session.text, "a\u00e9");
  assert.equal(session.caret, 2);
  session.type(1, 2, ["\u00f6"]);
  assert.equal(session.text, "ao\u0308");
  assert.equal(session.caret, 3);
});

test("what is asked for has the rules that are set and that the network can keep to", async () => {
  const { session, asked } = await opened();
  session.settings.length = 1;
  await session.write();
  session.rule("match", "a");
  session.rule("words", true);
  session.rule("max_line", 40);
  session.rule("max_line", null);
  await session.write();
  await session.write({ rules: {} });
  assert.deepEqual(asked.map(({ match, words, max_line, rules }) => [match, words, max_line, rules]), [
    [undefined, undefined, undefined, undefined],
    ["a", undefined, undefined, undefined],
    [undefined, undefined, undefined, undefined],
  ]);
  session.rule("no_copy", 20);
  session.mix = [{ model: "one", weight: 1 }, { model: "two", weight: 1 }];
  assert.deepEqual(session.rules, { match: "a" });
  session.models[1].rules = ["max_line", "no_copy"];
  assert.deepEqual(session.rules, {});
});

test("more tries are asked for only beside a rule", async () => {
  const { session } = await opened();
  session.models[0].rules = ["match", "particles"];
  session.rule("particles", 8);
  assert.deepEqual(session.rules, {});
  session.rule("match", "a+");
  assert.deepEqual(session.rules, { match: "a+", particles: 8 });
});

test("a text that matches as a whole is not taken up by another one", async () => {
  const { session, asked } = await opened();
  session.settings.length = 20;
  session.rule("match", "c*");
  const writing = session.write();
  await moment(40);
  session.set({ temperature: 0.5 });
  await writing;
  assert.equal(asked.length, 1);
  assert.equal(session.text, "c".repeat(20));
});

test("a change lets the rest be written with the rules as they were", async () => {
  const { session, asked } = await opened();
  session.settings.length = 20;
  session.rule("max_line", 40);
  session.write();
  await moment(40);
  session.rule("match", "(");
  session.set({ temperature: 0.5 });
  await moment(300);
  assert.deepEqual(asked.map(({ match, max_line }) => [match, max_line]), [[undefined, 40], [undefined, 40]]);
  assert.equal(session.text, "c".repeat(20));
});

test("another network is never shown with what the one before it expected", async () => {
  const { session } = await opened();
  session.type(0, 0, ["a", "b"]);
  await moment(150);
  assert.equal(session.here.at, 2);
  session.lookHere(); // which comes too late
  session.ask("two", null);
  assert.equal(session.here, null);
  await moment(0);
  assert.equal(session.here, null);
  await moment(150);
  assert.equal(session.here.at, 2);
});

test("a writing that comes to nothing leaves no empty way", async () => {
  const { session } = await opened();
  session.type(0, 0, ["a", "b", "c"]);
  session.moveTo(1);
  session.rule("match", "(");
  await session.write();
  await session.writeWays(3);
  assert.match(session.fault, /does not close it/);
  assert.equal(session.text, "abc");
  assert.equal(session.caret, 1);
  assert.equal(session.root.ways.length, 0);
  assert.equal(session.past.length, 1);
});
