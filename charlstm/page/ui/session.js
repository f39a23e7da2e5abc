/**
 * What a person does on the page, and what becomes of the text. It knows nothing of how things look: whoever shows them
 * is told of each change.
 *
 * Places count characters (code points).
 */
import { knownForm, sequenceStart } from "../engine/equivalent.js";
import { mixedVocabulary } from "../engine/mix.js";
import { marksOf } from "./marks.js";
import { append, branch, branches, choose, chooseById, edit, flat, forks, mark, path, prune, onId, textOf, treeOf, TYPED } from "./tree.js";

const PIECE = 250; // characters that are scored at a time: few enough to be shown within a frame
const TYPING = 1000; // milliseconds: typing that goes on sooner is undone at once
const PAUSE = 60; // milliseconds without a change before a text is scored
const OF_WHOLE_TEXTS = ["match", "starts", "rhyme"]; // rules that do not begin anew in the midst of what they rule
const OF_THE_OTHERS = ["particles"]; // what means something only beside a rule

/** @typedef {{root: import("./tree.js").Passage, caret: number, scoredBy: string}} Then a tree there was */

export class Session {
  /**
   * @param {import("./backends.js").Backend} backend
   * @param {() => void} changed
   */
  constructor(backend, changed) {
    this.backend = backend;
    this.changed = changed;
    this.root = treeOf("");
    this.caret = 0;
    /** @type {Then[]} */
    this.past = [];
    /** @type {Then[]} */
    this.future = [];
    /** @type {any[]} */
    this.models = [];
    this.model = "";
    /** @type {{model: string, weight: number}[] | null} */
    this.mix = null;
    /** @type {Record<string, any>} */
    this.settings = { length: 200, seed: null, rules: {} };
    /** @type {Record<string, any>} */
    this.kept = {}; // the rules of what is being written
    /** @type {any} */
    this.hold = null;
    this.speed = 0; // characters a second; 0 is as fast as it goes
    this.status = "";
    this.fault = "";
    /** @type {AbortController | null} */
    this.writing = null;
    this.begun = 0; // where the last writing began
    this.left = 0; // characters that it has still to write
    /** @type {number[]} */
    this.waysOn = []; // the passages that are offered side by side
    /** @type {{at: number, next: any} | null} */
    this.here = null; // the distribution at the caret
    this.lastTyped = -Infinity;
    this.scoring = new AbortController();
    this.looking = new AbortController();
    this.timer = 0;
  }

  async open() {
    const { models, default: first } = await this.backend.models();
    this.models = models;
    this.model = first;
  }

  /** The facts of the network that is asked. */
  get facts() {
    return this.models.find(({ id }) => id === this.model) ?? this.models[0];
  }

  /** The id that is never drawn, if there is one. */
  get unknown() {
    if (!this.mix) return this.facts.unknown;
    const some = this.mix.some(({ model }) => this.models.find(({ id }) => id === model).unknown !== null);
    return some ? this.vocabulary.length - 1 : null;
  }

  /** The text of each id of the network, or of the mix. @returns {string[]} */
  get vocabulary() {
    if (!this.mix) return this.facts.vocabulary;
    return mixedVocabulary(this.mix.map(({ model }) => this.models.find(({ id }) => id === model)));
  }

  /** Which network a request asks. */
  get asked() {
    return this.mix ? { mix: this.mix } : { model: this.model };
  }

  /** The names of the rules that the network can keep to, or all networks of a mix together. @returns {string[]} */
  get offered() {
    if (!this.mix) return this.facts.rules;
    const [first, ...others] = this.mix.map(({ model }) => this.models.find(({ id }) => id === model).rules);
    return first.filter((/** @type {string} */ name) => name !== "no_copy" && others.every((rules) => rules.includes(name)));
  }

  /** The rules that are set, and that the network can keep to. @returns {Record<string, any>} */
  get rules() {
    const set = Object.entries(this.settings.rules ?? {}).filter(([name]) => this.offered.includes(name));
    return Object.fromEntries(set.some(([name]) => !OF_THE_OTHERS.includes(name)) ? set : []);
  }

  get text() {
    return textOf(this.root);
  }

  /** The characters of the text. */
  characters() {
    return flat(this.root).characters;
  }

  /** The length of the text, in characters. */
  get length() {
    return path(this.root).reduce((sum, { characters }) => sum + characters.length, 0);
  }

  /** @param {string} typed @param {string} drawn what the network has written after it */
  begin(typed, drawn = "") {
    this.stop();
    const root = treeOf(this.known(Array.from(typed)).join(""));
    const written = Array.from(drawn);
    const marks = written.map(() => ({ ...TYPED, drawn: true }));
    this.commit(append(root, root.id, written, marks), root.characters.length + written.length);
    this.status = "";
    this.rescore();
  }

  // ---- what a person does ------------------------------------------------------------------------------------------

  /**
   * @param {number} from
   * @param {number} to
   * @param {string[]} characters
   */
  type(from, to, characters) {
    this.stop();
    const now = performance.now();
    const goesOn = now - this.lastTyped < TYPING && this.past.length > 0;
    const all = [...this.characters().slice(0, from), ...characters];
    const start = sequenceStart(all, from); // before an accent that was typed alone
    const written = this.known(all.slice(start));
    this.commit(edit(this.root, start, to, written), start + written.length, !goesOn);
    this.lastTyped = now;
    this.rescore();
  }

  /** Write on at the caret. @param {{length?: number, again?: boolean, rules?: Record<string, any>}} how */
  async write({ length, again = false, rules } = {}) {
    this.stop();
    const at = again ? Math.min(this.begun, this.length) : this.caret;
    this.commit(branch(this.root, at, [], []), at);
    const target = /** @type {import("./tree.js").Passage} */ (path(this.root).at(-1));
    if (!(await this.stream([target.id], at, length, rules))) this.takeBack();
  }

  /** Write several ways on at the caret, side by side. @param {number} count */
  async writeWays(count) {
    this.stop();
    const at = this.caret;
    this.commit(branches(this.root, at, count), at);
    const fork = path(this.root).at(-2) ?? this.root;
    this.waysOn = fork.ways.slice(-count).map(({ id }) => id);
    if (!(await this.stream(this.waysOn, at))) this.takeBack();
  }

  /** Take one of the ways that are offered side by side. @param {number} number */
  pick(number) {
    const id = this.waysOn[number];
    if (id !== undefined) this.visit(id);
  }

  /** The passage that the text goes on with where ways are offered. */
  chosenWay() {
    return path(this.root).find(({ id }) => this.waysOn.includes(id))?.id;
  }

  /** Fill the blanks of the text: the likeliest answer, and two more as other ways. */
  async fill() {
    this.stop();
    const control = new AbortController();
    this.writing = control;
    this.say("filling the blanks");
    await this.attempt(control.signal, async () => {
      const { answers } = await this.backend.fill({ model: this.model, text: this.text, count: 3 }, control.signal);
      if (control.signal.aborted) return;
      if (!answers.length) {
        this.say("nothing was found that fits");
        return;
      }
      const all = [...answers].reverse(); // the likeliest is taken last, and so is the one that is shown
      for (const { text } of all) this.commit(branch(this.root, 0, Array.from(text), Array.from(text, () => TYPED)), 0);
      this.caret = this.length;
      this.say(`the likeliest of ${answers.length}, ${Math.round(Math.exp(-answers[0].nats) * 100)} % of what was found`);
    });
    if (this.writing === control) this.writing = null;
    this.rescore();
  }

  /**
   * Draw texts into passages.
   * @param {number[]} targets one passage for each text
   * @param {number} at where they begin
   * @param {number} length
   * @param {Record<string, any>} kept the rules
   * @returns {Promise<boolean>} whether there is any text, or it was stopped
   */
  async stream(targets, at, length = this.settings.length, kept = this.rules) {
    const control = new AbortController();
    this.writing = control;
    this.begun = at;
    const text = this.characters().slice(0, at).join("");
    const { rules: _, ...settings } = this.settings;
    const request = { ...this.asked, ...settings, ...kept, length, text, rows: targets.length, hold: this.hold };
    this.kept = kept;
    const begun = performance.now();
    let count = 0;
    this.left = length;
    this.say("writing");
    await this.attempt(control.signal, async () => {
      for await (const { event, data } of this.backend.generate(request, control.signal)) {
        if (control.signal.aborted) return;
        if (event === "end") this.say(finish(data, count, performance.now() - begun));
        if (event !== "text") continue;
        const { characters, marks } = marksOf(data, true);
        for (const [from, to] of pieces(characters.length, this.speed)) {
          this.grow(targets[data.row], characters.slice(from, to), marks.slice(from, to));
          count += to - from;
          this.left -= (to - from) / targets.length;
          if (this.speed) await pause(1000 / this.speed, control.signal);
        }
      }
    });
    if (this.writing === control) this.writing = null;
    if (control.signal.aborted && !this.writing) this.say(`stopped after ${counted(count)}`);
    this.rescore();
    return count > 0 || control.signal.aborted;
  }

  /** The text as it was before a writing that came to nothing: no empty way is left, and what stood there is seen again. */
  takeBack() {
    const then = this.past.pop();
    if (!then) return;
    if (this.fault) this.status = "";
    this.root = then.root;
    this.caret = then.caret;
    this.waysOn = [];
    this.rescore();
  }

  /** @param {number} id @param {string[]} characters @param {import("./tree.js").Marks[]} marks */
  grow(id, characters, marks) {
    const follows = this.caret === this.length;
    this.root = append(this.root, id, characters, marks);
    if (follows) this.caret = this.length;
    this.changed();
  }

  stop() {
    this.writing?.abort();
    this.writing = null;
  }

  /** Put another token at a place, as a new way. @param {number} at @param {number} id @param {boolean} writeOn */
  async take(at, id, writeOn) {
    this.stop();
    const characters = Array.from(this.vocabulary[id]);
    const marks = characters.map(() => ({ ...unscored(), drawn: true }));
    this.commit(branch(this.root, at, characters, marks), at + characters.length);
    if (writeOn) await this.write();
    else this.rescore();
  }

  /** Put a piece of text at a place, as a new way. @param {number} at @param {string} text */
  put(at, text) {
    this.stop();
    const characters = Array.from(text);
    const marks = characters.map(() => ({ ...unscored(), drawn: true }));
    this.commit(branch(this.root, at, characters, marks), at + characters.length);
    this.rescore();
  }

  /** The fork at or before the caret. */
  fork() {
    return forks(this.root)
      .filter(({ at }) => at <= this.caret)
      .at(-1);
  }

  /** Flip to another way at the fork left of the caret. @param {number} by */
  flip(by) {
    const fork = this.fork();
    if (!fork) return;
    this.stop();
    const chosen = (fork.chosen + by + fork.ways) % fork.ways;
    const atEnd = this.caret === this.length;
    this.commit(choose(this.root, fork.at, chosen), fork.at);
    if (atEnd) this.caret = this.length;
    this.rescore();
  }

  /** Go to a passage of the tree. @param {number} id */
  visit(id) {
    const root = chooseById(this.root, id);
    if (!root) return;
    this.stop();
    this.commit(root, 0);
    this.caret = this.length;
    this.rescore();
  }

  /** @param {number} id */
  star(id) {
    this.commit(onId(this.root, id, (each) => ({ ...each, starred: !each.starred })), this.caret);
  }

  /** @param {number} id */
  prune(id) {
    this.stop();
    this.commit(prune(this.root, id), 0);
    this.caret = this.length;
    this.rescore();
  }

  undo() {
    this.restore(this.past, this.future);
  }

  redo() {
    this.restore(this.future, this.past);
  }

  /** @param {number} place */
  moveTo(place) {
    if (place === this.caret) return;
    this.caret = place;
    this.lookHere();
    this.changed();
  }

  /** Ask another network, or another mix. @param {string} model @param {{model: string, weight: number}[] | null} mix */
  ask(model, mix) {
    const goesOn = this.writing !== null && !this.bound;
    this.stop();
    this.looking.abort();
    this.model = model;
    this.mix = mix;
    this.hold = null;
    this.here = null; // its ids are those of the network that was asked
    this.root = unscoredTree(this.root);
    if (goesOn) this.write({ length: Math.max(1, Math.ceil(this.left)) });
    else this.rescore();
  }

  /** Change how it writes; what is being written goes on in the new way. @param {Record<string, any>} settings */
  set(settings) {
    this.settings = { ...this.settings, ...settings };
    this.goOn();
    this.changed();
  }

  /** Set a rule of what is written from the next time on. @param {string} name @param {any} value null is none */
  rule(name, value) {
    const { [name]: _, ...others } = this.settings.rules ?? {};
    this.settings = { ...this.settings, rules: value === null ? others : { ...others, [name]: value } };
    this.changed();
  }

  /** Whether what is being written keeps a rule as a whole, so that another text cannot take it up. */
  get bound() {
    return OF_WHOLE_TEXTS.some((name) => name in this.kept);
  }

  /** @param {any} hold a unit and a value, or null */
  holdUnit(hold) {
    this.hold = hold;
    this.goOn();
    this.changed();
  }

  /** Write the rest of what is being written with the settings as they are now. */
  goOn() {
    if (!this.writing || this.waysOn.length || this.bound) return;
    this.stop();
    this.caret = this.length;
    const target = /** @type {import("./tree.js").Passage} */ (path(this.root).at(-1));
    const { begun, left, kept } = this;
    this.stream([target.id], this.caret, Math.max(1, Math.ceil(left)), kept).then(() => (this.begun = begun));
  }

  // ---- what follows from it ----------------------------------------------------------------------------------------

  /** @param {import("./tree.js").Passage} root @param {number} caret @param {boolean} undoable */
  commit(root, caret, undoable = true) {
    if (undoable) this.past.push(this.now());
    this.future = [];
    this.root = root;
    this.caret = caret;
    this.waysOn = [];
    this.lastTyped = -Infinity;
    this.fault = "";
    this.changed();
  }

  /** The tree and the caret as they are, and which network has scored it. */
  now() {
    return { root: this.root, caret: this.caret, scoredBy: JSON.stringify(this.asked) };
  }

  /** @param {Then[]} from @param {Then[]} to */
  restore(from, to) {
    const then = from.pop();
    if (!then) return;
    this.stop();
    to.push(this.now());
    this.root = then.scoredBy === JSON.stringify(this.asked) ? then.root : unscoredTree(then.root);
    this.caret = Math.min(then.caret, this.length);
    this.waysOn = [];
    this.rescore();
    this.changed();
  }

  /** Score what is not scored yet, a piece at a time, after a short pause; then look at the caret. */
  rescore() {
    clearTimeout(this.timer);
    this.scoring.abort();
    this.timer = setTimeout(() => this.scoreNow(), PAUSE);
    this.changed();
  }

  async scoreNow() {
    const control = new AbortController();
    this.scoring = control;
    await this.attempt(control.signal, async () => {
      while (!this.facts.bidirectional) {
        const { characters, marks } = flat(this.root);
        const from = marks.findIndex((each) => !each.scored);
        if (from < 0) break;
        const text = characters.slice(0, from + PIECE).join("");
        const scored = await this.backend.score({ ...this.asked, text, from }, control.signal);
        const { characters: read, marks: known } = marksOf(scored, false);
        const now = flat(this.root).characters;
        if (control.signal.aborted || read.some((each, k) => now[scored.at + k] !== each)) return;
        this.root = mark(this.root, scored.at, known);
        this.changed();
      }
    });
    if (!control.signal.aborted) this.lookHere();
  }

  /** Ask for the distribution at the caret. */
  async lookHere() {
    this.looking.abort();
    const control = new AbortController();
    this.looking = control;
    if (this.facts.bidirectional) return;
    const at = this.caret;
    const text = this.characters().slice(0, at).join("");
    await this.attempt(control.signal, async () => {
      const { next } = await this.backend.score({ ...this.asked, text, from: at }, control.signal);
      if (control.signal.aborted) return;
      this.here = { at, next };
      this.changed();
    });
  }

  /** Characters in the canonical form that the network knows. @param {string[]} characters */
  known(characters) {
    return this.facts.kind === "char" || this.mix ? knownForm(characters, new Set(this.vocabulary)) : characters;
  }

  /** A character of the text that the network does not know, if there is one. @returns {{character: string, at: number} | null} */
  stranger() {
    const { kind, unknown } = this.facts;
    if (kind !== "char" || this.unknown !== null || (!this.mix && unknown !== null)) return null;
    const known = new Set(this.vocabulary);
    const characters = this.characters();
    const at = characters.findIndex((character) => !known.has(character));
    return at < 0 || /[_{}\\]/.test(characters[at]) ? null : { character: characters[at], at };
  }

  /** @param {AbortSignal} signal @param {() => Promise<void>} work */
  async attempt(signal, work) {
    const stranger = this.stranger();
    if (stranger) {
      this.fault = `${JSON.stringify(stranger.character)} (character ${stranger.at + 1}) is not in this network's alphabet: leave it out`;
      this.changed();
      return;
    }
    try {
      await work();
    } catch (fault) {
      if (signal.aborted) return;
      this.fault = fault instanceof Error ? fault.message : String(fault);
      this.changed();
    }
  }

  /** @param {string} status */
  say(status) {
    this.status = status;
    this.changed();
  }
}

/** @returns {import("./tree.js").Marks} */
function unscored() {
  return { drawn: false, scored: false, nats: null, rank: null, entropy: null, alternatives: [] };
}

/** @param {import("./tree.js").Passage} root @returns {import("./tree.js").Passage} */
function unscoredTree(root) {
  return {
    ...root,
    marks: root.marks.map(({ drawn }) => ({ ...unscored(), drawn })),
    ways: root.ways.map(unscoredTree),
  };
}

/** @param {{reason: string, bits_per_char: number | null}} end @param {number} count @param {number} ms */
function finish({ reason, bits_per_char: bits }, count, ms) {
  const why = { stop: ", to the end of a text", lines: ", to the end of a line", rule: ": the rules end here" }[reason] ?? "";
  const bitsEach = `${(bits ?? 0).toFixed(2)} bits${count === 1 ? "" : " each"}`;
  return `${counted(count)}${why} · ${bitsEach} · ${Math.round((count / ms) * 1000)} a second`;
}

/** @param {number} count */
function counted(count) {
  return count === 1 ? "1 character" : `${count} characters`;
}

/** @param {number} length @param {number} speed @returns {[number, number][]} */
function pieces(length, speed) {
  if (!speed) return length ? [[0, length]] : [];
  return Array.from({ length }, (_, k) => [k, k + 1]);
}

/** @param {number} ms @param {AbortSignal} signal */
async function pause(ms, signal) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  signal.throwIfAborted();
}
