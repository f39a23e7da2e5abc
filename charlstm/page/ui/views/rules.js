/**
 * Rules that all that is written keeps to: a field for each that the network can keep to. They count from the next text
 * on, so one may be typed while another text is written.
 */
import { element } from "../dom.js";

/** @type {[string, string, string, string, string, number][]} name, id, words, more words, an example, lines */
const TEXTS = [
  ["match", "rule-match", "Matches", "a regular expression for all of it", "[A-Z][a-z ]{10,40}\\.", 1],
  ["starts", "rule-starts", "Lines begin with", "in order, between commas", "Tide, Over, Night", 1],
  ["words", "rule-list", "Only these words", "whatever stands between them", "the tide was out", 2],
];
/** @type {[string, string, string, number, number][]} name, words, more words, lowest, highest */
const NUMBERS = [
  ["max_line", "Longest line", "in characters", 1, 1000],
  ["no_copy", "No copies of", "so many characters of its training text", 20, 5000],
  ["particles", "Tries", "texts drawn for each one that is shown", 1, 1000],
];
/** @type {[string, string][]} name, words */
const SWITCHES = [
  ["words", "Only words it has read"],
  ["rhyme", "Lines rhyme in pairs"],
];

/** @typedef {{name: string, node: HTMLElement, show: (value: any) => void}} Field */

/** @param {import("../session.js").Session} session */
export function rulesFold(session) {
  const fields = [
    ...TEXTS.map((text) => textField(session, ...text)),
    ...NUMBERS.map(([name, words, more, low, high]) => numberField(session, name, words, more, low, high)),
    ...SWITCHES.map(([name, words]) => switchField(session, name, words)),
  ];
  const title = element("summary", {});
  const fault = element("p", { id: "rules-fault" });
  const list = element("div", { class: "sliders" }, ...fields.map((field) => field.node), fault);
  const node = element("details", { id: "rules" }, title, list);
  const show = () => {
    const { offered, rules, settings } = session;
    node.hidden = !offered.length;
    const names = Object.keys(rules);
    title.textContent = names.length ? `Rules: ${names.length} set` : "Rules";
    fault.textContent = names.some((name) => session.fault.includes(name)) ? session.fault : "";
    fault.hidden = !fault.textContent;
    for (const field of fields) {
      field.node.hidden = !offered.includes(field.name);
      field.show(settings.rules?.[field.name] ?? null);
    }
  };
  return { node, show };
}

/** @param {string} words @param {string} more */
function caption(words, more) {
  return element("span", {}, words, " ", element("small", {}, more));
}

/** @param {import("../session.js").Session} session @param {string} name @param {string} id @param {string} words @param {string} more @param {string} example @param {number} lines @returns {Field} */
function textField(session, name, id, words, more, example, lines) {
  const how = { id, placeholder: example, spellcheck: false, autocomplete: "off", autocapitalize: "off" };
  const input = lines > 1 ? element("textarea", { rows: lines, ...how }) : element("input", { type: "text", ...how });
  input.addEventListener("input", () => session.rule(name, input.value || null));
  const show = (/** @type {any} */ value) => {
    const text = typeof value === "string" ? value : ""; // words can be those that it has read, too
    if (input.value !== text) input.value = text;
  };
  return { name, node: element("label", {}, caption(words, more), input), show };
}

/** @param {import("../session.js").Session} session @param {string} name @param {string} words @param {string} more @param {number} low @param {number} high @returns {Field} */
function numberField(session, name, words, more, low, high) {
  const input = element("input", { type: "number", min: String(low), max: String(high), id: `rule-${name}` });
  input.addEventListener("input", () => {
    const value = Math.round(Number(input.value));
    session.rule(name, input.value && value > 0 ? Math.min(high, Math.max(low, value)) : null);
  });
  input.addEventListener("change", () => show(session.settings.rules[name] ?? null, true));
  const show = (/** @type {any} */ value, isTyped = false) => {
    if (isTyped || document.activeElement !== input) input.value = String(value ?? "");
  };
  return { name, node: element("label", {}, caption(words, more), input), show };
}

/** @param {import("../session.js").Session} session @param {string} name @param {string} words @returns {Field} */
function switchField(session, name, words) {
  const input = element("input", { type: "checkbox", id: `rule-${name}` });
  input.addEventListener("change", () => session.rule(name, input.checked || null));
  const show = (/** @type {any} */ value) => (input.checked = value === true);
  return { name, node: element("label", { class: "row" }, input, element("span", {}, words)), show };
}
