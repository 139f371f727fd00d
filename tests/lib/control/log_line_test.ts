import assert from "node:assert/strict";
import fc from "fast-check";
import { formatLogLine, parseLogLine, plainFields } from "../../../lib/control/log_line.ts";

const TIME = "2026-11-22T15:10:00.123Z";

Deno.test("parseLogLine: understands both formats of log files", () => {
  const record = { time: TIME, level: "info" as const, category: "client.dns", message: "ready" };
  assert.deepEqual(parseLogLine(formatLogLine(record)), record);
  assert.deepEqual(parseLogLine(JSON.stringify(record)), record);
  const withFields = { ...record, fields: { device: "fz0", count: 3 } };
  assert.deepEqual(parseLogLine(JSON.stringify(withFields)), withFields);
  assert.deepEqual(parseLogLine(formatLogLine(withFields)), {
    ...record,
    message: "ready device=fz0 count=3",
  });
});

Deno.test("parseLogLine: is undefined for lines that were cut, and never throws", () => {
  for (const line of ["", "2026-11-22T15:10", '{"time":"x', "{}", '{"time":1}', "[]", "{} {}", "null"]) {
    assert.equal(parseLogLine(line), undefined, line);
  }
  fc.assert(fc.property(fc.string(), (text) => {
    parseLogLine(text);
    parseLogLine(`{${text}`);
  }));
});

Deno.test("formatLogLine: is one line without control characters, whatever the record holds", () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (message, value) => {
      const fields = plainFields({ value });
      const line = formatLogLine({ time: TIME, level: "warn", category: "x", message, fields });
      assert.doesNotMatch(line, /\p{Cc}/u);
    }),
    { examples: [["", { toString: null }], ["", { valueOf: null, toString: "x" }]] },
  );
});
