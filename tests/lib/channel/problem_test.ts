import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeProblem, encodeProblem, PROBLEM_TYPE, retryAfter } from "../../../lib/channel/problem.ts";

Deno.test("decodeProblem reads what encodeProblem wrote", () => {
  const text = encodeProblem(401, "Unauthorized", "invalid_token", "The token expired", "expired");
  assert.deepEqual(decodeProblem("Application/Problem+JSON; charset=utf-8", text), {
    code: "invalid_token",
    detail: "The token expired",
    cause: "expired",
  });
  assert.equal(decodeProblem("text/html", text), undefined);
  assert.equal(decodeProblem(undefined, text), undefined);
});

Deno.test("decodeProblem survives any body, and what it gives can be shown", () => {
  const value = fc.oneof(
    fc.string({ unit: "binary", maxLength: 2000 }),
    fc.jsonValue(),
    fc.constant("expired"),
  );
  const problem = fc.record({ code: value, detail: value, cause: value, __proto__: value }, {
    requiredKeys: [],
  });
  const body = fc.oneof(fc.string(), fc.json(), problem.map((it) => JSON.stringify(it)));
  fc.assert(fc.property(body, (text) => {
    const decoded = decodeProblem(PROBLEM_TYPE, text);
    for (const [shown, limit] of [[decoded?.code, 100], [decoded?.detail, 500]] as const) {
      if (shown === undefined) continue;
      assert.ok(shown.length <= limit);
      assert.doesNotMatch(shown, /\p{Cc}/u);
    }
  }));
});

Deno.test("retryAfter is never negative, never above an hour, never NaN", () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.nat().map(String),
    fc.constantFrom("9".repeat(400), "-1", "1e9", "0x10", " 5 ", "Infinity", "NaN", "5, 6"),
    fc.date().map((date) => date.toUTCString()),
  );
  const headers = fc.record({ "retry-after": hostile, date: hostile }, { requiredKeys: [] });
  fc.assert(
    fc.property(headers, fc.option(fc.double({ noNaN: true }), { nil: undefined }), (headers, unixMs) => {
      const delay = retryAfter(headers, unixMs);
      assert.ok(delay === undefined || (delay >= 0 && delay <= 3_600_000), String(delay));
    }),
  );
  assert.equal(retryAfter({ "retry-after": "9".repeat(400) }, undefined), 3_600_000);
  assert.equal(retryAfter({ "retry-after": "5" }, undefined), 5000);
});
