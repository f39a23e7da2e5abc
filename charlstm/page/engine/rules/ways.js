/**
 * What a text may go on with. A guide removes tokens from the network's distribution, never adds any. It is a value that
 * stands after a text, as a state of the network does, so going back costs nothing.
 *
 * Every token allowed can be followed by an end: a text never gets stuck. Each rule can always go on by itself, but
 * several together may not be able to: a line has to end at its last column, and the words of a list do not let it. So a
 * token is allowed only if a way to an end is known after it. It is searched in the guides' own states, whatever the
 * network thinks of them: on with the token after which the end is nearest, and back where that leads nowhere.
 *
 * @typedef {object} Guide a rule, after a text
 * @property {string} key equal for guides of one rule that allow the same
 * @property {() => Float64Array} distances about how many tokens would have to follow each token before the text may
 *   end: 0 exactly where it may end after the token, Infinity for a token that is not allowed
 * @property {() => boolean} mayEnd whether the text may end here
 * @property {(token: number) => Guide} advance the guide after one more token, which was allowed
 */

const MOST = 20_000; // states in which one search looks for an end
const MOST_REMEMBERED = 300_000;

/** What is known of the ways from a guide's states to an end. */
export class Ways {
  constructor() {
    /** @type {Map<string, {steps: number} | null>} */
    this.known = new Map();
    /** @type {number[]} the tokens of the longest text that the last search in vain has tried */
    this.farthest = [];
  }

  /**
   * The tokens of a way to a place where the text may end, not always of the shortest; null if none was found.
   * @param {Guide} guide which may allow tokens that lead to no end
   */
  steps(guide) {
    if (guide.mayEnd()) return 0;
    if (!this.known.has(guide.key)) {
      if (this.known.size > MOST_REMEMBERED) this.known.clear();
      this.search(guide);
    }
    return this.known.get(guide.key)?.steps ?? null;
  }

  /** The distances of a guide, without the tokens that lead to no end. @param {Guide} guide */
  leadingOn(guide) {
    return guide.distances().map((distance, token) => {
      if (distance === 0 || distance === Infinity) return distance;
      return this.steps(guide.advance(token)) === null ? Infinity : distance;
    });
  }

  /** Without those that lead to no end in fewer tokens than are known from here; at an end all are kept. @param {Guide} guide */
  nearer(guide) {
    const most = this.steps(guide);
    if (!most) return guide.distances();
    return guide.distances().map((distance, token) => {
      const steps = distance === Infinity ? null : this.steps(guide.advance(token));
      return steps !== null && steps < most ? distance : Infinity;
    });
  }

  /** @param {Guide} start */
  search(start) {
    const seen = new Set([start.key]);
    /** @type {string[]} */
    const keys = [start.key]; // of the states up to here
    /** @type {number[]} */
    const path = []; // the tokens between them
    const waiting = [{ guide: start, tokens: nearestFirst(start) }];
    this.farthest = [];
    while (waiting.length && seen.size < MOST) {
      const { guide, tokens } = waiting[waiting.length - 1];
      const token = tokens.shift();
      keys.length = waiting.length;
      path.length = waiting.length - 1;
      if (token === undefined) {
        waiting.pop();
        continue;
      }
      const following = guide.advance(token);
      path.push(token);
      const steps = following.mayEnd() ? 0 : this.known.get(following.key)?.steps;
      if (steps !== undefined) {
        keys.forEach((key, k) => this.known.set(key, { steps: steps + keys.length - k }));
        return;
      }
      if (path.length > this.farthest.length) this.farthest = [...path];
      if (seen.has(following.key) || this.known.has(following.key)) continue; // it leads nowhere, or is on the path
      seen.add(following.key);
      keys.push(following.key);
      waiting.push({ guide: following, tokens: nearestFirst(following) });
    }
    for (const key of waiting.length ? [start.key] : seen) this.known.set(key, null);
  }
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
