/**
 * What a text may go on with. A guide removes tokens from the network's distribution, never adds any. It is a value that
 * stands after a text, as a state of the network does, so going back costs nothing.
 *
 * Every token allowed can be followed by an end: a text never gets stuck. Each rule can always go on by itself, but
 * several together may not be able to: a line has to end at its last column, and the words of a list do not let it. So a
 * token is allowed only if a way to an end is known after it. It is searched in the guides' own states, whatever the
 * network thinks of them, and what is found is remembered, also of the states on the way.
 *
 * @typedef {object} Guide a rule, after a text
 * @property {string} key equal for guides of one rule that allow the same
 * @property {() => Float64Array} distances about how many tokens would have to follow each token before the text may
 *   end: 0 exactly where it may end after the token, Infinity for a token that is not allowed
 * @property {() => boolean} mayEnd whether the text may end here
 * @property {(token: number) => Guide} advance the guide after one more token, which was allowed
 * @property {() => Generator<null>} [ready] does before what its distances need, and yields after each piece of work
 */

const MOST = 20_000; // tokens that one search for an end tries
const MOST_BESIDE = 500; // and one for a way that only has to be better than another, or may be hard to find
const MOST_REMEMBERED = 300_000;
const PIECE = 500; // tokens that are tried before everything else has its turn

/**
 * @typedef {{steps: number, token: number | null}} Way from a state to an end: its tokens, and the first of them
 * @typedef {{from: string, token: number}} Link how a state was reached: the state before it, and the token that led on
 */

/** What is known of the ways from a guide's states to an end. */
export class Ways {
  constructor() {
    /** @type {Map<string, Way | null>} */
    this.known = new Map();
    /** @type {number[]} the tokens of the longest text that the last search in vain has tried */
    this.farthest = [];
  }

  /**
   * A way to a place where the text may end, not always the shortest; null if none was found.
   * @param {Guide} guide which may allow tokens that lead to no end
   * @param {number} most tokens that are tried, at most
   * @returns {Way | null}
   */
  way(guide, most = MOST) {
    if (guide.mayEnd()) return { steps: 0, token: null };
    if (!this.known.has(guide.key)) {
      for (const _ of this.search(guide, most));
      if (most === MOST && !this.known.has(guide.key)) this.known.set(guide.key, null);
    }
    return this.known.get(guide.key) ?? null;
  }

  /** The distances of a guide, without the tokens that lead to no end. @param {Guide} guide */
  leadingOn(guide) {
    return guide.distances().map((distance, token) => {
      if (distance === 0 || distance === Infinity) return distance;
      return this.way(guide.advance(token)) ? distance : Infinity;
    });
  }

  /**
   * Without those that are not known to lead to an end in fewer tokens than there are from here; at an end all are kept.
   * @param {Guide} guide
   */
  nearer(guide) {
    this.makeRoom(guide);
    const distances = guide.distances();
    const known = this.way(guide);
    if (!known || known.token === null) return distances;
    const farthest = distances[known.token];
    return distances.map((distance, token) => {
      const other = distance <= farthest && distance < Infinity ? this.way(guide.advance(token), MOST_BESIDE) : null;
      return other && other.steps < known.steps ? distance : Infinity;
    });
  }

  /**
   * Look for all that `leadingOn` needs, in pieces. After each token a few are tried; after those where that was in vain,
   * as many together as otherwise after one. So what no text can keep is soon told.
   * @param {Guide} guide
   * @returns {Generator<null>}
   */
  *lookAhead(guide) {
    this.makeRoom(guide);
    const unsure = [...guide.distances().entries()].filter(([, distance]) => distance > 0 && distance < Infinity);
    const states = unsure.map(([token]) => guide.advance(token)).filter((after) => !after.mayEnd());
    const following = [...new Map(states.map((after) => [after.key, after])).values()]; // many are the same
    for (const after of following) if (!this.known.has(after.key)) yield* this.search(after, MOST_BESIDE);
    let left = MOST;
    for (const after of following) {
      if (this.known.has(after.key)) continue;
      left -= yield* this.search(after, left);
      if (!this.known.has(after.key)) this.known.set(after.key, null);
    }
  }

  /**
   * On with the token after which the end is nearest, and back where that leads nowhere.
   * @param {Guide} start @param {number} most tokens that are tried, at most
   * @returns {Generator<null, number>} how many were tried
   */
  *search(start, most) {
    /** @type {Map<string, Link | null>} */
    const links = new Map([[start.key, null]]);
    const waiting = [{ guide: start, tokens: nearestFirst(start) }];
    /** @type {Link | null} */
    let deepest = null;
    let depth = 0;
    let tried = 0;
    while (waiting.length && tried < most) {
      if (++tried % PIECE === 0) yield null;
      const { guide, tokens } = waiting[waiting.length - 1];
      const token = tokens.shift();
      if (token === undefined) {
        waiting.pop();
        continue;
      }
      const following = guide.advance(token);
      const link = { from: guide.key, token };
      const way = following.mayEnd() ? { steps: 0 } : this.known.get(following.key);
      if (way) {
        back(link, links).forEach((each, k) => this.known.set(each.from, { steps: way.steps + k + 1, token: each.token }));
        return tried;
      }
      if (waiting.length > depth) [deepest, depth] = [link, waiting.length];
      if (links.has(following.key) || this.known.has(following.key)) continue; // it leads nowhere, or is on the path
      links.set(following.key, link);
      waiting.push({ guide: following, tokens: nearestFirst(following) });
    }
    this.farthest = back(deepest, links).map(({ token }) => token).reverse();
    if (!waiting.length) for (const key of links.keys()) this.known.set(key, null);
    return tried;
  }

  /** Forget everything but the way from a state, if too much is remembered. @param {Guide} guide */
  makeRoom(guide) {
    if (this.known.size <= MOST_REMEMBERED) return;
    const { known } = this;
    this.known = new Map();
    for (let at = guide, way = known.get(at.key); way && way.token !== null; way = known.get(at.key)) {
      this.known.set(at.key, way);
      at = at.advance(way.token);
    }
  }
}

/** A link and all those before it, the last one first. @param {Link | null} link @param {Map<string, Link | null>} links */
function back(link, links) {
  const all = [];
  for (let each = link; each; each = links.get(each.from) ?? null) all.push(each);
  return all;
}

/** @param {Guide} guide */
function nearestFirst(guide) {
  const distances = guide.distances();
  const tokens = Array.from(distances, (_, token) => token).filter((token) => distances[token] < Infinity);
  return tokens.sort((a, b) => distances[a] - distances[b] || a - b);
}

/** What all of some guides allow, also what leads nowhere. @implements {Guide} */
export class Joint {
  /** @param {Guide[]} parts */
  constructor(parts) {
    this.parts = parts;
    this.key = parts.map(({ key }) => key).join("\n");
  }

  distances() {
    const sum = this.parts[0].distances();
    for (const part of this.parts.slice(1)) part.distances().forEach((distance, token) => (sum[token] += distance));
    return sum;
  }

  mayEnd() {
    return this.parts.every((part) => part.mayEnd());
  }

  /** @param {number} token @returns {Joint} */
  advance(token) {
    return new Joint(this.parts.map((part) => part.advance(token)));
  }
}

/** A guide without what leads to no end. @implements {Guide} */
class NeverStuck {
  /** @param {Guide} guide @param {Ways} ways */
  constructor(guide, ways) {
    this.guide = guide;
    this.ways = ways;
    this.key = guide.key;
  }

  ready() {
    return this.ways.lookAhead(this.guide);
  }

  distances() {
    return this.ways.leadingOn(this.guide);
  }

  mayEnd() {
    return this.guide.mayEnd();
  }

  /** @param {number} token @returns {NeverStuck} */
  advance(token) {
    return new NeverStuck(this.guide.advance(token), this.ways);
  }
}

/** One guide that keeps several rules; it allows nothing if no text keeps them all. @param {Guide[]} guides at least one @returns {Guide} */
export function allOf(guides) {
  return guides.length === 1 ? guides[0] : new NeverStuck(new Joint(guides), new Ways());
}
