/**
 * Where networks are computed: by a server, or here. Both backends have the methods of `engine/player.js`, and the same
 * data goes in and comes out.
 *
 * @typedef {object} Backend
 * @property {string} place where it computes, in words
 * @property {() => Promise<any>} models
 * @property {(request: any, signal: AbortSignal) => Promise<any>} score
 * @property {(request: any, signal: AbortSignal) => AsyncIterable<{event: string, data: any}>} generate
 * @property {(request: any, signal: AbortSignal) => Promise<any>} fan
 * @property {(request: any, signal: AbortSignal) => Promise<any>} trace
 * @property {(request: any, signal: AbortSignal) => Promise<any>} fill
 * @property {(request: any, signal: AbortSignal) => Promise<any>} units
 * @property {(request: any, signal: AbortSignal) => AsyncIterable<{event: string, data: any}>} [learn] here only
 * @property {(model: string) => Promise<ArrayBuffer>} [file] of a network, here only
 */

const TRIES = 3; // where the server is busy

/** What went wrong, in one line for a person. */
class Fault extends Error {
  /** @param {{message: string, code?: string | null, at?: number}} error */
  constructor({ message, code = null, at }) {
    super(message);
    this.code = code;
    this.at = at;
  }
}

/** The server of `charlstm serve`. @implements {Backend} */
export class HttpBackend {
  constructor() {
    this.place = "on the server";
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) {
      sessionStorage.setItem("token", token);
      history.replaceState(null, "", location.pathname);
    }
    this.token = sessionStorage.getItem("token");
    /** @type {Promise<unknown>} */
    this.before = Promise.resolve(); // the request before: the server computes one at a time, and few may wait there
  }

  async models() {
    return (await this.ask("models", null)).json();
  }

  /** @param {any} request @param {AbortSignal} signal */
  async score(request, signal) {
    return (await this.ask("score", request, signal)).json();
  }

  /** @param {any} request @param {AbortSignal} signal */
  async *generate(request, signal) {
    const response = await this.ask("generate", request, signal);
    const stream = /** @type {ReadableStream<Uint8Array>} */ (response.body);
    for await (const { event, data } of serverSentEvents(stream)) {
      if (event === "error") throw new Fault(data.error);
      yield { event, data };
    }
  }

  /** @param {any} request @param {AbortSignal} signal */
  async fan(request, signal) {
    return (await this.ask("fan", request, signal)).json();
  }

  /** @param {any} request @param {AbortSignal} signal */
  async trace(request, signal) {
    const bytes = await (await this.ask("trace", request, signal)).arrayBuffer();
    const length = new DataView(bytes).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    return { ...header, planes: new Uint8Array(bytes, 4 + length) };
  }

  /** @param {any} request @param {AbortSignal} signal */
  async fill(request, signal) {
    return (await this.ask("fill", request, signal)).json();
  }

  /** @param {any} request @param {AbortSignal} signal */
  async units(request, signal) {
    return (await this.ask("units", request, signal)).json();
  }

  /** @param {string} what @param {any} request @param {AbortSignal} [signal] @param {number} tries @returns {Promise<Response>} */
  async ask(what, request, signal, tries = 1) {
    /** @type {Record<string, string>} */
    const headers = request ? { "Content-Type": "application/json" } : {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const body = request ? JSON.stringify(request) : undefined;
    const { before } = this;
    let over = () => {};
    this.before = new Promise((resolve) => (over = () => resolve(null)));
    let response;
    try {
      await before;
      signal?.throwIfAborted();
      response = await fetch(`api/${what}`, { method: request ? "POST" : "GET", headers, body, signal });
    } catch (fault) {
      if (signal?.aborted) throw fault;
      throw new Fault({ message: "The server does not answer: is `charlstm serve` still running?" });
    } finally {
      over();
    }
    if (response.ok) return response;
    if (response.status === 503 && tries < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") ?? 1)));
      signal?.throwIfAborted();
      return this.ask(what, request, signal, tries + 1);
    }
    const answer = await response.json().catch(() => ({ error: { message: `The server answered ${response.status}.` } }));
    throw new Fault(answer.error);
  }
}

/** @param {ReadableStream<Uint8Array>} stream @returns {AsyncGenerator<{event: string, data: any}>} */
async function* serverSentEvents(stream) {
  const reader = stream.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (waiting + value).split("\n\n");
    waiting = /** @type {string} */ (blocks.pop());
    for (const block of blocks) {
      const lines = block.split("\n").map((line) => line.split(/: ?(.*)/s));
      const event = lines.find(([name]) => name === "event")?.[1] ?? "message";
      const data = lines.filter(([name]) => name === "data").map(([, text]) => text);
      if (data.length) yield { event, data: JSON.parse(data.join("\n")) };
    }
  }
}

/** The engine of this page: in a worker, or if the browser refuses one, between the page's own tasks. @implements {Backend} */
export class LocalBackend {
  /** @param {{postMessage: (message: any, transfer?: Transferable[]) => void, onmessage: any}} engine */
  constructor(engine) {
    this.place = "in this page";
    this.engine = engine;
    this.newest = 0;
    /** @type {Map<number, (message: any) => void>} */
    this.waiting = new Map();
    engine.onmessage = (/** @type {MessageEvent} */ { data }) => this.waiting.get(data.id)?.(data);
  }

  models() {
    return this.ask("models", null);
  }

  /** @param {any} request @param {AbortSignal} signal */
  score(request, signal) {
    return this.ask("score", request, signal);
  }

  /** @param {any} request @param {AbortSignal} signal @returns {AsyncIterable<{event: string, data: any}>} */
  generate(request, signal) {
    return this.stream("generate", request, signal);
  }

  /** @param {any} request @param {AbortSignal} signal @returns {AsyncIterable<{event: string, data: any}>} */
  learn(request, signal) {
    return this.stream("learn", request, signal);
  }

  /** @param {string} model @returns {Promise<ArrayBuffer>} */
  file(model) {
    return this.ask("file", { model });
  }

  /**
   * @param {string} method
   * @param {any} request
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<{event: string, data: any}>}
   */
  async *stream(method, request, signal) {
    /** @type {any[]} */
    const items = [];
    let wake = () => {};
    let over = false;
    const end = this.ask(method, request, signal, (item) => {
      items.push(item);
      wake();
    }).finally(() => {
      over = true;
      wake();
    });
    end.catch(() => {}); // it is awaited below, when everything before it has been taken
    while (items.length || !over) {
      if (items.length) yield items.shift();
      else await new Promise((resolve) => (wake = () => resolve(null)));
    }
    await end;
  }

  /** @param {any} request @param {AbortSignal} signal */
  fan(request, signal) {
    return this.ask("fan", request, signal);
  }

  /** @param {any} request @param {AbortSignal} signal */
  trace(request, signal) {
    return this.ask("trace", request, signal);
  }

  /** @param {any} request @param {AbortSignal} signal */
  fill(request, signal) {
    return this.ask("fill", request, signal);
  }

  /** @param {any} request @param {AbortSignal} signal */
  units(request, signal) {
    return this.ask("units", request, signal);
  }

  /**
   * @param {string} method
   * @param {any} request
   * @param {AbortSignal} [signal]
   * @param {(item: any) => void} [take] each event of a stream
   * @returns {Promise<any>}
   */
  ask(method, request, signal, take) {
    const id = ++this.newest;
    return new Promise((resolve, reject) => {
      const stop = () => this.engine.postMessage({ id, stop: true });
      signal?.addEventListener("abort", stop, { once: true });
      this.waiting.set(id, (message) => {
        if ("item" in message) {
          take?.(message.item);
          return;
        }
        this.waiting.delete(id);
        signal?.removeEventListener("abort", stop);
        if ("result" in message) resolve(message.result);
        else if (signal?.aborted) reject(signal.reason);
        else reject(new Fault(message.error));
      });
      this.engine.postMessage({ id, method, request });
    });
  }
}
