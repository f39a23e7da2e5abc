/** The network learns a text that is pasted here, and stands beside the one it was: before and after. */
import { element, percent } from "../dom.js";
import { standalone } from "../embedded.js";
import { save } from "./branches.js";

/** @param {HTMLElement} panel @param {import("../session.js").Session} session @param {() => void} joined */
export function learnView(panel, session, joined) {
  const backend = /** @type {Required<import("../backends.js").Backend>} */ (session.backend);
  const area = element("textarea", { class: "paste", rows: 8, placeholder: "Paste a text: a diary, letters, songs …" });
  area.setAttribute("aria-label", "The text to learn");
  const file = element("input", { type: "file", accept: "text/*,.txt,.md" });
  const seconds = element("input", { type: "number", min: "5", max: "3600", value: "60" });
  const go = element("button", { type: "button", class: "main" }, "Learn");
  const bar = element("progress", { max: 1, value: 0, hidden: true, "aria-label": "Lesson" });
  const note = element("p", { class: "soft" }, "The text stays in this page. The end of it is kept back, to see what was learnt.");
  const saved = element("div", { class: "row" });
  panel.replaceChildren(
    element("h2", {}, "Learn a text"),
    area,
    element("label", { class: "row" }, "or a file", file),
    element("div", { class: "row" }, element("label", { class: "row" }, "for", seconds, "seconds"), go),
    bar,
    note,
    saved,
  );
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    if (chosen) area.value = await chosen.text();
  });
  /** @type {AbortController | null} */
  let control = null;
  go.addEventListener("click", async () => {
    if (control) {
      control.abort();
      return;
    }
    control = new AbortController();
    go.textContent = "Stop";
    bar.hidden = false;
    const { signal } = control;
    const request = { model: session.model, text: area.value.replaceAll("\r\n", "\n"), seconds: Number(seconds.value) };
    try {
      for await (const { event, data } of backend.learn(request, signal)) {
        if (event === "progress") show(data);
        else await done(data);
      }
    } catch (fault) {
      note.textContent = signal.aborted ? "Stopped: the network is as it was." : /** @type {Error} */ (fault).message;
    } finally {
      control = null;
      go.textContent = "Learn";
      bar.hidden = true;
    }
  });

  return () => {};

  /** @param {any} progress */
  function show({ share, read, passes, before, now }) {
    bar.value = share;
    note.textContent = `${percent(Math.min(1, share))} · ${read.toLocaleString("en")} characters, ${passes.toFixed(1)} times through · ${bits(before)} → ${bits(now)} bits per character`;
  }

  /** @param {any} result */
  async function done({ id, name, before, after, left }) {
    await session.open();
    joined();
    session.ask(id, null);
    const unknown = left ? ` ${left} characters that it does not know were left out.` : "";
    note.textContent = `On the end of the text, which it has not read: ${bits(before)} bits per character before, ${bits(after)} after.${unknown} It writes as “${name}” now; choose the other one above to compare.`;
    const file = await backend.file(id);
    saved.replaceChildren(
      element("button", { type: "button", onclick: () => save(`${id}.safetensors`, file) }, "Save the network"),
      element("button", { type: "button", onclick: async () => save(`${id}.html`, await standalone(session.models, backend)) }, "Save this page with it"),
    );
  }
}

/** @param {number} nats */
function bits(nats) {
  return (nats / Math.LN2).toFixed(3);
}
