import assert from "node:assert/strict";
import { test } from "node:test";
import { barsOf } from "../../../charlstm/page/ui/bars.js";
import { bitsPerCharacter, marksOf, rankShade, surpriseShade, visible } from "../../../charlstm/page/ui/marks.js";
import { boxes, likeliestWays, wayTo } from "../../../charlstm/page/ui/views/fan.js";
import { shares } from "../../../charlstm/page/ui/views/mix.js";

const column = (texts, nats) => ({
  texts,
  nats,
  ranks: nats.map(() => 0),
  entropy: nats.map(() => 1),
  alternatives: nats.map(() => [[0, 1]]),
});

test("a token of several characters counts at its first", () => {
  const { characters, marks } = marksOf(column(["the", " "], [2, 1]), true);
  assert.deepEqual(characters, ["t", "h", "e", " "]);
  assert.deepEqual(marks.map(({ nats }) => nats), [2, null, null, 1]);
  assert.equal(bitsPerCharacter(marks), 3 / Math.LN2 / 4);
});

test("a character of several tokens has the sum of their losses", () => {
  const { characters, marks } = marksOf(column(["", "é", "😀"], [2, 0.5, 1]), false);
  assert.deepEqual(characters, ["é", "😀"]);
  assert.deepEqual(marks.map(({ nats }) => nats), [2.5, 1]);
});

test("shades rise with the loss and with the rank", () => {
  assert.deepEqual([null, 0.5, 1, 3, 5, 7, 20].map((bits) => surpriseShade(bits === null ? null : bits * Math.LN2)), [0, 0, 1, 2, 3, 4, 5]);
  assert.deepEqual([null, 0, 1, 2, 3, 9, 10, 30].map(rankShade), [0, 0, 1, 1, 2, 2, 3, 4]);
});

test("nothing that is shown hides or turns what stands beside it", () => {
  assert.equal(visible("a b\n\t\u202e\u0000"), "a·b↵⇥‹202e›‹0›");
});

test("bars are what the network thinks and what the filters leave, each of them all that there is", () => {
  const nats = [0.5, 0.3, 0.15, 0.05].map((share) => -Math.log(share));
  const bars = barsOf({ nats, top: null }, { temperature: 0.5, top_k: 3 }, null);
  assert.deepEqual(bars.map(({ id }) => id), [0, 1, 2, 3]);
  const squares = [0.25, 0.09, 0.0225];
  const total = squares.reduce((sum, each) => sum + each, 0);
  squares.forEach((square, k) => assert.ok(Math.abs(bars[k].kept - square / total) < 1e-9));
  assert.equal(bars[3].kept, 0);
  assert.deepEqual(barsOf({ nats, top: null }, {}, 1).map(({ id }) => id), [0, 2, 3]);
});

test("boxes of the fan fill their parents from the top", () => {
  const nodes = [[-1, 5, 0.5], [-1, 6, 0.25], [0, 7, 0.25], [0, 8, 0.125], [2, 9, 0.25]];
  assert.deepEqual(boxes(nodes).map(({ top, height, depth }) => [top, height, depth]), [
    [0, 0.5, 0], [0.5, 0.25, 0], [0, 0.25, 1], [0.25, 0.125, 1], [0, 0.25, 2],
  ]);
  assert.deepEqual(wayTo(nodes, 4), [5, 7, 9]);
  assert.deepEqual(likeliestWays(nodes, 2).map(({ node }) => node), [1, 4]);
});

test("the shares of a mix are those of the corners", () => {
  assert.deepEqual(shares(2, 0.25, 0.9), [0.75, 0.25]);
  assert.deepEqual(shares(4, 0, 0), [1, 0, 0, 0]);
  assert.deepEqual(shares(4, 0.5, 0.5), [0.25, 0.25, 0.25, 0.25]);
  assert.ok(Math.abs(shares(3, 0.3, 0.6).reduce((sum, each) => sum + each, 0) - 1) < 1e-12);
  assert.deepEqual(shares(3, 1, 1), [1 / 3, 1 / 3, 1 / 3]);
});
