/**
 * Writing in pairs of lines that rhyme: see `sampling/couplets.py`.
 *
 * Each line is put together from its end: some lines are drawn side by side, and each place in them is weighed where a
 * line could end, by the network's own probability of ending it there, with that word,
 *
 *     first line       w = p(end | the line so far, up to the end of a word that others rhyme with)
 *     second line      w = p(word that rhymes, end | the line so far, up to the beginning of a word)
 *
 * One is drawn by weight (importance resampling; Rubin 1987). The words that rhyme are tried letter by letter, the
 * likeliest ones side by side.
 *
 * @typedef {import("./write.js").Drawn} Drawn
 * @typedef {import("./write.js").Position} Position
 * @typedef {import("./rules/ways.js").Guide} Guide
 *
 * @typedef {object} Place a line so far, and all that is needed to go on with it
 * @property {number[]} tokens
 * @property {string} text
 * @property {Position} position
 * @property {Float64Array} scores the logarithm of the probability of each token after it
 * @property {Guide | null} guide
 * @property {number} nats the logarithm of its weight
 */
import { draw, logSoftmax } from "./filters.js";
import { lastWord } from "./rules/rhymes.js";
import { frozen, stepEach, Text } from "./write.js";

const SHORTEST = 24; // characters of a first line; the second one has about as many as the first
const LONGEST = 60;
const LEAST_SHARE = 0.75;
const MOST_SHARE = 1.3;
const FEWEST = 4; // words that rhyme with the first line, unless no line has as many
const BEST = 64; // places that are looked at side by side
const HOPELESS = 12; // nats behind the best place from which on one is not looked at
const [MARKS, SENTENCE] = [",.;:!?", ".!?"]; // what may stand between a line's last word and its end
const WITHOUT_MARK = -8; // added to the logarithm of the weight of a line that ends without a mark,
const GOES_ON = -2; // and of a second one that ends within a sentence
const TRIES = 10;
const RECENT = 4096;

/**
 * @param {import("./write.js").Steps} network of characters, with a newline among them
 * @param {import("./tokenizers.js").Tokenizer} tokenizer
 * @param {Position} position where the text ends
 * @param {number[]} before the ids of the text
 * @param {import("./write.js").WritingSettings} settings
 * @param {(() => number)[]} uniforms of the choices, and of each line there is to choose from
 * @param {import("./network.js").Hold | null} held a unit that is held at a value, or none
 * @param {Guide | null} guide the rules that it keeps, after the text before; null allows all
 * @param {import("./rules/rhymes.js").Rhymes} rhymes the words that can rhyme
 * @returns {Generator<Drawn[], import("./write.js").Reason>} the tokens that are certain now, pair by pair
 */
export function* writeInCouplets(network, tokenizer, position, before, settings, uniforms, held, guide, rhymes) {
  const couplets = new Couplets(network, tokenizer, settings, uniforms, held, rhymes);
  const text = new Text(tokenizer, before, settings, guide);
  let at = frozen(position);
  let recent = before.slice(-RECENT);
  for (;;) {
    const pair = yield* couplets.pair(at, text.course.guide, recent);
    for (const token of pair) {
      yield text.push(token, at.logits);
      if (text.reason) return text.reason;
      [at] = stepEach(network, [token], [at], held);
    }
    yield* text.ready();
    if (text.reason) {
      yield text.rest;
      return text.reason;
    }
    recent = [...recent, ...pair].slice(-RECENT);
  }
}

/** Finds pairs of lines for one network. */
class Couplets {
  /**
   * @param {import("./write.js").Steps} network @param {import("./tokenizers.js").Tokenizer} tokenizer
   * @param {import("./write.js").WritingSettings} settings @param {(() => number)[]} uniforms
   * @param {import("./network.js").Hold | null} held @param {import("./rules/rhymes.js").Rhymes} rhymes
   */
  constructor(network, tokenizer, settings, [choosing, ...uniforms], held, rhymes) {
    this.network = network;
    this.tokenizer = tokenizer;
    this.settings = { ...settings, length: Infinity, lines: 0, stop: [] };
    this.choosing = choosing;
    this.uniforms = uniforms;
    this.held = held;
    this.rhymes = rhymes;
    this.tokenOf = new Map(tokenizer.vocabulary.map((character, token) => [character, token]));
    if (tokenizer.unknown !== null) this.tokenOf.delete(tokenizer.vocabulary[tokenizer.unknown]);
    this.newline = this.token("\n");
    this.marks = Array.from(MARKS).filter((mark) => this.tokenOf.has(mark));
  }

  /** @param {string} character that the network knows */
  token(character) {
    return /** @type {number} */ (this.tokenOf.get(character));
  }

  /**
   * The tokens of a pair of lines; or of the first one, if the rules end the text with it.
   * @param {Position} start @param {Guide | null} guide @param {number[]} recent
   * @returns {Generator<never[], number[]>}
   */
  *pair(start, guide, recent) {
    const begin = this.place([], "", start, guide, 0);
    const column = recent.length - 1 - recent.lastIndexOf(this.newline);
    for (let tries = 0; tries < TRIES; tries++) {
      const first = this.choose(yield* this.firstLines(begin, recent, column));
      if (!first) continue;
      const [position] = this.step([this.newline], [first.position]);
      const end = this.place([], "", position, first.guide?.advance(this.newline) ?? null, 0);
      if (yield* isOver(end.guide)) return first.tokens;
      const words = this.rhymes.of(lastWord(first.text.replace(/[\n,.;:!?]+$/, "")));
      const size = column + lengthOf(first.text) - 1;
      const second = this.choose(yield* this.secondLines(end, [...recent, ...first.tokens], size, words));
      if (second) return [...first.tokens, ...second.tokens];
    }
    const hint = "Try another seed, a longer `max_line`, or fewer rules.";
    throw new Error(`no pair of lines that rhyme was found in ${TRIES} tries. ${hint}`);
  }

  /**
   * First lines, each with its end.
   * @param {Place} begin @param {number[]} recent @param {number} column
   * @returns {Generator<never[], Place[]>}
   */
  *firstLines(begin, recent, column) {
    const drawn = yield* this.drawn(begin, recent, Math.max(8, LONGEST - column));
    const size = Math.max(0, ...drawn.map(({ text }) => lengthOf(text))); // rules may not let a line be long
    const shortest = Math.min(Math.max(0, SHORTEST - column), Math.floor(size / 2));
    const longEnough = drawn.filter(({ text }) => lengthOf(text) >= shortest);
    const choices = longEnough.map(({ text }) => this.rhymes.of(lastWord(text)).length);
    const least = Math.min(FEWEST, Math.max(0, ...choices)) || 1;
    return yield* this.ended(longEnough.filter((_, k) => choices[k] >= least));
  }

  /**
   * Second lines, each with a word that rhymes, and its end.
   * @param {Place} begin @param {number[]} recent @param {number} size @param {string[]} words
   * @returns {Generator<never[], Place[]>}
   */
  *secondLines(begin, recent, size, words) {
    const [shortest, longest] = [Math.floor(size * LEAST_SHARE), Math.max(8, Math.floor(size * MOST_SHARE))];
    const lengths = words.map(lengthOf);
    const [least, most] = [shortest - Math.max(...lengths), longest - Math.min(...lengths)];
    const drawn = yield* this.drawn(begin, recent, longest);
    // Lines begin alike, so early places weigh most: those that no word makes long enough would crowd out others.
    const able = drawn.filter(({ text }) => least <= lengthOf(text) && lengthOf(text) <= most);
    const complete = yield* this.withWords(able.filter(({ text }) => /^$|\s$/.test(text)), words);
    const fitting = complete.filter(({ text }) => shortest <= lengthOf(text) && lengthOf(text) <= longest);
    return yield* this.ended(fitting, GOES_ON);
  }

  /**
   * All places within some lines that are drawn side by side; one in several lines has their weights together.
   * @param {Place} begin @param {number[]} recent @param {number} longest
   * @returns {Generator<never[], Place[]>}
   */
  *drawn(begin, recent, longest) {
    const first = new Text(this.tokenizer, recent, this.settings, begin.guide);
    yield* first.ready();
    let lines = this.uniforms.map((uniform) => ({ uniform, text: first.copy(), written: "", position: begin.position }));
    /** @type {Map<string, {place: Place, count: number}>} */
    const places = new Map();
    for (let at = 0; at < longest && lines.length; at++) {
      const drawn = [];
      for (const line of lines) {
        const { text, written, position, uniform } = line;
        const key = text.tokens.join();
        const same = places.get(key);
        if (same) same.count++;
        else places.set(key, { place: this.place(text.tokens, written, position, text.course.guide, 0), count: 1 });
        // An empty line has no rhyme.
        const token = text.draw(at ? position.logits : without(position.logits, this.newline), uniform);
        text.push(token, position.logits);
        if (token === this.newline) continue;
        yield* text.ready();
        if (!text.reason) drawn.push({ ...line, written: written + this.tokenizer.vocabulary[token], token });
      }
      const steps = this.step(drawn.map(({ token }) => token), drawn.map(({ position }) => position));
      lines = drawn.map(({ uniform, text, written }, k) => ({ uniform, text, written, position: steps[k] }));
      yield [];
    }
    return [...places.values()].map(({ place, count }) => ({ ...place, nats: Math.log(count) }));
  }

  /**
   * Go on with one of some words, letter by letter; the likeliest.
   * @param {Place[]} places @param {string[]} words
   * @returns {Generator<never[], Place[]>}
   */
  *withWords(places, words) {
    /** @type {Map<string, Set<string>>} */
    const following = new Map();
    for (const word of words) {
      let beginning = "";
      for (const letter of word) {
        following.set(beginning, (following.get(beginning) ?? new Set()).add(letter));
        beginning += letter;
      }
    }
    const whole = new Set(words);
    const complete = [];
    let begun = places.map((place) => ({ place, letters: "" }));
    while (begun.length) {
      const steps = begun.flatMap(({ place, letters }) =>
        Array.from(following.get(letters) ?? [], (letter) => ({ place, letter, letters: letters + letter })),
      );
      const advanced = yield* this.advance(steps.map(({ place, letter }) => [place, letter]));
      begun = advanced.map(([number, place]) => ({ place, letters: steps[number].letters }));
      complete.push(...begun.filter(({ letters }) => whole.has(letters)).map(({ place }) => place));
    }
    return complete;
  }

  /**
   * Let each line end, with or without a mark before its end.
   * @param {Place[]} places behind their last words
   * @param {number} within added to the logarithm of the weight where the mark ends no sentence
   * @returns {Generator<never[], Place[]>} the places before the newline, which is their last token
   */
  *ended(places, within = 0) {
    const less = places.map((place) => ({ ...place, nats: place.nats + within }));
    /** @type {[Place, string][]} */
    const ways = this.marks.flatMap((mark) => (SENTENCE.includes(mark) ? places : less).map((place) => /** @type {[Place, string]} */ ([place, mark])));
    const marked = (yield* this.advance(ways)).map(([, place]) => place);
    const plain = places.map((place) => ({ ...place, nats: place.nats + WITHOUT_MARK }));
    /** @type {Place[]} */
    const lines = [];
    for (const place of [...plain, ...marked]) {
      if (!(yield* allows(place, this.newline))) continue;
      const nats = place.nats + place.scores[this.newline];
      lines.push({ ...place, tokens: [...place.tokens, this.newline], text: `${place.text}\n`, nats });
    }
    return lines;
  }

  /**
   * Go on with a character from each place, as far as the rules allow it; the likeliest with their numbers.
   * @param {[Place, string][]} ways
   * @returns {Generator<never[], [number, Place][]>}
   */
  *advance(ways) {
    const scored = ways.map(([place, character], number) => {
      const token = this.token(character);
      return { number, token, nats: place.nats + place.scores[token] };
    });
    scored.sort((a, b) => b.nats - a.nats);
    const best = [];
    for (const each of scored) {
      if (best.length === BEST || !(each.nats > (best[0] ?? each).nats - HOPELESS)) break;
      if (yield* allows(ways[each.number][0], each.token)) best.push(each);
    }
    const positions = this.step(best.map(({ token }) => token), best.map(({ number }) => ways[number][0].position));
    yield [];
    return best.map(({ number, token, nats }, k) => {
      const [{ tokens, text, guide }, character] = ways[number];
      return [number, this.place([...tokens, token], text + character, positions[k], guide?.advance(token) ?? null, nats)];
    });
  }

  /** One of some lines, by weight; none if there are none. @param {Place[]} places @returns {Place | undefined} */
  choose(places) {
    if (!this.settings.temperature) return places.reduce((best, each) => (each.nats > best.nats ? each : best), places[0]);
    return places[draw(Float64Array.from(places, ({ nats }) => nats), this.choosing)];
  }

  /**
   * A place, with the probabilities at the temperature of the text.
   * @param {number[]} tokens @param {string} text @param {Position} position @param {Guide | null} guide @param {number} nats
   * @returns {Place}
   */
  place(tokens, text, position, guide, nats) {
    const temperature = this.settings.temperature || 1;
    const scores = logSoftmax(Float64Array.from(position.logits, (logit) => logit / temperature));
    return { tokens: [...tokens], text, position, scores, guide, nats };
  }

  /** @param {number[]} tokens one for each position @param {Position[]} positions @returns {Position[]} */
  step(tokens, positions) {
    return stepEach(this.network, tokens, positions, this.held);
  }
}

/** Whether the rules allow a token after a line. @param {Place} place @param {number} token @returns {Generator<never[], boolean>} */
function* allows({ guide }, token) {
  if (guide?.ready) for (const _ of guide.ready()) yield [];
  return !guide || guide.distances()[token] < Infinity;
}

/** Whether the rules end the text here. @param {Guide | null} guide @returns {Generator<never[], boolean>} */
function* isOver(guide) {
  if (guide?.ready) for (const _ of guide.ready()) yield [];
  return guide?.distances().every((distance) => distance === Infinity) ?? false;
}

/** Logits without a token, unless rules leave no other. @param {Float32Array} logits @param {number} token */
function without(logits, token) {
  return logits.map((logit, each) => (each === token ? -Infinity : logit));
}

/** In characters. @param {string} text */
function lengthOf(text) {
  return Array.from(text).length;
}
