/**
 * Texts with blanks to fill: `the sky is ____`, `I speak fluent {3-9} now`.
 *
 *     ____        a run of underscores: one character each
 *     {}          any length from 1 to 12
 *     {5} {3-9}   a length, or a range of lengths; {-5} starts at 1, {5-} ends at 12
 *     \_ \{ \\    a literal underscore, brace or backslash
 *
 * @typedef {{shortest: number, longest: number}} Blank
 * @typedef {{texts: string[], blanks: Blank[]}} Blanked `texts[0] blanks[0] texts[1] …`
 */

const SYNTAX = /\\([_{\\])|(_+)|\{([0-9]*)(-[0-9]*)?\}/g;
const LONGEST_OPEN = 12;
const LONGEST_VARIABLE = 64;
const LONGEST = 1000;

/** @param {string} text @returns {Blanked} */
export function parseBlanks(text) {
  const texts = [""];
  /** @type {Blank[]} */
  const blanks = [];
  let end = 0;
  for (const match of text.matchAll(SYNTAX)) {
    texts[texts.length - 1] += text.slice(end, match.index);
    end = match.index + match[0].length;
    if (match[1]) texts[texts.length - 1] += match[1];
    else {
      blanks.push(blank(match));
      texts.push("");
    }
  }
  texts[texts.length - 1] += text.slice(end);
  if (!blanks.length) throw new Error("There is no blank: write ____ for four characters, {} for 1 to 12, {3-9} for 3 to 9.");
  return { texts, blanks };
}

/** @param {RegExpMatchArray} match @returns {Blank} */
function blank([whole, , run, from, to]) {
  if (run === undefined && !from && to === undefined) return { shortest: 1, longest: LONGEST_OPEN };
  const shortest = run?.length ?? Number(from || 1);
  const longest = to === undefined ? shortest : Number(to.slice(1) || Math.max(LONGEST_OPEN, shortest));
  if (shortest < 1 || longest < shortest || longest > (shortest < longest ? LONGEST_VARIABLE : LONGEST)) {
    throw new Error(`There is no such blank: ${whole}. {A} is a length of 1 to ${LONGEST}, {A-B} one from A to B, at most ${LONGEST_VARIABLE}.`);
  }
  return { shortest, longest };
}
