import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "../../../charlstm/page/ui/session.js";
import { flat } from "../../../charlstm/page/ui/tree.js";

const NETWORK = { kind: "char", bidirectional: false, vocabulary: ["a", "b", "c"], unknown: null, writing: {} };
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
