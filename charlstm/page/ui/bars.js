/**
 * The distribution at the caret as bars: what the network thinks, and what the temperature and the filters leave of it.
 * Both are computed from the same distribution, so a slider moves them at once.
 */
import { filter, NO_FILTER } from "../engine/filters.js";
import { element, percent } from "./dom.js";
import { visible } from "./marks.js";

const SHOWN = 8;

/**
 * @param {{nats: number[] | null, top: [number, number][] | null}} next
 * @param {Record<string, any>} settings
 * @param {number | null} unknown the id that is never drawn
 * @returns {{id: number, own: number, kept: number}[]} the likeliest first
 */
export function barsOf(next, settings, unknown) {
  const pairs = next.nats ? next.nats.map((nats, id) => /** @type {[number, number]} */ ([id, nats])) : (next.top ?? []);
  const known = pairs.filter(([id]) => id !== unknown);
  const logits = Float64Array.from(known, ([, nats]) => -nats);
  filter(logits, { ...NO_FILTER, ...settings });
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const kept = logits.map((logit) => Math.exp(logit - most));
  const total = kept.reduce((sum, each) => sum + each, 0);
  return known
    .map(([id, nats], k) => ({ id, own: Math.exp(-nats), kept: kept[k] / total }))
    .sort((a, b) => b.own - a.own || a.id - b.id);
}

/**
 * @param {{id: number, own: number, kept: number}[]} bars
 * @param {string[]} vocabulary
 * @param {number | null} current the id that stands in the text
 * @param {(id: number) => void} take
 */
export function barList(bars, vocabulary, current, take) {
  const shown = bars.slice(0, SHOWN);
  const there = bars.find(({ id }) => id === current);
  if (there && !shown.includes(there)) shown.push(there);
  const rest = bars.filter((each) => !shown.includes(each));
  const rows = shown.map(({ id, own, kept }) => {
    const name = visible(vocabulary[id]);
    const label = `${name}: ${percent(own)}, ${percent(kept)} with the filters${id === current ? ", in the text" : ""}`;
    const row = element(
      "button",
      { type: "button", "aria-label": label, "data-id": String(id), onclick: () => take(id) },
      element("span", { class: "letter" }, name),
      track(own, kept),
      element("span", { class: "value" }, percent(own)),
    );
    if (id === current) row.setAttribute("aria-current", "true");
    return element("li", {}, row);
  });
  const own = rest.reduce((sum, each) => sum + each.own, 0);
  const kept = rest.reduce((sum, each) => sum + each.kept, 0);
  if (rest.length) {
    const others = element(
      "button",
      { type: "button", disabled: true },
      element("span", { class: "letter" }, "…"),
      track(own, kept),
      element("span", { class: "value" }, percent(own)),
    );
    others.setAttribute("aria-label", `${rest.length} others: ${percent(own)}`);
    rows.push(element("li", {}, others));
  }
  return rows;
}

/** @param {number} own @param {number} kept */
function track(own, kept) {
  const ownBar = element("i", { class: "own" });
  const keptBar = element("i", { class: "kept" });
  ownBar.style.width = `${own * 100}%`;
  keptBar.style.width = `${kept * 100}%`;
  return element("span", { class: "track" }, ownBar, keptBar);
}
