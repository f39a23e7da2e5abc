/**
 * The document: a tree of passages, in which nothing that was written is ever lost.
 *
 * A text is the way from the root to a leaf, along the passage that is chosen at each fork. What a passage follows never
 * changes, so neither does how surprising its characters were. To write something else in the middle of a passage splits
 * it there; the new passage stands beside the rest of the old one.
 *
 * Passages and trees are values, never changed: an operation returns a new tree, which shares what is the same. So undo
 * keeps every tree there was. Places count characters (code points).
 *
 * @typedef {object} Passage
 * @property {number} id
 * @property {string[]} characters
 * @property {Marks[]} marks of each character
 * @property {Passage[]} ways what follows, one way or another
 * @property {number} chosen which of them
 * @property {boolean} starred
 *
 * @typedef {object} Marks what is known of a character
 * @property {boolean} drawn by the network; else a person typed it
 * @property {boolean} [kept] whether it stands in another way too, so that changing it here loses nothing
 * @property {number | null} nats the loss of the token that begins here; null inside a token and at the beginning of a text
 * @property {number | null} rank
 * @property {number | null} entropy
 * @property {[number, number][]} alternatives ids and nats, the likeliest first
 * @property {boolean} scored whether these are known
 */

/** @type {Marks} */
export const TYPED = Object.freeze({
  drawn: false,
  nats: null,
  rank: null,
  entropy: null,
  alternatives: [],
  scored: false,
});

let newest = 0;

/**
 * @param {string[]} characters
 * @param {Marks[]} marks
 * @param {Partial<Passage>} more
 * @returns {Passage}
 */
export function passage(characters, marks, more = {}) {
  return { id: ++newest, characters, marks, ways: [], chosen: 0, starred: false, ...more };
}

/** A tree with one text. @param {string} text @param {Marks} mark */
export function treeOf(text, mark = TYPED) {
  const characters = Array.from(text);
  return passage(
    characters,
    characters.map(() => mark),
  );
}

/** The passages of the text that is chosen, from the root. @param {Passage} root @returns {Passage[]} */
export function path(root) {
  const passages = [root];
  for (let last = root; last.ways.length; ) passages.push((last = last.ways[last.chosen]));
  return passages;
}

/** @param {Passage} root */
export function textOf(root) {
  return path(root)
    .map((each) => each.characters.join(""))
    .join("");
}

/** @type {{root: Passage | null, characters: string[], marks: Marks[]}} */
let newestFlat = { root: null, characters: [], marks: [] };

/**
 * The characters and marks of the chosen text, which are not to be changed: those of the tree that was asked for last are
 * kept, since all that is shown asks for the same.
 * @param {Passage} root
 * @returns {{characters: string[], marks: Marks[]}}
 */
export function flat(root) {
  if (newestFlat.root === root) return newestFlat;
  const passages = path(root);
  if (passages.length === 1) return root;
  const characters = passages[0].characters.concat(...passages.slice(1).map((each) => each.characters));
  const marks = passages[0].marks.concat(...passages.slice(1).map((each) => each.marks));
  newestFlat = { root, characters, marks };
  return newestFlat;
}

/** The forks of the chosen text: where they stand, how many ways there are, and which is chosen. @param {Passage} root */
export function forks(root) {
  let at = 0;
  return path(root).flatMap(({ characters, ways, chosen }) => {
    at += characters.length;
    return ways.length > 1 ? [{ at, ways: ways.length, chosen }] : [];
  });
}

/**
 * Replace characters of the chosen text. What a person typed last is changed where it stands; where a character that the
 * network drew would go, or follow something else, or an old fork would go, a new way begins instead.
 * @param {Passage} root
 * @param {number} from
 * @param {number} to
 * @param {string[]} characters
 * @returns {Passage}
 */
export function edit(root, from, to, characters) {
  const { characters: old, marks } = flat(root);
  // What stands behind the change follows something else now, so it has to be scored again.
  const rest = old.slice(to);
  const restMarks = marks.slice(to).map((each) => (each.kept && !each.scored ? each : { ...each, scored: false, kept: true }));
  const passed = [...characters, ...rest];
  const passedMarks = [...characters.map(() => TYPED), ...restMarks];
  if (marks.slice(from).every((each) => !each.drawn || each.kept)) return rewriteEnd(root, from, passed, passedMarks);
  return branch(passed.length ? root : withoutEmptyEnd(root), from, passed, passedMarks);
}

/**
 * Begin a new way at a place of the chosen text, beside what follows there, and choose it.
 * @param {Passage} root
 * @param {number} at
 * @param {string[]} characters
 * @param {Marks[]} marks
 * @returns {Passage}
 */
export function branch(root, at, characters, marks) {
  return forkAt(root, at, (fork) =>
    fork.ways.length
      ? { ...fork, ways: [...fork.ways, passage(characters, marks)], chosen: fork.ways.length }
      : { ...fork, characters: [...fork.characters, ...characters], marks: [...fork.marks, ...marks] },
  );
}

/**
 * Begin several new ways at a place, and choose the first.
 * @param {Passage} root
 * @param {number} at
 * @param {number} count
 * @returns {Passage}
 */
export function branches(root, at, count) {
  const ways = Array.from({ length: count }, () => passage([], []));
  return forkAt(root, at, (fork) => ({ ...fork, ways: [...fork.ways, ...ways], chosen: fork.ways.length }));
}

/**
 * Append characters to a passage, which has no ways yet.
 * @param {Passage} root
 * @param {number} id
 * @param {string[]} characters
 * @param {Marks[]} marks
 */
export function append(root, id, characters, marks) {
  return onId(root, id, (leaf) => ({
    ...leaf,
    characters: [...leaf.characters, ...characters],
    marks: [...leaf.marks, ...marks],
  }));
}

/**
 * Choose another way at a fork of the chosen text.
 * @param {Passage} root
 * @param {number} at where the fork stands
 * @param {number} chosen
 * @returns {Passage}
 */
export function choose(root, at, chosen) {
  const length = root.characters.length;
  if (at === length && root.ways.length > 1) return { ...root, chosen };
  return onChosen(root, (way) => choose(way, at - length, chosen));
}

/** Choose the way to a passage, wherever it stands. @param {Passage} root @param {number} id @returns {Passage | null} */
export function chooseById(root, id) {
  if (root.id === id) return root;
  for (let k = 0; k < root.ways.length; k++) {
    const way = chooseById(root.ways[k], id);
    if (way) return { ...root, ways: root.ways.with(k, way), chosen: k };
  }
  return null;
}

/**
 * Change one passage.
 * @param {Passage} root
 * @param {number} id
 * @param {(passage: Passage) => Passage} change
 * @returns {Passage}
 */
export function onId(root, id, change) {
  if (root.id === id) return change(root);
  const ways = root.ways.map((way) => onId(way, id, change));
  return ways.every((way, k) => way === root.ways[k]) ? root : { ...root, ways };
}

/** Remove a passage and all that follows it. @param {Passage} root @param {number} id @returns {Passage} */
export function prune(root, id) {
  const left = root.ways.filter((way) => way.id !== id);
  if (left.length < root.ways.length) {
    const chosen = Math.max(0, Math.min(root.chosen, left.length - 1));
    return joined({ ...root, ways: left, chosen });
  }
  const ways = root.ways.map((way) => prune(way, id));
  return ways.every((way, k) => way === root.ways[k]) ? root : { ...root, ways };
}

/**
 * Write down how surprising characters of the chosen text are.
 * @param {Passage} root
 * @param {number} from
 * @param {Marks[]} marks
 * @returns {Passage}
 */
export function mark(root, from, marks) {
  const length = root.characters.length;
  const own = marks.slice(0, Math.max(0, length - from));
  let changed = root;
  if (own.length && from < length) {
    const kept = root.marks.slice();
    own.forEach((each, k) => (kept[from + k] = { ...each, drawn: kept[from + k].drawn }));
    changed = { ...root, marks: kept };
  }
  const rest = marks.slice(own.length);
  if (!rest.length || !root.ways.length) return changed;
  return onChosen(changed, (way) => mark(way, Math.max(0, from - length), rest));
}

/** @param {Passage} root @param {(way: Passage) => Passage} change */
function onChosen(root, change) {
  if (!root.ways.length) return root;
  return { ...root, ways: root.ways.with(root.chosen, change(root.ways[root.chosen])) };
}

/**
 * Change the passage that ends at a place of the chosen text; one that goes on there is split.
 * @param {Passage} root
 * @param {number} at
 * @param {(fork: Passage) => Passage} change
 * @returns {Passage}
 */
function forkAt(root, at, change) {
  const length = root.characters.length;
  if (at < length) return change(split(root, at));
  if (at === length) return change(root);
  return onChosen(root, (way) => forkAt(way, at - length, change));
}

/** The tree without the chosen end, if nothing stands there: what deleting has left. @param {Passage} root */
function withoutEmptyEnd(root) {
  const end = /** @type {Passage} */ (path(root).at(-1));
  return end === root || end.characters.length ? root : prune(root, end.id);
}

/** A passage cut in two. @param {Passage} whole @param {number} at @returns {Passage} */
function split(whole, at) {
  const rest = passage(whole.characters.slice(at), whole.marks.slice(at), { ways: whole.ways, chosen: whole.chosen });
  const { id, starred } = whole;
  return { id, starred, characters: whole.characters.slice(0, at), marks: whole.marks.slice(0, at), ways: [rest], chosen: 0 };
}

/** A passage with its only way, which needs no fork. @param {Passage} fork @returns {Passage} */
function joined(fork) {
  if (fork.ways.length !== 1) return fork;
  const [way] = fork.ways;
  const characters = [...fork.characters, ...way.characters];
  return { ...fork, characters, marks: [...fork.marks, ...way.marks], ways: way.ways, chosen: way.chosen };
}

/**
 * Replace everything behind a place of the chosen text, if it stands in one passage; else begin a new way.
 * @param {Passage} root
 * @param {number} from
 * @param {string[]} characters
 * @param {Marks[]} marks
 * @returns {Passage}
 */
function rewriteEnd(root, from, characters, marks) {
  const length = root.characters.length;
  const next = root.ways[root.chosen];
  if (next && (from > length || (from === length && !next.marks[0]?.drawn))) {
    return onChosen(root, (way) => rewriteEnd(way, from - length, characters, marks));
  }
  if (next) return branch(root, from, characters, marks);
  return {
    ...root,
    characters: [...root.characters.slice(0, from), ...characters],
    marks: [...root.marks.slice(0, from), ...marks],
  };
}
