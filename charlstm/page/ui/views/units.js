/** Units that follow something, found by `charlstm inspect units`, and a slider that holds one while the network writes. */
import { element, say } from "../dom.js";

/** @param {HTMLElement} panel @param {import("../session.js").Session} session @param {(unit: any) => void} shown */
export function unitsView(panel, session, shown) {
  const list = element("div", {});
  const note = element("p", { class: "soft" });
  panel.replaceChildren(element("h2", {}, "Units"), note, list);
  /** @type {string | null} */
  let of = null;
  /** @type {(() => void)[]} */
  let shows = []; // of each card: whether its unit is held
  return async () => {
    for (const show of shows) show();
    if (panel.hidden || of === session.model) return;
    const model = session.model;
    of = model;
    shows = [];
    list.replaceChildren();
    note.textContent = "Looking for units that follow something …";
    await session.attempt(new AbortController().signal, async () => {
      const { units, why } = await session.backend.units({ model }, new AbortController().signal);
      if (session.model !== model) return;
      note.textContent = units.length
        ? "What each unit follows, and how well: 1 is always, 0 not at all; in brackets, the best that chance would do. Hold one, and see what it does to the text."
        : (why ?? "No units are named for this network.");
      /** @type {ReturnType<typeof card>[]} */
      const cards = units.map((/** @type {any} */ unit) => card(unit, session, shown));
      list.replaceChildren(...cards.map(({ node }) => node));
      shows = cards.map(({ show }) => show);
      for (const show of shows) show();
    });
  };
}

/** How much a unit tells, 0 to 1. @param {number} value the AUC, or a rank correlation @param {boolean} graded */
function strength(value, graded) {
  return (graded ? Math.abs(value) : Math.abs(value - 0.5) * 2).toFixed(2);
}

/** @param {any} unit @param {import("../session.js").Session} session @param {(unit: any) => void} shown */
function card(unit, session, shown) {
  const middle = (unit.low + unit.high) / 2;
  const range = unit.high - unit.low || 1;
  const name = `${unit.label}: unit ${unit.unit} of layer ${unit.layer + 1}`;
  const held = element("input", { type: "checkbox" });
  const output = element("output", {});
  const slider = element("input", {
    type: "range", min: String(unit.low - range / 2), max: String(unit.high + range / 2), step: String(range / 100),
    value: String(middle), "aria-label": `Hold ${name}`,
  });
  const { stack, layer, part, unit: number } = unit;
  const hold = () => session.holdUnit(held.checked ? { stack, layer, part, unit: number, value: Number(slider.value) } : null);
  const show = () => {
    const now = session.hold; // another card may have taken it, or another network is asked
    held.checked = now !== null && now.stack === stack && now.layer === layer && now.part === part && now.unit === number;
    say(output, Number(slider.value).toFixed(2));
  };
  slider.addEventListener("input", () => {
    held.checked = true;
    hold();
  });
  held.addEventListener("change", hold);
  const node = element(
    "div",
    { class: "unit" },
    element("div", { class: "row" }, element("strong", {}, unit.label), element("small", {}, `${strength(unit.value, unit.graded)}${unit.sign < 0 ? ", low there" : ""} (${strength(unit.chance, unit.graded)})`)),
    element(
      "div",
      { class: "row" },
      element("small", {}, `unit ${unit.unit}, layer ${unit.layer + 1}, ${unit.part}`),
      element("button", { type: "button", onclick: () => shown(unit) }, "Colour the text"),
    ),
    element("label", { class: "row" }, held, "hold it at", output),
    slider,
  );
  return { node, show };
}
