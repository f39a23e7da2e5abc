/**
 * Sets of characters: as ranges of code points, and as ranges of bytes in UTF-8, which tokens are made of.
 *
 * A range of code points is cut where the number of bytes changes, and then so that in every piece each byte runs
 * through a range by itself: U+0800 to U+FFFF is `E0 A0-BF 80-BF`, `E1-EF 80-BF 80-BF`, without the surrogates, which
 * UTF-8 has not. After Russ Cox, "Regular Expression Matching in the Wild" (2010).
 *
 * @typedef {[number, number]} Range the first and the last code point, or byte
 * @typedef {Range[]} Ranges sorted, apart from each other
 */

const LAST = 0x10ffff;
/** @type {Ranges} code points of one byte, two, three and four */
const LENGTHS = [[0x0, 0x7f], [0x80, 0x7ff], [0x800, 0xd7ff], [0xe000, 0xffff], [0x10000, LAST]];
/** @type {Record<string, RegExp>} what Python's letters for kinds of characters mean */
const KINDS = {
  d: /\p{Nd}/u,
  w: /[\p{L}\p{N}_]/u,
  s: /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/,
};
/** @type {Map<string, Ranges>} */
const found = new Map();

/** The range of one character. @param {string} character @returns {Ranges} */
export function one(character) {
  const point = /** @type {number} */ (character.codePointAt(0));
  return [[point, point]];
}

/** The same code points, sorted and in as few ranges as can be. @param {Ranges} ranges @returns {Ranges} */
export function merged(ranges) {
  /** @type {Ranges} */
  const joined = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = joined[joined.length - 1];
    if (before && first <= before[1] + 1) before[1] = Math.max(last, before[1]);
    else joined.push([first, last]);
  }
  return joined;
}

/** All other code points. @param {Ranges} ranges @returns {Ranges} */
export function without(ranges) {
  /** @type {Ranges} */
  const gaps = [];
  let begin = 0;
  for (const [first, last] of [...ranges, [LAST + 1, LAST + 1]]) {
    if (begin < first) gaps.push([begin, first - 1]);
    begin = last + 1;
  }
  return gaps;
}

/** The code points of `\d`, `\w`, `\s` or an opposite. @param {string} letter @returns {Ranges} */
export function kindOf(letter) {
  const lower = letter.toLowerCase();
  let ranges = found.get(lower);
  if (!ranges) {
    ranges = [];
    for (let point = 0; point <= LAST; point++) {
      if (!KINDS[lower].test(String.fromCodePoint(point))) continue;
      const before = ranges[ranges.length - 1];
      if (before?.[1] === point - 1) before[1] = point;
      else ranges.push([point, point]);
    }
    found.set(lower, ranges);
  }
  return letter === lower ? ranges : without(ranges);
}

/** The bytes of a character, also of half a surrogate pair. @param {number} point @returns {number[]} */
export function utf8(point) {
  if (point < 0x80) return [point];
  const tail = (/** @type {number} */ shift) => 0x80 | ((point >> shift) & 0x3f);
  if (point < 0x800) return [0xc0 | (point >> 6), tail(0)];
  if (point < 0x10000) return [0xe0 | (point >> 12), tail(6), tail(0)];
  return [0xf0 | (point >> 18), tail(12), tail(6), tail(0)];
}

/**
 * The characters of a range as ranges of bytes: a list of them for each of some pieces, which together are all the
 * characters, each once.
 * @param {Range} range
 * @returns {Ranges[]}
 */
export function byteRanges([first, last]) {
  return LENGTHS.flatMap(([low, high]) => {
    const [from, to] = [Math.max(first, low), Math.min(last, high)];
    return from <= to ? ofOneLength(utf8(from), utf8(to)) : [];
  });
}

/** The same for two characters of as many bytes. @param {number[]} first @param {number[]} last @returns {Ranges[]} */
function ofOneLength(first, last) {
  const [lead, ...rest] = first;
  const [end, ...endRest] = last;
  const any = rest.map(() => /** @type {Range} */ ([0x80, 0xbf]));
  if (rest.every((byte) => byte === 0x80) && endRest.every((byte) => byte === 0xbf)) return [[[lead, end], ...any]];
  if (lead === end) return ofOneLength(rest, endRest).map((ranges) => [[lead, lead], ...ranges]);
  const [lowest, highest] = [rest.map(() => 0x80), rest.map(() => 0xbf)];
  return [
    ...ofOneLength(first, [lead, ...highest]),
    ...(lead + 1 < end ? [[/** @type {Range} */ ([lead + 1, end - 1]), ...any]] : []),
    ...ofOneLength([end, ...lowest], last),
  ];
}
