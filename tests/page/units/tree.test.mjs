import assert from "node:assert/strict";
import { test } from "node:test";
import * as tree from "../../../charlstm/page/ui/tree.js";

const DRAWN = { ...tree.TYPED, drawn: true, scored: true, nats: 1 };
const letters = (text) => Array.from(text);
const begin = (typed, drawn) => {
  const root = tree.treeOf(typed);
  return tree.append(root, root.id, letters(drawn), letters(drawn).map(() => DRAWN));
};
const textsOf = ({ characters, ways }, before = "") => {
  const text = before + characters.join("");
  return ways.length ? ways.flatMap((way) => textsOf(way, text)) : [text];
};

test("what was typed is changed where it stands", () => {
  let root = tree.treeOf("hello");
  root = tree.edit(root, 5, 5, ["!"]);
  root = tree.edit(root, 0, 1, ["J"]);
  assert.deepEqual(textsOf(root), ["Jello!"]);
});

test("where drawn characters would go, a new way begins and the old one stays", () => {
  const root = tree.edit(begin("The ", "tide was out"), 8, 9, ["_"]);
  assert.deepEqual(textsOf(root), ["The tide was out", "The tide_was out"]);
  assert.equal(tree.textOf(root), "The tide_was out");
  assert.deepEqual(tree.forks(root), [{ at: 8, ways: 2, chosen: 1 }]);
});

test("typing on in a new way makes no more ways", () => {
  let root = tree.edit(begin("The ", "tide was out"), 8, 8, ["s"]);
  root = tree.edit(root, 9, 9, ["!"]);
  root = tree.edit(root, 9, 10, []);
  root = tree.edit(root, 8, 9, ["d"]);
  assert.deepEqual(textsOf(root), ["The tide was out", "The tided was out"]);
});

test("deleting drawn characters one by one leaves one fork, and nothing is lost", () => {
  let root = begin("", "abcdef");
  for (const at of [5, 4, 3]) root = tree.edit(root, at, at + 1, []);
  assert.equal(tree.textOf(root), "abc");
  root = tree.edit(root, 3, 3, ["X"]);
  assert.deepEqual(textsOf(root), ["abcdef", "abcX"]);
});

test("what stands behind an edit has to be scored again, what stands before it has not", () => {
  const { marks } = tree.flat(tree.edit(begin("", "abcdef"), 2, 3, ["X"]));
  assert.deepEqual(marks.map(({ scored }) => scored), [true, true, false, false, false, false]);
  assert.deepEqual(marks.map(({ drawn }) => drawn), [true, true, false, true, true, true]);
});

test("several ways begin at the end, in the middle and at the beginning", () => {
  for (const at of [0, 3, 6]) {
    const root = tree.branches(begin("abc", "def"), at, 3);
    const texts = textsOf(root);
    assert.equal(texts.length, at === 6 ? 3 : 4);
    assert.equal(tree.textOf(root), "abcdef".slice(0, at));
  }
});

test("a way is chosen at its fork, and by its number wherever it stands", () => {
  let root = tree.edit(begin("The ", "tide was out"), 8, 9, ["_"]);
  const here = tree.path(root).at(-1).id;
  root = tree.choose(root, 8, 0);
  assert.equal(tree.textOf(root), "The tide was out");
  assert.equal(tree.textOf(tree.chooseById(root, here)), "The tide_was out");
  assert.equal(tree.chooseById(root, -1), null);
});

test("a way that is removed leaves the text as if it had never been", () => {
  const before = begin("The ", "tide was out");
  const root = tree.edit(before, 8, 9, ["_"]);
  const pruned = tree.prune(root, tree.path(root).at(-1).id);
  assert.deepEqual(textsOf(pruned), ["The tide was out"]);
  assert.equal(pruned.ways.length, 0);
});

test("scores are written across passages and leave who wrote what", () => {
  let root = tree.edit(begin("The ", "tide was out"), 8, 9, ["_"]);
  const marks = letters(tree.textOf(root)).map((_, k) => ({ ...tree.TYPED, scored: true, nats: k }));
  root = tree.mark(root, 2, marks.slice(2));
  const flat = tree.flat(root);
  assert.deepEqual(flat.marks.slice(2).map(({ nats }) => nats), marks.slice(2).map(({ nats }) => nats));
  assert.deepEqual(flat.marks.map(({ drawn }) => drawn).slice(3, 10), [false, true, true, true, true, false, true]);
});

test("random edits lose no text as it was drawn", () => {
  let state = 7;
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  for (let run = 0; run < 50; run++) {
    let root = begin("ab", "cdefgh");
    const kept = new Set();
    for (let step = 0; step < 12; step++) {
      const { characters, marks } = tree.flat(root);
      const from = random(characters.length + 1);
      const to = Math.min(characters.length, from + random(3));
      if (marks.slice(from).some(({ drawn, kept: elsewhere }) => drawn && !elsewhere)) kept.add(characters.join(""));
      root = tree.edit(root, from, to, letters("xyz".slice(0, random(3))));
      if (random(4) === 0) {
        const { id } = tree.path(root).at(-1);
        root = tree.append(root, id, ["D", "E"], [DRAWN, DRAWN]); // the network writes on
      }
      const after = tree.flat(root);
      assert.equal(after.characters.length, after.marks.length);
    }
    const texts = textsOf(root);
    for (const text of kept) assert.ok(texts.some((each) => each.startsWith(text)), `${text} is lost`);
  }
});
