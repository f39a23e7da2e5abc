/**
 * Everything the page asks of networks, computed here: the same methods and data as the server of `charlstm serve` has.
 *
 * It gives way every few milliseconds, so that whoever runs it can be interrupted: each method takes an `AbortSignal`.
 * Places in texts count characters (code points), losses are in nats.
 */
import { BidirectionalNetwork } from "./bidirectional.js";
import { readCheckpoint } from "./checkpoint.js";
import { writeInCouplets } from "./couplets.js";
import { knownForm } from "./equivalent.js";
import { fan } from "./fan.js";
import { fill } from "./fill.js";
import { logSoftmax, NO_FILTER } from "./filters.js";
import { lesson } from "./lesson.js";
import { Mix } from "./mix.js";
import { Network } from "./network.js";
import { writeByParticles } from "./particles.js";
import { random } from "./random.js";
import { Reader } from "./reader.js";
import { Rules, rulesFor } from "./rules/rules.js";
import { unpackWords } from "./rules/words.js";
import { addScore, emptyScore, entropy, likeliest } from "./score.js";
import { tokenizerOf } from "./tokenizers.js";
import { traceParts, tracePlanes } from "./trace.js";
import { write } from "./write.js";

const SLICE = 10; // milliseconds of work between two breaths
const FLUSH = 16; // milliseconds between two events of text
const PROGRESS = 200; // milliseconds between two events of a lesson
const WHOLE_VOCABULARY = 2048;
const LIKELIEST = 256;
const PARTICLES = 8;
const LINES = 32;

/**
 * @typedef {object} Playable a network that can be asked
 * @property {any} network
 * @property {import("./tokenizers.js").Tokenizer} tokenizer
 * @property {Reader} reader
 * @property {number[]} opening the ids read, unseen, before an empty text
 */

export class Player {
  /**
   * @param {{id: string, file: ArrayBuffer, facts: Record<string, any>}[]} models the checkpoints, and what the page
   *   shows of each besides: `name`, `bits_per_char`, `opening`, `written`, `units`
   */
  constructor(models) {
    this.files = new Map(models.map((model) => [model.id, model]));
    /** @type {Map<string, Playable & {checkpoint: import("./checkpoint.js").Checkpoint}>} */
    this.loaded = new Map();
    /** @type {{key: string, playable: Playable & {mix: Mix}} | null} */
    this.mixed = null;
    /** @type {{key: string, rules: Rules} | null} those of the last text: an expression is compiled once */
    this.ruled = null;
  }

  /** The networks there are. */
  models() {
    const models = [...this.files.values()].map(({ id, facts }) => {
      const { checkpoint, tokenizer } = this.load(id);
      return {
        id,
        kind: tokenizer.kind,
        bidirectional: checkpoint.architecture.bidirectional,
        vocabulary: tokenizer.vocabulary,
        unknown: tokenizer.unknown,
        architecture: checkpoint.architecture,
        writing: checkpoint.writing,
        rules: checkpoint.architecture.bidirectional
          ? []
          : rulesFor(tokenizer, checkpoint.tensors.has("words"), checkpoint.writing.record ?? ""),
        ...facts,
      };
    });
    return { v: 1, default: models[0].id, models };
  }

  /**
   * Score a text from a place on, and tell the distribution after it.
   * @param {{model?: string, mix?: {model: string, weight: number}[], text: string, from?: number}} request
   * @param {AbortSignal} signal
   */
  async score(request, signal) {
    const { reader, tokenizer, opening } = this.asked(request);
    const scored = emptyScore();
    const { ids, first } = withBeginning(tokenizer.encode(request.text), opening);
    const decoder = tokenizer.decoder();
    const from = tokenizer.kind === "char" ? Math.min(request.from ?? 0, ids.length - first) : 0;
    const breathe = breather(signal);
    let logits = null;
    let place = Math.max(0, first + from - 1);
    for (const step of reader.read(ids, place)) {
      if (place >= first + from) addScore(scored, decoder.push(ids[place]), ids[place], logits);
      logits = step.logits;
      place++;
      await breathe();
    }
    return { ...scored, at: from, next: distribution(/** @type {Float32Array} */ (logits)) };
  }

  /**
   * Write on: events as the server sends them.
   * @param {Record<string, any>} request
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<{event: string, data: any}>}
   */
  async *generate(request, signal) {
    const { network, reader, tokenizer, opening } = this.asked(request);
    const { ids } = withBeginning(tokenizer.encode(request.text), opening);
    const seed = request.seed ?? Math.floor(Math.random() * 2 ** 31);
    const rows = request.rows ?? 1;
    const at = Array.from(request.text).length;
    const breathe = breather(signal);
    const { guide, rhymes } = await this.rulesOf(request, tokenizer, breathe);
    yield { event: "start", data: { v: 1, seed, from: at, rows } };
    const position = reader.after(ids);
    const settings = settingsOf(request, this.writing(request));
    const held = heldUnit(request, network);
    const several = rhymes ? linesOf(request) : guide ? particlesOf(request) : 1;
    const draws = (/** @type {number} */ row) => {
      const streams = Array.from({ length: several + 1 }, (_, stream) => random(seed, row * (several + 1) + stream));
      if (rhymes) return writeInCouplets(network, tokenizer, position, ids, settings, streams, held, guide, rhymes);
      if (guide && several > 1) return writeByParticles(network, tokenizer, position, ids, settings, streams, held, guide);
      return write(network, tokenizer, position, ids, settings, random(seed, row), held, guide);
    };
    let open = Array.from({ length: rows }, (_, row) => ({
      row,
      at,
      begun: performance.now(),
      nats: 0,
      tokens: 0,
      characters: 0,
      scored: emptyScore(),
      drawing: draws(row),
    }));
    let flushed = performance.now();
    while (open.length) {
      const late = performance.now() - flushed > FLUSH;
      if (late) flushed = performance.now();
      for (const way of [...open]) {
        const { value, done } = way.drawing.next();
        if (!done) for (const { token, text, logits } of value) addScore(way.scored, text, token, logits);
        if (late || done) yield* flush(way);
        if (!done) continue;
        open = open.filter((each) => each !== way);
        const bits = way.nats / Math.LN2 / Math.max(1, way.characters);
        const ms = Math.round(performance.now() - way.begun);
        yield { event: "end", data: { row: way.row, reason: value, tokens: way.tokens, bits_per_char: bits, ms } };
      }
      await breathe();
    }
  }

  /**
   * The fan of futures after a text.
   * @param {Record<string, any>} request
   * @param {AbortSignal} signal
   */
  async fan(request, signal) {
    const { network, reader, tokenizer, opening } = this.asked(request);
    const { ids } = withBeginning(tokenizer.encode(request.text), opening);
    const position = reader.after(ids);
    const limits = { depth: 24, least: 0.002, most: 2000, ...request, unknown: tokenizer.unknown };
    const growing = fan(network, { ...position, state: { ...position.state, frozen: true } }, limits);
    return { nodes: await finished(growing, breather(signal)) };
  }

  /**
   * What the gates and states of a layer were at each token of a part of the text.
   * @param {Record<string, any>} request
   * @param {AbortSignal} signal
   */
  async trace(request, signal) {
    const { reader, tokenizer, checkpoint } = this.load(request.model);
    const ids = tokenizer.encode(request.text);
    const stack = /** @type {any} */ (reader.network).stackNames.indexOf(request.stack ?? "layers");
    const parts = [];
    const breathe = breather(signal);
    for (const step of reader.read(ids.slice(0, request.to), request.from)) {
      parts.push(step.parts[stack][request.layer ?? 0]);
      await breathe();
    }
    return tracePlanes(traceParts(checkpoint.architecture.cell), parts, checkpoint.architecture.hidden_size);
  }

  /**
   * Fill the blanks of a text.
   * @param {Record<string, any>} request
   * @param {AbortSignal} signal
   */
  async fill(request, signal) {
    const { network, tokenizer } = this.asked(request);
    const answers = await finished(fill(network, tokenizer, request.text, request.count ?? 3), breather(signal));
    return { answers: answers.map(({ share, ...answer }) => ({ ...answer, nats: -Math.log(share) })) };
  }

  /**
   * Learn a text, and keep the network that has learnt it beside the one that it was.
   * @param {{model: string, text: string, seconds: number}} request
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<{event: string, data: any}>}
   */
  async *learn({ model, text, seconds }, signal) {
    const { checkpoint, tokenizer } = this.load(model);
    const known = new Set(tokenizer.vocabulary);
    const characters = knownForm(Array.from(text), known);
    const kept = tokenizer.kind === "char" && tokenizer.unknown === null ? characters.filter((each) => known.has(each)) : characters;
    const learning = lesson(checkpoint, tokenizer.encode(kept.join("")), seconds, () => performance.now());
    const breathe = breather(signal);
    let told = 0;
    for (;;) {
      const { value, done } = learning.next();
      if (done) {
        const { file, ...result } = value;
        const before = /** @type {any} */ (this.files.get(model));
        const [id, name] = this.free(before.id, before.facts.name ?? before.id);
        const bits = (result.after / Math.LN2 / kept.length) * tokenizer.encode(kept.join("")).length;
        this.files.set(id, { id, file: /** @type {ArrayBuffer} */ (file.buffer), facts: { ...before.facts, name, bits_per_char: bits, units: [] } });
        yield { event: "learnt", data: { id, name, left: characters.length - kept.length, ...result } };
        return;
      }
      if (performance.now() - told > PROGRESS) {
        told = performance.now();
        yield { event: "progress", data: { ...value } };
      }
      await breathe();
    }
  }

  /** An id and a name that no network has yet. @param {string} id @param {string} name */
  free(id, name) {
    for (let number = 1; ; number++) {
      const end = number > 1 ? `-${number}` : "";
      if (!this.files.has(`${id}-learnt${end}`)) return [`${id}-learnt${end}`, `${name}, your text${number > 1 ? ` ${number}` : ""}`];
    }
  }

  /** The file of a network's checkpoint. @param {{model: string}} request */
  file({ model }) {
    return this.files.get(model)?.file.slice(0);
  }

  /** @param {{model: string}} request */
  units({ model }) {
    return { units: this.files.get(model)?.facts.units ?? [] };
  }

  /**
   * The network that a request names, or the mix of networks.
   * @param {{model?: string, mix?: {model: string, weight: number}[]}} request
   * @returns {Playable}
   */
  asked({ model, mix }) {
    if (!mix) return this.load(model ?? [...this.files.keys()][0]);
    const key = JSON.stringify(mix.map(({ model: id }) => id));
    if (this.mixed?.key !== key) {
      const network = new Mix(mix.map(({ model: id }) => this.load(id)));
      const alphabet = network.vocabulary.filter((_, id) => id !== network.unknown).join("");
      const tokenizer = tokenizerOf({ kind: "char", alphabet, unknown: network.unknown !== null });
      const opening = openingIds(tokenizer);
      this.mixed = { key, playable: { network, mix: network, tokenizer, reader: new Reader(network), opening } };
    }
    this.mixed.playable.mix.weigh(mix.map(({ weight }) => weight));
    return this.mixed.playable;
  }

  /** @param {string} id */
  load(id) {
    let loaded = this.loaded.get(id);
    if (!loaded) {
      const model = this.files.get(id);
      if (!model) throw new Error(`there is no network ${id}`);
      const checkpoint = readCheckpoint(model.file);
      const tokenizer = tokenizerOf(checkpoint.tokenizer);
      const Kind = checkpoint.architecture.bidirectional ? BidirectionalNetwork : Network;
      const network = new Kind(checkpoint);
      const reader = new Reader(/** @type {any} */ (network));
      loaded = { checkpoint, tokenizer, network, reader, opening: openingIds(tokenizer) };
      this.loaded.set(id, loaded);
    }
    return loaded;
  }

  /**
   * The rules of what a request writes, after its text, and the words that can rhyme in it; null if it has none.
   * @param {Record<string, any>} request
   * @param {import("./tokenizers.js").Tokenizer} tokenizer
   * @param {() => Promise<void>} breathe
   */
  async rulesOf(request, tokenizer, breathe) {
    const { match, starts, max_line, words, no_copy, rhyme } = request;
    const settings = { match, starts, max_line, words, no_copy, rhyme };
    const { record = "" } = this.writing(request);
    const ids = this.idsOf(request);
    const key = JSON.stringify([ids, record, settings]);
    if (this.ruled?.key !== key) {
      const known = words || rhyme ? await this.wordsOf(ids) : [];
      this.ruled = { key, rules: new Rules(settings, tokenizer, known, record) };
    }
    const { rules } = this.ruled;
    return { guide: await finished(rules.after(request.text), breathe), rhymes: rules.rhymes };
  }

  /** The words that networks have read, all of them together; none if one does not tell. @param {string[]} ids */
  async wordsOf(ids) {
    const packed = ids.map((id) => this.load(id).checkpoint.tensors.get("words")?.data);
    if (packed.includes(undefined)) return [];
    const lists = await Promise.all(packed.map((data) => unpackWords(/** @type {Uint8Array} */ (data))));
    return [...new Set(lists.flat())];
  }

  /** The networks that a request names. @param {Record<string, any>} request @returns {string[]} */
  idsOf({ model, mix }) {
    return mix ? mix.map((/** @type {any} */ each) => each.model) : [model ?? [...this.files.keys()][0]];
  }

  /** How the network writes unless it is told otherwise; a mix writes as its heaviest member. @param {any} request */
  writing({ model, mix }) {
    const heaviest = mix?.reduce((/** @type {any} */ most, /** @type {any} */ each) =>
      each.weight > most.weight ? each : most,
    );
    return this.load(heaviest?.model ?? model ?? [...this.files.keys()][0]).checkpoint.writing;
  }
}

/**
 * What a piece of work returns in the end.
 * @template T
 * @param {Generator<null, T>} work
 * @param {() => Promise<void>} breathe
 */
async function finished(work, breathe) {
  for (;;) {
    const { value, done } = work.next();
    if (done) return value;
    await breathe();
  }
}

/** @param {any} way @returns {Generator<{event: string, data: any}>} */
function* flush(way) {
  if (!way.scored.ids.length) return;
  yield { event: "text", data: { row: way.row, at: way.at, ...way.scored } };
  const characters = Array.from(way.scored.texts.join("")).length;
  way.at += characters;
  way.characters += characters;
  way.tokens += way.scored.ids.length;
  way.nats += way.scored.nats.reduce((/** @type {number} */ sum, /** @type {number} */ each) => sum + each, 0);
  way.scored = emptyScore();
}

/** @param {Float32Array} logits */
function distribution(logits) {
  const logs = logSoftmax(logits);
  const nats = logs.length <= WHOLE_VOCABULARY ? Array.from(logs, (log) => -Math.max(log, -9999)) : null;
  return { nats, top: nats ? null : likeliest(logs, LIKELIEST), entropy: entropy(logs) };
}

/** @param {Record<string, any>} request @param {Record<string, any>} own */
function settingsOf(request, own) {
  const settings = { ...NO_FILTER, length: 200, lines: 0, stop: own.record ? [own.record] : [] };
  for (const name of Object.keys(settings)) {
    const value = request[name] ?? (name === "stop" ? null : own[name]);
    if (value !== null && value !== undefined) /** @type {any} */ (settings)[name] = value;
  }
  return settings;
}

/** Lines to choose from, in rhyming. @param {Record<string, any>} request */
function linesOf({ particles }) {
  return particles > 1 ? particles : LINES;
}

/** Texts drawn for each: 8 under rules that end lines or the text, unless it is said. @param {Record<string, any>} request */
function particlesOf({ particles, match, starts, max_line }) {
  return particles ?? (typeof match === "string" || starts?.length || max_line ? PARTICLES : 1);
}

/** @param {Record<string, any>} request @param {any} network */
function heldUnit({ hold }, network) {
  if (!hold || !network.stackNames) return null;
  return { ...hold, stack: network.stackNames.indexOf(hold.stack) };
}

/** The ids read before an empty text, since something must be read: the end of a line, of a word, or any token. */
function openingIds(/** @type {import("./tokenizers.js").Tokenizer} */ tokenizer) {
  const known = ["\n", " "].find((character) => tokenizer.vocabulary.includes(character));
  return known ? tokenizer.encode(known) : [tokenizer.unknown === 0 ? 1 : 0];
}

/** @param {number[]} ids @param {number[]} opening */
function withBeginning(ids, opening) {
  return ids.length ? { ids, first: 0 } : { ids: opening, first: opening.length };
}

/** Let everything else have its turn; a timer would take four milliseconds at least. */
function breath() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(null);
    };
    port2.postMessage(null);
  });
}

/**
 * A function that waits for a moment whenever it has been long, and ends the work when the signal says so.
 * @param {AbortSignal} signal
 */
function breather(signal) {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < SLICE) return;
    await breath();
    signal.throwIfAborted();
    last = performance.now();
  };
}
