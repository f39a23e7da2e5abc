/** Text in the canonical form that an alphabet knows: é may be one character, or an e and an accent. */

const CONTINUES = /[\p{M}\u1160-\u11ff\ud7b0-\ud7ff]/u; // a mark, or a vowel or final consonant of Korean
const SEQUENCE = /[^][\p{M}\u1160-\u11ff\ud7b0-\ud7ff]*/gu;

/**
 * Characters of which those outside an alphabet are written in their other form, where that is known.
 * @param {string[]} characters
 * @param {Set<string>} alphabet
 * @returns {string[]}
 */
export function knownForm(characters, alphabet) {
  /** @param {string[]} text */
  const knows = (text) => text.every((character) => alphabet.has(character));
  if (knows(characters)) return characters;
  return (characters.join("").match(SEQUENCE) ?? []).flatMap((sequence) => {
    const own = Array.from(sequence);
    const forms = ["NFC", "NFD"].map((name) => Array.from(sequence.normalize(name)));
    return knows(own) ? own : (forms.find(knows) ?? own);
  });
}

/**
 * Where the sequence begins that goes on at a place: an accent belongs to the letter before it.
 * @param {string[]} characters
 * @param {number} at
 */
export function sequenceStart(characters, at) {
  let start = at;
  while (start > 0 && CONTINUES.test(characters[start] ?? "")) start -= 1;
  return start;
}
