/**
 * The engine behind messages, so that the page stays quick while it computes.
 *
 * A message in is `{id, method, request}`, or `{id, stop: true}`; messages out are `{id, item}` for each event of a
 * stream, and at its end `{id, result}` or `{id, error}`. The first message in is `{models}`.
 */
import { Player } from "./player.js";
import { UnknownCharacter } from "./tokenizers.js";

/** @param {{onmessage: ((event: MessageEvent) => void) | null, postMessage: (message: any) => void}} scope */
export function serveMessages(scope) {
  /** @type {Player} */
  let player;
  /** @type {Map<number, AbortController>} */
  const running = new Map();
  scope.onmessage = async ({ data: { id, method, request, models, stop } }) => {
    if (models) {
      player = new Player(models);
      return;
    }
    if (stop) {
      running.get(id)?.abort();
      return;
    }
    const control = new AbortController();
    running.set(id, control);
    try {
      const answer = /** @type {any} */ (player)[method](request, control.signal);
      if (answer?.[Symbol.asyncIterator]) {
        for await (const item of answer) scope.postMessage({ id, item });
        scope.postMessage({ id, result: null });
      } else {
        scope.postMessage({ id, result: await answer });
      }
    } catch (fault) {
      scope.postMessage({ id, error: plainError(fault) });
    } finally {
      running.delete(id);
    }
  };
}

/** @param {unknown} fault */
function plainError(fault) {
  if (fault instanceof UnknownCharacter) {
    return { message: fault.message, code: "unknown_character", at: fault.at, character: fault.character };
  }
  if (fault instanceof DOMException && fault.name === "AbortError") return { message: "stopped", code: "stopped" };
  return { message: fault instanceof Error ? fault.message : String(fault), code: null };
}
