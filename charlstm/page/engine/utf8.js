/**
 * A decoder of ids that stand for bytes of UTF-8: whole characters out, never half of one.
 * @param {(token: number) => number[]} bytesOf
 * @returns {import("./tokenizers.js").Decoder}
 */
export function utf8Decoder(bytesOf) {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push: (token) => utf8.decode(Uint8Array.from(bytesOf(token)), { stream: true }),
    flush: () => utf8.decode(),
  };
}
