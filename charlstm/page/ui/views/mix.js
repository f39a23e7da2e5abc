/** The mix pad: up to four networks write together, each as much as the knob is near its corner. */
import { element, percent } from "../dom.js";

const CORNERS = [[0, 0], [1, 0], [0, 1], [1, 1]];

/** How much each corner counts at a place: bilinear, for two networks only from left to right. @param {number} count @param {number} x @param {number} y */
export function shares(count, x, y) {
  const all = CORNERS.slice(0, count).map(([cx, cy]) => (cx ? x : 1 - x) * (count > 2 ? (cy ? y : 1 - y) : 1));
  const total = all.reduce((sum, share) => sum + share, 0);
  return all.map((share) => (total ? share / total : 1 / count));
}

/** @param {HTMLElement} panel @param {import("../session.js").Session} session */
export function mixView(panel, session) {
  const able = session.models.filter(({ bidirectional, kind }) => !bidirectional && kind === "char").slice(0, 4);
  const note = element("p", { class: "soft" });
  panel.replaceChildren(element("h2", {}, "Mix"), note);
  if (able.length < 2) {
    note.textContent = "Two to four networks can write together here, and this page has one: name more when you start the server or export the page.";
    return () => {};
  }
  note.textContent = "The knob says how much each network counts. Arrow keys move it too.";
  let [x, y] = [0.5, 0.5];
  let timer = 0;
  const on = element("input", { type: "checkbox", id: "mix-on" });
  const knob = element("button", { type: "button", class: "knob", role: "slider", "aria-label": "Mix", "aria-valuemin": "0", "aria-valuemax": "100" });
  const corners = able.map(({ name }, k) => {
    const corner = element("span", { class: "corner" }, name);
    Object.assign(corner.style, CORNERS[k][0] ? { right: "0", textAlign: "right" } : { left: "0" });
    Object.assign(corner.style, CORNERS[k][1] ? { bottom: "0" } : { top: "0" });
    return corner;
  });
  const pad = element("div", { class: able.length > 2 ? "pad" : "pad line" }, ...corners, knob);
  const bars = able.map(({ name }) => ({ name: element("span", {}, name), share: element("span", { class: "soft" }), bar: element("i", {}) }));
  const list = element("div", { class: "shares" }, ...bars.map(({ name, share, bar }) => element("div", {}, name, share, bar)));
  panel.append(element("label", { class: "row" }, on, "Write together"), pad, list);

  const apply = () => {
    const weights = shares(able.length, x, y);
    const mix = able.map(({ id }, k) => ({ model: id, weight: Math.round(weights[k] * 1000) / 1000 }));
    session.ask(session.model, on.checked ? mix : null);
  };
  const move = (/** @type {number} */ toX, /** @type {number} */ toY) => {
    [x, y] = [Math.min(1, Math.max(0, toX)), able.length > 2 ? Math.min(1, Math.max(0, toY)) : 0.5];
    show();
    clearTimeout(timer);
    if (on.checked) timer = setTimeout(apply, 150);
  };
  const toPoint = (/** @type {PointerEvent} */ { clientX, clientY }) => {
    const box = pad.getBoundingClientRect();
    move((clientX - box.left) / box.width, (clientY - box.top) / box.height);
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    on.checked = true;
    toPoint(event);
  });
  pad.addEventListener("pointermove", (event) => {
    if (pad.hasPointerCapture(event.pointerId)) toPoint(event);
  });
  knob.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.25 : 0.05;
    const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
    if (!dx && !dy) return;
    on.checked = true;
    move(x + dx, y + dy);
    event.preventDefault();
  });
  on.addEventListener("change", apply);
  const show = () => {
    const weights = shares(able.length, x, y);
    knob.style.left = `${x * 100}%`;
    if (able.length > 2) knob.style.top = `${y * 100}%`; // two have a line, where the style sheet puts it
    knob.setAttribute("aria-valuenow", String(Math.round(x * 100)));
    knob.setAttribute("aria-valuetext", able.map(({ name }, k) => `${name} ${percent(weights[k])}`).join(", "));
    bars.forEach(({ share, bar }, k) => {
      share.textContent = percent(weights[k]);
      bar.style.width = `${weights[k] * 100}%`;
    });
  };
  show();
  return () => {};
}
