/** Networks that are part of the page, and the worker that computes with them. */
import { serveMessages } from "../engine/worker.js";
import { byId } from "./dom.js";

const PIECE = 800_000; // bytes in one element, a multiple of 4
/** @type {HTMLElement | null} the page as it was before anything changed, without networks */
let pristine = null;

/**
 * The networks of the page: each is a checkpoint, compressed, in base85, cut into pieces of a megabyte, as long texts in
 * one element stall a browser.
 * @returns {Promise<{id: string, file: ArrayBuffer, facts: any}[]>}
 */
export async function embeddedModels() {
  const list = JSON.parse(byId("models").textContent);
  pristine = /** @type {HTMLElement} */ (document.documentElement.cloneNode(true));
  for (const old of pristine.querySelectorAll("#models, [id^=weights-]")) old.remove();
  return Promise.all(
    list.map(async (/** @type {any} */ { id, pieces, ...facts }) => {
      const bytes = pieces.map((/** @type {string} */ piece) => fromBase85(byId(piece).textContent));
      for (const piece of pieces) byId(piece).remove(); // a quarter more than the network itself
      const unpacked = new Blob(bytes).stream().pipeThrough(new DecompressionStream("gzip"));
      return { id, file: await new Response(unpacked).arrayBuffer(), facts };
    }),
  );
}

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

/**
 * Five digits stand for four bytes; the last group may be shorter. It is RFC 1924's alphabet, with a comma for "<".
 * @param {Uint8Array} bytes
 */
export function toBase85(bytes) {
  const missing = (4 - (bytes.length % 4)) % 4;
  const padded = new Uint8Array(bytes.length + missing);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  let text = "";
  for (let at = 0; at < padded.length; at += 4) {
    let number = view.getUint32(at);
    let group = "";
    for (let k = 0; k < 5; k++) {
      group = DIGITS[number % 85] + group;
      number = Math.floor(number / 85);
    }
    text += group;
  }
  return missing ? text.slice(0, -missing) : text;
}

/**
 * The inverse of `toBase85`.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function fromBase85(text) {
  const values = new Uint8Array(128);
  Array.from(DIGITS, (digit, value) => (values[digit.charCodeAt(0)] = value));
  const missing = (5 - (text.length % 5)) % 5;
  const padded = text + "~".repeat(missing);
  const bytes = new DataView(new ArrayBuffer((padded.length / 5) * 4));
  for (let at = 0; at < padded.length; at += 5) {
    let number = 0;
    for (let k = 0; k < 5; k++) number = number * 85 + values[padded.charCodeAt(at + k)];
    bytes.setUint32((at / 5) * 4, number);
  }
  return new Uint8Array(bytes.buffer, 0, bytes.byteLength - missing);
}

/**
 * This page again, with the networks that it has now.
 * @param {any[]} models what it tells of each
 * @param {import("./backends.js").Backend} backend
 * @returns {Promise<string>} HTML
 */
export async function standalone(models, backend) {
  let blocks = "";
  /** @param {string} id @param {string} text */
  const block = (id, text) => (blocks += `<script type="text/plain" id="${id}">${text}</` + "script>\n");
  const listed = [];
  for (const [number, { id, name, bits_per_char, opening, written, units }] of models.entries()) {
    const file = await /** @type {any} */ (backend).file(id);
    const packed = await new Response(new Blob([file]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    const pieces = [];
    for (let begin = 0; begin < packed.byteLength; begin += PIECE) {
      pieces.push(`weights-${number}-${pieces.length}`);
      block(pieces[pieces.length - 1], toBase85(new Uint8Array(packed.slice(begin, begin + PIECE))));
    }
    listed.push({ id, pieces, name, bits_per_char, opening, written, units });
  }
  block("models", JSON.stringify(listed).replaceAll("<", "\\u003c"));
  const page = /** @type {HTMLElement} */ (pristine).outerHTML;
  const script = page.indexOf('<script id="script">'); // the element itself stands before its own text
  return `<!doctype html>\n${page.slice(0, script)}${blocks}${page.slice(script)}\n`;
}

/** The engine in a worker, made of this page's own script; without one it takes turns with the page. @returns {any} */
export function startEngine() {
  try {
    const script = byId("script").textContent;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    return new Worker(/** @type {any} */ (trusted(url)));
  } catch {
    return besideThePage();
  }
}

/** An object like a worker, whose engine runs here. */
function besideThePage() {
  /** @type {any} */
  const page = { onmessage: null };
  /** @type {any} */
  const scope = { onmessage: null, postMessage: (/** @type {any} */ data) => queueMicrotask(() => page.onmessage?.({ data })) };
  serveMessages(scope);
  page.postMessage = (/** @type {any} */ data) => scope.onmessage({ data });
  return page;
}

/** The one policy of this page: a script may be loaded only from what the page itself has made. @param {string} url */
function trusted(url) {
  const policies = /** @type {any} */ (globalThis).trustedTypes;
  if (!policies) return url;
  const policy = policies.createPolicy("charlstm", {
    createScriptURL: (/** @type {string} */ made) => (made.startsWith("blob:") ? made : ""),
  });
  return policy.createScriptURL(url);
}
