/** Gates and states of a layer at the characters around the caret, one column for each, live. */
import { element, say } from "../dom.js";
import { visible } from "../marks.js";

/** @type {Record<string, string>} */
const NAMES = {
  i: "input gate", f: "forget gate", g: "candidate", o: "output gate", c: "cell state", h: "output",
  r: "reset gate", z: "update gate", n: "candidate",
};
const ON = "Each column is a character, each row a unit. Click one to colour the text by it.";
const OFF = "Only one network that reads forwards can be looked into, not a mix.";
const COLUMN = 12; // pixels of a character
const LETTERS = 20; // pixels of the row of letters
const PAUSE = 40; // milliseconds without a change before a trace
const REST = 4; // while it writes, how many times as long as a trace took the engine has for other things

/** @param {HTMLElement} section @param {import("../session.js").Session} session @param {(unit: number, layer: number, part: string) => void} picked */
export function stripView(section, session, picked) {
  const layer = element("select", { "aria-label": "Layer" });
  const part = element("select", { "aria-label": "Part" });
  const note = element("span", { class: "soft" });
  const canvas = element("canvas", { role: "img" });
  const toggle = element("input", { type: "checkbox", checked: innerWidth > 760, id: "strip-on" });
  section.replaceChildren(
    element("div", { class: "bar" }, element("label", { class: "row" }, toggle, element("h2", {}, "Inside")), layer, part, note),
    canvas,
  );
  /** @type {{from: number, planes: any} | null} */
  let traced = null;
  /** @type {any[]} */
  let asked = []; // what the newest trace is of
  /** @type {any[]} */
  let drawn = []; // what the picture is of
  let [width, height] = [0, 0];
  let busy = false;
  let timer = 0;
  let control = new AbortController();
  for (const changed of [layer, part, toggle]) changed.addEventListener("change", () => update());
  const resized = () => {
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    update();
  };
  new ResizeObserver(resized).observe(canvas);
  new MutationObserver(() => update()).observe(document.documentElement, { attributeFilter: ["data-dark"] });
  canvas.addEventListener("click", (event) => {
    if (!traced) return;
    const rows = Math.floor(((event.offsetY - LETTERS) / (canvas.clientHeight - LETTERS)) * traced.planes.units);
    if (rows >= 0) picked(rows, Number(layer.value), part.value);
  });

  /** Show the text as it is now. */
  function update() {
    const { facts, model } = session;
    const off = !toggle.checked || session.mix !== null || facts.bidirectional;
    for (const each of [canvas, layer]) each.hidden = off;
    part.hidden = off || !part.options.length;
    note.hidden = !toggle.checked;
    say(note, off ? OFF : ON);
    if (off || !width) return;
    options(layer, Array.from({ length: facts.architecture.num_layers }, (_, k) => [String(k), `layer ${k + 1}`]));
    draw();
    const columns = Math.max(8, Math.floor(width / COLUMN));
    const characters = session.characters();
    const to = Math.min(characters.length, Math.max(session.caret + Math.floor(columns / 3), columns));
    const from = Math.max(0, to - columns);
    const now = [model, layer.value, from, to, characters];
    if (!to) {
      clear();
      return;
    }
    if (now.every((each, k) => each === asked[k])) return;
    if (busy && session.writing) return; // it comes here again after that trace
    busy = true;
    asked = now;
    control.abort();
    control = new AbortController();
    const { signal } = control;
    const request = { model, text: characters.slice(0, to).join(""), from, to, stack: "layers", layer: Number(layer.value) };
    clearTimeout(timer);
    timer = setTimeout(() => trace(request, signal), session.writing ? 0 : PAUSE);
  }

  /** There is no text, and so no picture. */
  function clear() {
    clearTimeout(timer);
    control.abort();
    [traced, asked, drawn, busy] = [null, [], [], false];
    canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
    canvas.removeAttribute("aria-label");
  }

  /** @param {any} request @param {AbortSignal} signal */
  async function trace(request, signal) {
    const begun = performance.now();
    await session.attempt(signal, async () => {
      const planes = await session.backend.trace(request, signal);
      if (signal.aborted) return;
      traced = { from: request.from, planes };
      part.hidden = false;
      options(part, planes.parts.map((/** @type {string} */ each) => [each, `${each}, ${NAMES[each]}`]), planes.parts.at(-2));
    });
    if (signal.aborted) return;
    draw();
    timer = setTimeout(
      () => {
        busy = false;
        update();
      },
      REST * (performance.now() - begun),
    );
  }

  /** Draw the picture again if anything that is seen in it has changed. */
  function draw() {
    const characters = session.characters();
    const now = [traced, part.value, session.caret, width, height, devicePixelRatio, document.documentElement.hasAttribute("data-dark"), characters];
    if (!traced || now.every((each, k) => each === drawn[k])) return;
    drawn = now;
    const { planes, from } = traced;
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const style = getComputedStyle(document.documentElement);
    const [ink, focus] = ["--ink", "--focus"].map((name) => style.getPropertyValue(name));
    const which = Math.max(0, planes.parts.indexOf(part.value));
    const image = heatMap(planes, which, colours(style, planes.scale[which][0] < 0));
    const picture = new OffscreenCanvas(planes.tokens, planes.units);
    /** @type {any} */ (picture.getContext("2d")).putImageData(image, 0, 0);
    context.scale(scale, scale);
    context.imageSmoothingEnabled = planes.units > (height - LETTERS) * scale;
    context.drawImage(picture, 0, LETTERS, planes.tokens * COLUMN, height - LETTERS);
    context.font = `14px ${style.getPropertyValue("--mono")}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let k = 0; k < planes.tokens; k++) {
      const here = from + k === session.caret - 1;
      context.fillStyle = here ? focus : ink;
      context.fillText(visible(characters[from + k] ?? ""), (k + 0.5) * COLUMN, LETTERS / 2);
      if (here) context.fillRect(k * COLUMN, LETTERS - 2, COLUMN, 2);
    }
    canvas.setAttribute("aria-label", `${NAMES[part.value]} of ${planes.units} units at ${planes.tokens} characters`);
  }
  return update;
}

/** @param {HTMLSelectElement} select @param {string[][]} pairs @param {string} [first] */
function options(select, pairs, first) {
  const key = JSON.stringify(pairs);
  if (select.dataset.key === key) return;
  const before = select.value || first;
  select.replaceChildren(...pairs.map(([value, words]) => element("option", { value }, words)));
  if (pairs.some(([value]) => value === before)) select.value = /** @type {string} */ (before);
  select.dataset.key = key;
}

/** @param {any} planes @param {number} which @param {Uint32Array} table */
function heatMap(planes, which, table) {
  const { tokens, units } = planes;
  const image = new ImageData(tokens, units);
  const pixels = new Uint32Array(image.data.buffer);
  const first = which * tokens * units;
  for (let token = 0; token < tokens; token++) {
    for (let unit = 0; unit < units; unit++) pixels[unit * tokens + token] = table[planes.planes[first + token * units + unit]];
  }
  return image;
}

/** A pixel for each byte, from the page's own colours. @param {CSSStyleDeclaration} style @param {boolean} signed */
function colours(style, signed) {
  const [low, middle, high] = ["--low", "--middle", "--high"].map((name) => rgb(style.getPropertyValue(name)));
  const table = new Uint8ClampedArray(256 * 4);
  for (let byte = 0; byte < 256; byte++) {
    const value = signed ? byte / 127.5 - 1 : byte / 255;
    const end = value < 0 ? low : high;
    table.set([0, 1, 2].map((k) => middle[k] + (end[k] - middle[k]) * Math.abs(value)), byte * 4);
    table[byte * 4 + 3] = 255;
  }
  return new Uint32Array(table.buffer);
}

/** @param {string} colour as #rrggbb */
function rgb(colour) {
  const number = parseInt(colour.trim().slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}
