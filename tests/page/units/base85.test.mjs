import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBase85, toBase85 } from "../../../charlstm/page/ui/embedded.js";

test("bytes of every length come back", () => {
  for (let length = 0; length < 40; length++) {
    const bytes = Uint8Array.from({ length }, (_, k) => (k * 89 + length * 37) % 256);
    assert.deepEqual(fromBase85(toBase85(bytes)), bytes);
  }
});

test("nothing in it could end an element or begin a comment", () => {
  const bytes = Uint8Array.from({ length: 1 << 16 }, (_, k) => (k * k * 31 + k) % 256);
  assert.ok(!/[<&\s"'\\/]/.test(toBase85(bytes).replaceAll("&", "")));
  assert.ok(!toBase85(bytes).includes("<"));
});
