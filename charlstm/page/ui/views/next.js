/** What may come next at the caret, and how the network writes. */
import { barList, barsOf } from "../bars.js";
import { element, say } from "../dom.js";
import { rulesFold } from "./rules.js";

/** @type {[string, string, number, number, number][]} name, words, lowest, highest, step */
const SLIDERS = [
  ["temperature", "Temperature: low is careful, high is wild", 0, 2, 0.01],
  ["min_p", "Min-p: drop what is less likely than this share of the likeliest", 0, 0.5, 0.005],
  ["top_p", "Top-p: keep the likeliest that add up to this", 0.05, 1, 0.01],
];
/** @type {[string, string, number, number][]} name, words, lowest, highest */
const NUMBERS = [
  ["length", "Characters to write", 1, 5000],
  ["top_k", "Keep the k likeliest; 0 is off", 0, 1000],
  ["no_repeat", "Characters that may be said again; 0 is any number", 0, 4096],
  ["seed", "Seed; empty is random", 0, 2147483647],
];

/**
 * @param {HTMLElement} panel
 * @param {import("../session.js").Session} session
 */
export function nextView(panel, session) {
  const title = element("h2", {});
  const list = element("ul", { class: "bars", id: "bars" });
  const note = element("p", { class: "soft" });
  const sliders = SLIDERS.map(([name, words, low, high, step]) => slider(session, name, words, low, high, step));
  const numbers = NUMBERS.map(([name, words, low, high]) => numberField(session, name, words, low, high));
  const speed = speedSlider(session);
  const rules = rulesFold(session);
  panel.replaceChildren(
    title,
    list,
    note,
    element("div", { class: "sliders" }, ...sliders.map(({ node }) => node), speed.node),
    rules.node,
    element("details", {}, element("summary", {}, "More settings"), element("div", { class: "sliders" }, ...numbers.map(({ node }) => node))),
  );
  list.addEventListener("keydown", (event) => moveAlong(event, list));
  /** @type {any[]} */
  let shown = [];
  return () => {
    const { here, caret, vocabulary, settings } = session;
    const own = session.facts.writing;
    for (const { show } of [...sliders, ...numbers, speed, rules]) show();
    if (session.facts.bidirectional) {
      say(title, "This network fills blanks");
      say(note, "Write ____ for four characters, {} for 1 to 12, {3-9} for 3 to 9, and press Fill.");
      list.replaceChildren();
      shown = [];
      return;
    }
    const fresh = here?.at === caret;
    say(title, caret === session.length ? "What may come next" : "What may stand here");
    list.setAttribute("aria-busy", String(!fresh)); // until then they are those of another place
    if (!here && session.fault) {
      list.replaceChildren(); // there will be none, and those were another network's
      note.textContent = "";
      shown = [];
    }
    if (!here || !fresh) return;
    const character = session.characters()[caret];
    const now = [here, settings, own, session.mix, character];
    if (now.every((each, k) => each === shown[k])) return;
    shown = now;
    const filters = { temperature: own.temperature, top_p: own.top_p, min_p: own.min_p, ...defined(settings) };
    const bars = barsOf(here.next, filters, session.unknown);
    const current = character === undefined ? null : vocabulary.indexOf(character);
    const focused = list.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.id : null;
    list.replaceChildren(...barList(bars, vocabulary, current, (id) => session.take(caret, id, true)));
    if (focused) {
      const again = list.querySelector(`[data-id="${focused}"]`) ?? list.querySelector("button");
      /** @type {HTMLElement | null} */ (again)?.focus();
    }
    note.textContent = `Upper bars show what the network thinks, lower bars what temperature and filters leave of it. It expects a surprise of ${(here.next.entropy / Math.LN2).toFixed(1)} bits.`;
  };
}

/** Arrow keys move along buttons. @param {KeyboardEvent} event @param {HTMLElement} list */
export function moveAlong(event, list) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by) return;
  const buttons = /** @type {HTMLButtonElement[]} */ ([...list.querySelectorAll("button:enabled")]);
  const at = buttons.indexOf(/** @type {any} */ (document.activeElement));
  buttons[(at + by + buttons.length) % buttons.length]?.focus();
  event.preventDefault();
}

/** @param {Record<string, any>} settings */
function defined(settings) {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null && value !== undefined));
}

/** @param {import("../session.js").Session} session @param {string} name @param {string} words @param {number} low @param {number} high @param {number} step */
function slider(session, name, words, low, high, step) {
  const output = element("output", {});
  const input = element("input", { type: "range", min: String(low), max: String(high), step: String(step), id: `set-${name}` });
  input.addEventListener("input", () => session.set({ [name]: Number(input.value) }));
  const show = () => {
    const value = session.settings[name] ?? session.facts.writing[name];
    if (document.activeElement !== input || Number(input.value) !== value) input.value = String(value);
    say(output, String(Math.round(value * 1000) / 1000));
  };
  return { node: element("label", {}, element("span", {}, words), output, input), show };
}

/** @param {import("../session.js").Session} session @param {string} name @param {string} words @param {number} low @param {number} high */
function numberField(session, name, words, low, high) {
  const input = element("input", { type: "number", min: String(low), max: String(high), id: `set-${name}` });
  input.addEventListener("change", () => {
    const value = input.value === "" ? null : Math.min(high, Math.max(low, Math.round(Number(input.value))));
    session.set({ [name]: value ?? (name === "length" ? 200 : null) });
  });
  const show = () => {
    const value = session.settings[name] ?? session.facts.writing[name] ?? (name === "seed" ? "" : 0);
    if (document.activeElement !== input) input.value = String(value);
  };
  return { node: element("label", {}, element("span", {}, words), input), show };
}

/** From one character a second to as fast as it goes. @param {import("../session.js").Session} session */
function speedSlider(session) {
  const steps = [1, 2, 5, 10, 20, 50, 100, 0];
  const output = element("output", {});
  const input = element("input", { type: "range", min: "0", max: String(steps.length - 1), step: "1", id: "set-speed" });
  input.addEventListener("input", () => {
    session.speed = steps[Number(input.value)];
    session.changed();
  });
  const show = () => {
    input.value = String(steps.indexOf(session.speed));
    say(output, session.speed ? `${session.speed} a second` : "as fast as it goes");
    input.setAttribute("aria-valuetext", output.textContent ?? "");
  };
  return { node: element("label", {}, element("span", {}, "Speed"), output, input), show };
}
