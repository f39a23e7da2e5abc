/** What is wrong with a rule, in one line, as the command line says it. */

/** @param {string} what @param {string} [hint] what to do, as sentences */
export function fault(what, hint = "") {
  return new Error(hint ? `${what}. ${hint}` : what);
}

/** @param {string} character @param {number} at its place, in characters @param {string} where */
export function notInAlphabet(character, at, where) {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  const printable = character === " " || !/[\p{C}\p{Z}]/u.test(character);
  const shown = printable ? `${quoted(character)} (U+${code})` : `U+${code}`;
  return fault(`${where}: character ${shown} at position ${at} is not in the alphabet`);
}

/** A text in quotation marks, on one line. @param {string} text */
export function quoted(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const safe = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
  return mark + (mark === "'" ? safe.replaceAll("'", "\\'") : safe) + mark;
}
