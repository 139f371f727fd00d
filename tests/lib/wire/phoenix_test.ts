import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeFrame, decodeReply, encodeFrame, encodeReply } from "../../../lib/wire/phoenix.ts";

Deno.test("decodeFrame reads the frames of the specification", () => {
  assert.deepEqual(decodeFrame(`{"topic":"client","event":"phx_join","payload":null,"ref":0}`), {
    ok: true,
    value: { topic: "client", event: "phx_join", payload: null, ref: 0 },
  });
  assert.deepEqual(decodeFrame(`{"topic":"client","event":"config_changed","ref":null,"payload":{}}`), {
    ok: true,
    value: { topic: "client", event: "config_changed", payload: {}, ref: undefined },
  });
});

Deno.test("decodeFrame refuses a ref that is not a number", () => {
  assert.deepEqual(decodeFrame(`{"topic":"a","event":"b","payload":{},"ref":"0"}`), {
    ok: false,
    reason: "malformed",
  });
});

Deno.test("decodeFrame tells JSON cut short from other nonsense", () => {
  const whole = `{"topic":"client","event":"x","payload":{"a":[1,"two"]},"ref":0}`;
  for (let length = 0; length < whole.length; length++) {
    const outcome = decodeFrame(whole.slice(0, length));
    assert.equal(outcome.ok, false);
  }
  assert.deepEqual(decodeFrame(whole.slice(0, 44)), { ok: false, reason: "truncated" });
  assert.deepEqual(decodeFrame("hello"), { ok: false, reason: "malformed" });
  assert.deepEqual(decodeFrame("[]"), { ok: false, reason: "malformed" });
});

Deno.test("encodeFrame always writes all four keys", () => {
  const text = encodeFrame({ topic: "t", event: "e", payload: undefined, ref: undefined });
  assert.deepEqual(JSON.parse(text), { topic: "t", event: "e", payload: null, ref: null });
});

Deno.test("encodeReply gives a plain success the response {} exactly", () => {
  assert.equal(
    JSON.stringify(encodeReply({ status: "ok", response: undefined })),
    `{"status":"ok","response":{}}`,
  );
  assert.deepEqual(decodeReply(encodeReply({ status: "error", reason: "unknown_message" })), {
    status: "error",
    reason: "unknown_message",
  });
});

Deno.test("decodeReply gives reasons that can be shown", () => {
  const reason = `\x1b[2J${"x".repeat(1000)}`;
  const reply = decodeReply({ status: "error", response: { reason } });
  assert(reply?.status === "error");
  assert.ok(reply.reason.startsWith("?[2Jxx"));
  assert.equal(reply.reason.length, 200);
});

Deno.test("decodeFrame never throws and gives back what encodeFrame wrote", () => {
  fc.assert(fc.property(fc.string(), (text) => void decodeFrame(text)));
  fc.assert(fc.property(fc.json(), (text) => void decodeFrame(text)));
  fc.assert(
    fc.property(
      fc.string(),
      fc.string(),
      fc.jsonValue(),
      fc.option(fc.nat(), { nil: undefined }),
      (topic, event, payload, ref) => {
        const outcome = decodeFrame(encodeFrame({ topic, event, payload, ref }));
        assert(outcome.ok);
        assert.equal(outcome.value.topic, topic);
        assert.equal(outcome.value.event, event);
        assert.equal(outcome.value.ref, ref);
      },
    ),
  );
});
