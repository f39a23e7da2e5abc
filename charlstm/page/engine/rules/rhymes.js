/**
 * Which words rhyme, by their spelling: those that are equal from their last vowels on, or, where that end has no stress,
 * from the vowels before on. Where the consonants before are the same, too, it is a repetition and no rhyme. See
 * `sampling/rules/rhymes.py`.
 */

const VOWEL = "[aeiouyæœøıαεηιουωаеёиоуыэюяіїє]";
const VOWELS = `(?:(?!^y|(?<=q)u)${VOWEL})+`; // in a row: y is none at the beginning, u none behind q
// Ends of words of more than one syllable that the stress is before: a single vowel, and some with consonants.
const WITHOUT_STRESS = /^(?:[a-zα-ωа-яё]|e(?:d|n|ns|r|rs|s|st|th)|ings?|ions?)$/;
const ENDS_A_SYLLABLE = /^[rlmn]+(?=.)/s; // consonants that do not begin a syllable before others: the r of "her-self"

/** The words that can rhyme, by their ends. */
export class Rhymes {
  /** @param {string[]} words as the training text has them */
  constructor(words) {
    /** @type {Map<string, Map<string, string[]>>} for each end, the words by the consonants before it */
    this.byEnd = new Map();
    for (const word of [...words].sort()) {
      const { before, end } = splitRhyme(word);
      if (!end) continue;
      const others = this.byEnd.get(end) ?? new Map();
      const same = others.get(before) ?? [];
      same.push(word);
      this.byEnd.set(end, others.set(before, same));
    }
  }

  /** The words that rhyme with a word. @param {string} word */
  of(word) {
    const { before, end } = splitRhyme(word);
    const others = [...(this.byEnd.get(end) ?? [])].filter(([key]) => key !== before).flatMap(([, words]) => words);
    return others.filter((other) => !isWithin(word, other));
  }
}

/**
 * What decides whether a word rhymes with others: the consonants that have to differ, and the end that has to be the
 * same; two empty texts if the word has no vowel.
 * @param {string} word
 */
export function splitRhyme(word) {
  const letters = Array.from(word.toLowerCase());
  const plain = letters.map(bare).join("");
  const vowels = [...plain.matchAll(new RegExp(VOWELS, "g"))].map(({ 0: found, index }) => [index, index + found.length]);
  if (!vowels.length) return { before: "", end: "" };
  if (vowels.length > 1 && WITHOUT_STRESS.test(plain.slice(vowels[vowels.length - 1][0]))) vowels.pop();
  const [begin] = vowels[vowels.length - 1];
  const [, before] = vowels[vowels.length - 2] ?? [0, 0];
  return { before: letters.slice(before, begin).join("").replace(ENDS_A_SYLLABLE, ""), end: letters.slice(begin).join("") };
}

/**
 * Whether a word is the last part of another one, behind a vowel: "house" and "outhouse", but not "rain" and "train". A
 * word that begins with a vowel has no part of its own that could be repeated: "all" and "football" rhyme.
 * @param {string} one @param {string} other
 */
function isWithin(one, other) {
  const [short, long] = [one.toLowerCase(), other.toLowerCase()].sort((a, b) => a.length - b.length);
  if (new RegExp(`^${VOWELS}`).test(short) || !long.endsWith(short)) return false;
  return new RegExp(VOWELS).test(long.slice(0, long.length - short.length));
}

/** A letter without its marks; a dash for what is longer than one unit of a string, so that places stay. @param {string} letter */
function bare(letter) {
  const [first = "-"] = letter.normalize("NFD").replace(/\p{M}/gu, "");
  return first.length === 1 ? first : "-";
}

/** The letters that a text ends with. @param {string} text */
export function lastWord(text) {
  const characters = Array.from(text);
  return characters.slice(characters.findLastIndex((each) => !/[\p{L}\p{M}]/u.test(each)) + 1).join("");
}
