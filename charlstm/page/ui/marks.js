/** From scored tokens, as backends tell them, to what is known of each character. */

/**
 * A token of several characters counts at its first; a character of several tokens has the sum of their losses.
 * @param {{texts: string[], nats: (number | null)[], ranks: (number | null)[], entropy: (number | null)[], alternatives: [number, number][][]}} scored
 * @param {boolean} drawn
 * @returns {{characters: string[], marks: import("./tree.js").Marks[]}}
 */
export function marksOf({ texts, nats, ranks, entropy, alternatives }, drawn) {
  /** @type {string[]} */
  const characters = [];
  /** @type {import("./tree.js").Marks[]} */
  const marks = [];
  let before = 0; // nats of tokens that have not completed a character
  let first = -1; // the first of them
  texts.forEach((text, k) => {
    const own = Array.from(text);
    if (!own.length) {
      before += nats[k] ?? 0;
      if (first < 0) first = k;
      return;
    }
    const begin = first < 0 ? k : first;
    own.forEach((character, place) => {
      characters.push(character);
      marks.push(
        place
          ? { drawn, scored: true, nats: null, rank: null, entropy: null, alternatives: [] }
          : {
              drawn,
              scored: true,
              nats: nats[k] === null ? null : nats[k] + before,
              rank: ranks[begin],
              entropy: entropy[begin],
              alternatives: alternatives[begin],
            },
      );
    });
    [before, first] = [0, -1];
  });
  return { characters, marks };
}

/** The mean loss of characters, in bits; NaN of none. @param {import("./tree.js").Marks[]} marks */
export function bitsPerCharacter(marks) {
  let [nats, characters] = [0, 0];
  for (const mark of marks) {
    if (!mark.scored) continue;
    nats += mark.nats ?? 0;
    characters++;
  }
  return characters ? nats / Math.LN2 / characters : NaN;
}

const BITS = [1, 2, 4, 6, 9];
const RANKS = [1, 3, 10, 30];

/** The shade of a loss, 0 to 5: how many of the limits of 1, 2, 4, 6 and 9 bits it reaches. @param {number | null} nats */
export function surpriseShade(nats) {
  const bits = (nats ?? 0) / Math.LN2;
  return BITS.filter((limit) => bits >= limit).length;
}

/** The shade of a rank, 0 to 4: whether 1, 3, 10 or 30 were thought likelier. @param {number | null} rank */
export function rankShade(rank) {
  return RANKS.filter((limit) => (rank ?? 0) >= limit).length;
}

/** A token as it is shown: blanks and line ends visible. @param {string} text */
export function visible(text) {
  return text
    .replaceAll(" ", "·")
    .replaceAll("\n", "↵")
    .replaceAll("\t", "⇥")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => `‹${character.codePointAt(0)?.toString(16)}›`);
}
