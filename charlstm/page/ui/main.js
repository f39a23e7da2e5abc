/** The page: everything is shown from one session, and everything a person does changes it. */
import { barList } from "./bars.js";
import { byId, element, percent, say } from "./dom.js";
import { Editor } from "./editor.js";
import { keysDialog } from "./keys.js";
import { bitsPerCharacter, rankShade, surpriseShade } from "./marks.js";
import { keep, kept } from "./saved.js";
import { Session } from "./session.js";
import { flat, forks } from "./tree.js";
import { branchesView } from "./views/branches.js";
import { fanView } from "./views/fan.js";
import { learnView } from "./views/learn.js";
import { mixView } from "./views/mix.js";
import { moveAlong, nextView } from "./views/next.js";
import { stripView } from "./views/strip.js";
import { unitsView } from "./views/units.js";

const SAVE = 500; // milliseconds
const HOVER = 300; // milliseconds before alternatives open
const SHADES = 5; // of a unit, to either side
const MOST_TRACED = 2000; // characters that are coloured by a unit

/** @param {import("./backends.js").Backend} backend */
export async function start(backend) {
  theme();
  let waiting = 0;
  const session = new Session(backend, () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      show();
    });
  });
  try {
    await session.open();
  } catch (fault) {
    byId("status").textContent = fault instanceof Error ? fault.message : String(fault);
    return;
  }
  const before = kept();
  if (before) {
    if (session.models.some(({ id }) => id === before.model)) session.model = before.model;
    Object.assign(session, { root: before.root, settings: before.settings, caret: before.caret });
    session.rescore();
  } else session.begin(...opening(session));

  const editor = new Editor({
    edited: (from, to, characters) => session.type(from, to, characters),
    moved: (caret) => session.moveTo(caret),
    undo: () => session.undo(),
    redo: () => session.redo(),
    pointed: (at, box) => hover.point(at, box),
    turned: showNow,
  });
  const coloured = new UnitColour(session);
  const views = tabs(session, coloured);
  views.push(stripView(byId("strip"), session, (unit, layer, part) => coloured.by({ unit, layer, part, stack: "layers" })));
  const hover = new Alternatives(session);
  chooser(session);
  buttons(session);
  keys(session, editor);
  keysDialog(Boolean(backend.learn));
  let timer = 0;

  function show() {
    const { characters, marks } = flat(session.root);
    const places = forks(session.root).map(({ at }) => at);
    const ways = new Set(places);
    const colour = byId("colour").value;
    editor.show({
      characters,
      marks,
      style: [colour, places.join(), coloured.values],
      look: (at) => classes(marks[at], colour, ways.has(at), coloured.shade(at)),
      caret: session.caret,
      growing: session.writing !== null,
    });
    facts(session, marks);
    bar(session);
    three(session);
    legend(colour, coloured);
    for (const view of views) view();
    coloured.refresh();
    clearTimeout(timer);
    timer = setTimeout(() => (session.fault ||= keep(session)), SAVE);
  }

  /** Show what has changed without waiting for a frame: a key that comes before it would be put into the text of before. */
  function showNow() {
    if (!waiting) return;
    cancelAnimationFrame(waiting);
    waiting = 0;
    show();
  }
  byId("colour").addEventListener("change", show);
  show();
  editor.focus(session.caret);
}

/** @param {import("./tree.js").Marks} mark @param {string} colour @param {boolean} forked @param {number} unit */
function classes(mark, colour, forked, unit) {
  const names = [];
  if (!mark.drawn) names.push("typed");
  if (forked) names.push("forked");
  if (!mark.scored) names.push("waiting");
  else if (colour === "surprise") names.push(`s${surpriseShade(mark.nats)}`);
  else if (colour === "rank") names.push(`r${rankShade(mark.rank)}`);
  if (colour === "unit" && unit) names.push(`u${unit}`);
  return names.join(" ");
}

/** @param {import("./session.js").Session} session @param {import("./tree.js").Marks[]} marks */
function facts(session, marks) {
  const { hold } = session;
  const here = bitsPerCharacter(marks);
  const held = hold ? ` · unit ${hold.unit} held at ${hold.value.toFixed(2)}` : "";
  say(byId("facts"), `${whoWrites(session)}${Number.isNaN(here) ? "" : ` · this text ${here.toFixed(2)} bits`}${held}`);
  say(byId("status"), session.fault || session.status);
  byId("status").classList.toggle("fault", session.fault !== "");
  byId("model").value = session.model;
}

/** The network that is asked, or the mix. @param {import("./session.js").Session} session */
function whoWrites(session) {
  const { mix, models } = session;
  if (mix) return mix.map(({ model, weight }) => `${models.find(({ id }) => id === model)?.name ?? model} ${percent(weight)}`).join(" + ");
  const { architecture: net, bits_per_char: bits } = session.facts;
  const shape = `${net.ensemble > 1 ? `${net.ensemble} of ` : ""}${net.num_layers}×${net.hidden_size} ${net.cell}`;
  return bits ? `${shape} · ${bits.toFixed(2)} bits on unseen text` : shape;
}

/** @param {import("./session.js").Session} session */
function bar(session) {
  const fills = session.facts.bidirectional;
  const characters = session.characters();
  say(byId("go"), session.writing ? "Stop" : "Write on");
  for (const id of ["go", "ways", "step"]) byId(id).hidden = fills;
  byId("fill").hidden = !(fills || characters.includes("_") || characters.includes("{"));
  byId("undo").disabled = !session.past.length;
  byId("redo").disabled = !session.future.length;
  byId("tint").setAttribute("aria-busy", String(session.writing !== null));
  const fork = session.fork();
  byId("fork").hidden = !fork;
  if (fork) say(byId("way"), `way ${fork.chosen + 1} of ${fork.ways}`);
}

/** The ways that are offered side by side. @param {import("./session.js").Session} session */
function three(session) {
  const list = byId("three");
  if (!session.waysOn.length && !list.children.length) return;
  const { characters } = flat(session.root);
  const fork = forks(session.root).find(({ at }) => at === session.begun);
  const passages = session.waysOn.map((id) => find(session.root, id)).filter(Boolean);
  list.replaceChildren(
    ...passages.map((passage, k) => {
      const bits = bitsPerCharacter(passage.marks);
      const about = element("small", {}, `${k + 1}${Number.isNaN(bits) ? "" : ` · ${bits.toFixed(2)} bits per character`}`);
      const button = element("button", { type: "button", onclick: () => session.pick(k) }, about, passage.characters.join(""));
      if (fork && characters.length && passage.id === session.chosenWay()) button.setAttribute("aria-current", "true");
      return element("li", {}, button);
    }),
  );
}

/** @param {import("./tree.js").Passage} root @param {number} id @returns {any} */
function find(root, id) {
  if (root.id === id) return root;
  for (const way of root.ways) {
    const found = find(way, id);
    if (found) return found;
  }
  return null;
}

/** @param {string} colour @param {UnitColour} coloured */
function legend(colour, coloured) {
  const about = { surprise: "Surprise", rank: "Place among its guesses", unit: coloured.words() }[colour];
  const keys = {
    surprise: [["less than 1 bit", "s0"], ["1", "s1"], ["2", "s2"], ["4", "s3"], ["6", "s4"], ["9 bits and more", "s5"]],
    rank: [["the likeliest", "r0"], ["2nd or 3rd", "r1"], ["to 10th", "r2"], ["to 30th", "r3"], ["less likely", "r4"]],
    unit: [["low", "u1"], ["high", "u11"]],
    plain: [],
  }[colour] ?? [];
  const list = byId("legend");
  if (list.dataset.of === colour + about) return;
  list.dataset.of = colour + about;
  list.replaceChildren(...(about ? [`${about}:`] : []), ...keys.map(([text, name]) => element("span", { class: name }, text)), element("span", { class: "typed" }, "bold: not written by it"));
}

/** @param {import("./session.js").Session} session @param {UnitColour} coloured @returns {(() => any)[]} */
function tabs(session, coloured) {
  /** @type {[string, string, (panel: HTMLElement) => () => any][]} */
  const all = [
    ["next", "Next", (panel) => nextView(panel, session)],
    ["fan", "Fan", (panel) => fanView(panel, session)],
    ["branches", "Branches", (panel) => branchesView(panel, session)],
    ["units", "Units", (panel) => unitsView(panel, session, (unit) => coloured.by(unit))],
    ["mix", "Mix", (panel) => mixView(panel, session)],
  ];
  if (session.backend.learn) all.push(["learn", "Learn", (panel) => learnView(panel, session, () => joined(session))]);
  const list = byId("tabs");
  const buttons = all.map(([id, name]) => element("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}` }, name));
  list.replaceChildren(...buttons);
  const open = (/** @type {number} */ chosen) => {
    all.forEach(([id], k) => {
      byId(`panel-${id}`).hidden = k !== chosen;
      buttons[k].setAttribute("aria-selected", String(k === chosen));
      buttons[k].tabIndex = k === chosen ? 0 : -1;
    });
    session.changed();
  };
  buttons.forEach((button, k) => {
    button.addEventListener("click", () => open(k));
    byId(`panel-${all[k][0]}`).setAttribute("aria-labelledby", button.id);
  });
  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (buttons.findIndex((button) => button === document.activeElement) + by + all.length) % all.length;
    buttons[next].focus();
    open(next);
  });
  const views = all.map(([id, , make]) => make(byId(`panel-${id}`)));
  open(0);
  return views;
}

/** @param {import("./session.js").Session} session */
function chooser(session) {
  const select = byId("model");
  select.replaceChildren(...session.models.map(({ id, name }) => element("option", { value: id }, name ?? id)));
  select.value = session.model;
  byId("model-field").hidden = session.models.length < 2;
  document.title = session.models.length < 2 ? `${session.facts.name} · charlstm` : "charlstm";
  select.onchange = () => {
    const untouched = session.text === opening(session).join("");
    session.ask(select.value, null);
    if (untouched) session.begin(...opening(session)); // each network begins in its own words: it may not know the others'
  };
}

/** What the network begins with, and how it goes on. @param {import("./session.js").Session} session @returns {[string, string]} */
function opening({ facts }) {
  return [facts.opening ?? "", facts.written ?? ""];
}

/** A network has joined the others. @param {import("./session.js").Session} session */
function joined(session) {
  chooser(session);
  mixView(byId("panel-mix"), session);
}

/** @param {import("./session.js").Session} session */
function buttons(session) {
  /** @type {Record<string, () => void>} */
  const actions = {
    go: () => (session.writing ? session.stop() : session.write()),
    ways: () => session.writeWays(3),
    step: () => session.write({ length: 1, rules: {} }), // a rule could ask for more than one
    fill: () => session.fill(),
    undo: () => session.undo(),
    redo: () => session.redo(),
    "previous-way": () => session.flip(-1),
    "next-way": () => session.flip(1),
  };
  for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", act);
}

/** @param {import("./session.js").Session} session @param {Editor} editor */
function keys(session, editor) {
  const parts = () => [editor.area, byId("tabs").querySelector("[aria-selected=true]"), byId("strip").querySelector("input")];
  document.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    const elsewhere = inField(event.target);
    const digit = elsewhere ? NaN : Number(event.key);
    if (command && event.key === "Enter") {
      if (event.shiftKey) session.writeWays(3);
      else if (session.writing) session.stop();
      else session.write();
    } else if (event.key === "Escape" && !byId("keys").open) session.stop();
    else if (event.altKey && event.key === "ArrowDown") session.flip(1);
    else if (event.altKey && event.key === "ArrowUp") session.flip(-1);
    else if (command && event.key === ".") {
      byId("tab-next").click();
      byId("bars").querySelector("button")?.focus();
    } else if (command && !elsewhere && event.key.toLowerCase() === "z") event.shiftKey ? session.redo() : session.undo();
    else if (command && !elsewhere && event.key.toLowerCase() === "y") session.redo();
    else if (event.key === "F6") {
      const all = parts();
      const at = all.findIndex((part) => part?.closest("section, aside")?.contains(document.activeElement));
      all[(at + (event.shiftKey ? all.length - 1 : 1)) % all.length]?.focus();
    } else if (session.waysOn.length && digit >= 1 && digit <= session.waysOn.length && !command && !event.altKey) session.pick(digit - 1);
    else {
      if (meantForText(event)) editor.focus(session.caret); // which then takes the key
      return;
    }
    event.preventDefault();
  });
  byId("bars").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") editor.focus(session.caret);
    const id = event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " " ? session.vocabulary.indexOf(event.key) : -1;
    if (id < 0) return;
    session.take(session.caret, id, true);
    editor.focus(session.caret);
    event.preventDefault();
  });
}

/** Whether a key writes a character where nothing else takes one: after a click on "Write on", say. @param {KeyboardEvent} event */
function meantForText({ key, target, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey || key === " " || Array.from(key).length !== 1) return false;
  return target === document.body || (target instanceof HTMLElement && target.matches("#text .bar button"));
}

/** Whether someone types in a field of its own, whose keys are its own. @param {EventTarget | null} target */
function inField(target) {
  return target instanceof HTMLElement && target.matches("input[type=text], input[type=number], textarea:not(#area)");
}

/** The alternatives to a character, beside it, when the mouse rests there. */
class Alternatives {
  /** @param {import("./session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.box = byId("alternatives");
    /** @type {number | null} */
    this.at = null;
    this.timer = 0;
    this.box.addEventListener("mouseleave", () => this.close());
    this.box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => moveAlong(event, this.box));
    document.addEventListener("keydown", () => this.close());
    document.addEventListener("mousedown", (event) => {
      if (!this.box.contains(/** @type {Node} */ (event.target))) this.close();
    });
  }

  /** @param {number | null} at @param {DOMRect | null} box */
  point(at, box) {
    if (at === this.at) return;
    this.at = at;
    clearTimeout(this.timer);
    if (at === null || !box) return;
    this.timer = setTimeout(() => this.open(at, box), HOVER);
  }

  /** @param {number} at @param {DOMRect} box */
  open(at, box) {
    const { session } = this;
    const { characters, marks } = flat(session.root);
    const { alternatives, nats } = marks[at] ?? {};
    if (!alternatives?.length || session.writing) return;
    const current = session.vocabulary.indexOf(characters[at]);
    const bars = alternatives.map(([id, loss]) => ({ id, own: Math.exp(-loss), kept: Math.exp(-loss) }));
    if (!bars.some(({ id }) => id === current)) bars.push({ id: current, own: Math.exp(-(nats ?? 0)), kept: Math.exp(-(nats ?? 0)) });
    const list = element("ul", { class: "bars" }, ...barList(bars, session.vocabulary, current, (id) => {
      this.close();
      session.take(at, id, true);
    }));
    this.box.replaceChildren(list);
    this.box.hidden = false;
    const left = Math.min(box.left, innerWidth - this.box.offsetWidth - 8);
    const below = box.bottom + this.box.offsetHeight + 4 < innerHeight;
    this.box.style.left = `${Math.max(8, left) + scrollX}px`;
    this.box.style.top = `${(below ? box.bottom + 2 : box.top - this.box.offsetHeight - 2) + scrollY}px`;
  }

  close() {
    clearTimeout(this.timer);
    this.at = null;
    this.box.hidden = true;
  }
}

/** The text coloured by the value of one unit. */
class UnitColour {
  /** @param {import("./session.js").Session} session */
  constructor(session) {
    this.session = session;
    /** @type {{unit: number, layer: number, part: string, stack: string, label?: string} | null} */
    this.unit = null;
    this.from = 0;
    /** @type {number[]} */
    this.values = [];
    this.key = "";
    this.control = new AbortController();
  }

  /** @param {any} unit */
  by(unit) {
    this.unit = unit;
    byId("colour").value = "unit";
    this.key = "";
    this.refresh();
  }

  words() {
    const { unit } = this;
    return unit ? `${unit.label ? `${unit.label}: ` : ""}unit ${unit.unit} of layer ${unit.layer + 1} (${unit.part})` : "Choose a unit in Units or Inside";
  }

  /** From 1, lowest, to 11, highest; 0 where it is not known. @param {number} at */
  shade(at) {
    const value = this.values[at - this.from];
    return value === undefined ? 0 : Math.round(value * SHADES) + SHADES + 1;
  }

  async refresh() {
    const { session, unit } = this;
    if (!unit || byId("colour").value !== "unit" || session.mix) return;
    const characters = session.characters();
    const key = JSON.stringify([session.model, unit, characters.join("")]);
    if (key === this.key || !characters.length || session.writing) return;
    this.key = key;
    this.control.abort();
    this.control = new AbortController();
    const { signal } = this.control;
    const from = Math.max(0, characters.length - MOST_TRACED);
    await session.attempt(signal, async () => {
      const request = { model: session.model, text: characters.join(""), from, to: characters.length, stack: unit.stack, layer: unit.layer };
      const { planes, parts, units, tokens, scale } = await session.backend.trace(request, signal);
      if (signal.aborted) return;
      const part = parts.indexOf(unit.part);
      const [low, high] = scale[part];
      this.from = from;
      this.values = Array.from({ length: tokens }, (_, token) => {
        const value = low + (planes[(part * tokens + token) * units + unit.unit] / 255) * (high - low);
        return low < 0 ? value : value * 2 - 1;
      });
      session.changed();
    });
  }
}

/** Light or dark: as the system has it, until the button is pressed. */
function theme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    root.toggleAttribute("data-dark", isDark);
  };
  dark.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = root.hasAttribute("data-dark") ? "light" : "dark";
    apply();
  });
  apply();
}
