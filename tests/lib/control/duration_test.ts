import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../../lib/control/duration.ts";

Deno.test("parseDuration: reads what people write", () => {
  const table: [string, number | undefined][] = [
    ["30s", 30_000],
    ["1h 30m", 5_400_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["2 days", 172_800_000],
    ["1week", 604_800_000],
    ["", undefined],
    ["5", undefined],
    ["h", undefined],
    ["5 parsecs", undefined],
    ["-5s", undefined],
    ["5s, 3m", undefined],
  ];
  for (const [text, duration] of table) assert.equal(parseDuration(text), duration, text);
});

Deno.test("formatDuration: is read back as it was", () => {
  assert.equal(formatDuration(5_400_000), "1h 30m");
  assert.equal(formatDuration(0), "0s");
  fc.assert(fc.property(fc.maxSafeNat(), (ms) => parseDuration(formatDuration(ms)) === ms));
});
