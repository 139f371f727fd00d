import assert from "node:assert/strict";
import { parseDuration } from "../../cli/duration.ts";

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
