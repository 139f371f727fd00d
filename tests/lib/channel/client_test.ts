import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import {
  type ChannelAction,
  type ChannelEvent,
  PortalChannel,
  type PortalChannelOptions,
} from "../../../lib/channel/client.ts";
import { encodeProblem } from "../../../lib/channel/problem.ts";

const JOIN_OK = `{"topic":"client","event":"phx_reply","ref":0,"payload":{"status":"ok","response":{}}}`;

function channel(options: Partial<PortalChannelOptions> = {}): PortalChannel {
  return new PortalChannel({ topic: "client", joinPayload: null, now: 0, rng: seededRng(1), ...options });
}

function actions(machine: PortalChannel): ChannelAction[] {
  return [...drain(() => machine.pollAction())];
}

function events(machine: PortalChannel): ChannelEvent[] {
  return [...drain(() => machine.pollEvent())];
}

function* drain<T>(poll: () => T | undefined): Generator<T> {
  for (let item = poll(); item !== undefined; item = poll()) yield item;
}

function joined(options: Partial<PortalChannelOptions> = {}): PortalChannel {
  const machine = channel(options);
  machine.handleOpen(0);
  machine.handleText(JOIN_OK, 0);
  actions(machine);
  events(machine);
  return machine;
}

/** Advances `machine` from wake to wake until `end`, and returns every action with its time. */
function run(machine: PortalChannel, end: number): { at: number; action: ChannelAction }[] {
  const log: { at: number; action: ChannelAction }[] = [];
  for (let wake = machine.pollTimeout(); wake !== undefined && wake.at <= end; wake = machine.pollTimeout()) {
    machine.handleTimeout(wake.at);
    for (const action of actions(machine)) log.push({ at: wake.at, action });
  }
  return log;
}

Deno.test("PortalChannel dials at once, joins when open and reports the join", () => {
  const machine = channel();
  assert.deepEqual(actions(machine), [{ type: "dial" }]);
  machine.handleOpen(10);
  const [join] = actions(machine);
  assert(join?.type === "send");
  assert.deepEqual(JSON.parse(join.text), { topic: "client", event: "phx_join", payload: null, ref: 0 });
  machine.handleText(JOIN_OK, 20);
  assert.deepEqual(events(machine), [{ type: "joined" }]);
  assert(machine.isJoined);
});

Deno.test("PortalChannel drops and counts messages sent while not joined", () => {
  const machine = channel();
  assert.equal(machine.send("no_relays", {}, 0), false);
  machine.handleOpen(0);
  assert.equal(machine.send("no_relays", {}, 0), false);
  assert.equal(machine.droppedMessages, 2);
  machine.handleText(JOIN_OK, 0);
  actions(machine);
  assert.equal(machine.send("no_relays", {}, 0), true);
  const [sent] = actions(machine);
  assert(sent?.type === "send");
  assert.deepEqual(JSON.parse(sent.text), { topic: "client", event: "no_relays", payload: {}, ref: 1 });
});

Deno.test("PortalChannel hands on pushes, and ignores other topics and garbage", () => {
  const machine = joined();
  machine.handleText(`{"topic":"client","event":"resource_deleted","ref":null,"payload":"abc"}`, 1);
  machine.handleText(`{"topic":"other","event":"resource_deleted","ref":null,"payload":"abc"}`, 1);
  machine.handleText(`nonsense`, 1);
  assert.deepEqual(events(machine), [{ type: "message", event: "resource_deleted", payload: "abc" }]);
  assert.equal(machine.ignoredFrames, 2);
});

Deno.test("PortalChannel hangs up on a portal that says more than is heard", () => {
  const machine = joined();
  for (let count = 0; count < 4096; count++) {
    machine.handleText(`{"topic":"client","event":"x","ref":null,"payload":{}}`, 1);
  }
  assert(machine.isJoined);
  machine.handleText(`{"topic":"client","event":"x","ref":null,"payload":{}}`, 1);
  assert.deepEqual(actions(machine), [{ type: "close", code: 1000 }]);
  assert.equal(events(machine).at(-1)?.type, "hiccup");
});

Deno.test("PortalChannel drops messages for a driver that does not drain", () => {
  const machine = joined();
  for (let count = 0; count < 5000; count++) machine.send("x", {}, 1);
  assert.equal(actions(machine).length, 4096);
  assert.equal(machine.droppedMessages, 904);
});

Deno.test("PortalChannel beats every 10 s and gives up with the fourth unanswered beat", () => {
  const machine = joined();
  const log = run(machine, 39_999);
  assert.deepEqual(log.map(({ at }) => at), [10_000, 20_000, 30_000]);
  machine.handleTimeout(40_000);
  assert.deepEqual(actions(machine).map((action) => action.type), ["send", "close"]);
  const [hiccup] = events(machine);
  assert(hiccup?.type === "hiccup" && hiccup.wasJoined);
});

Deno.test("PortalChannel stays up while heartbeats are answered", () => {
  const machine = joined();
  for (let at = 10_000; at <= 600_000; at += 10_000) {
    machine.handleTimeout(at);
    for (const action of actions(machine)) {
      assert(action.type === "send");
      const { ref } = JSON.parse(action.text);
      machine.handleText(
        JSON.stringify({
          topic: "phoenix",
          event: "phx_reply",
          ref,
          payload: { status: "ok", response: {} },
        }),
        at,
      );
    }
  }
  assert(machine.isJoined);
  assert.deepEqual(events(machine), []);
});

Deno.test("PortalChannel gives a join 5 s", () => {
  const machine = channel();
  machine.handleOpen(0);
  actions(machine);
  assert.equal(machine.pollTimeout()?.at, 5_000);
  machine.handleTimeout(4_999);
  assert.deepEqual(actions(machine), []);
  machine.handleTimeout(5_000);
  assert.deepEqual(actions(machine), [{ type: "close", code: 1000 }]);
  const [hiccup] = events(machine);
  assert(hiccup?.type === "hiccup" && hiccup.reason === "room join timed out" && !hiccup.wasJoined);
});

Deno.test("PortalChannel backs off from 0.5 s by 1.5 to 60 s, each delay at most doubled by jitter", () => {
  const machine = joined();
  let now = 0;
  let base = 500;
  machine.handleClosed({ type: "closed", code: 1006 }, now);
  for (let attempt = 0; attempt < 30; attempt++) {
    const [hiccup] = events(machine);
    assert(hiccup?.type === "hiccup");
    const delay = hiccup.retryAt - now;
    assert(delay >= base && delay <= 2 * base, `delay ${delay} for base ${base}`);
    now = hiccup.retryAt;
    machine.handleTimeout(now);
    assert.deepEqual(actions(machine), [{ type: "dial" }]);
    machine.handleClosed({ type: "failed", reason: "connection refused" }, now);
    base = Math.min(base * 1.5, 60_000);
  }
});

Deno.test("PortalChannel tries the first join every second and gives up after 15 s", () => {
  const machine = channel();
  let now = 0;
  for (let attempt = 0; attempt < 100; attempt++) {
    machine.handleClosed({ type: "failed", reason: "connection refused" }, now);
    const [event] = events(machine);
    if (event?.type === "fatal") {
      assert.equal(event.fault.code, "unreachable");
      assert.equal(event.discardToken, false);
      assert.equal(now, 15_000);
      assert.equal(machine.pollTimeout(), undefined);
      return;
    }
    assert(event?.type === "hiccup");
    assert.equal(event.retryAt, now + 1_000);
    now = event.retryAt;
    machine.handleTimeout(now);
  }
  assert.fail("never gave up");
});

Deno.test("PortalChannel tries a patient first join for ever, with growing delays, and says why", () => {
  const machine = channel({ isPatient: true });
  assert.equal(machine.trouble, undefined);
  const delays: number[] = [];
  let now = 0;
  for (let attempt = 0; attempt < 200; attempt++) {
    machine.handleClosed({ type: "failed", reason: "connection refused" }, now);
    const [hiccup] = events(machine);
    assert(hiccup?.type === "hiccup" && !hiccup.wasJoined);
    const { retryAt } = hiccup;
    assert.deepEqual(machine.trouble, { reason: "connection refused", status: undefined, retryAt });
    delays.push(retryAt - now);
    now = retryAt;
    machine.handleTimeout(now);
  }
  assert.ok(delays[0]! >= 500 && delays[0]! <= 1000);
  assert.ok(delays.at(-1)! >= 60_000 && delays.at(-1)! <= 120_000);
  machine.handleOpen(now);
  const join = actions(machine).at(-1);
  assert(join?.type === "send");
  machine.handleText(JOIN_OK, now);
  assert(machine.isJoined);
  assert.equal(machine.trouble, undefined);
});

Deno.test("PortalChannel.trouble has the status of a refusal, and waits as Retry-After says", () => {
  const machine = channel({ isPatient: true });
  machine.handleClosed({ type: "refused", status: 503, headers: { "retry-after": "42" }, body: "" }, 10);
  assert.deepEqual(machine.trouble, {
    reason: "portal answered HTTP status 503",
    status: 503,
    retryAt: 42_010,
  });
});

Deno.test("PortalChannel gives up when an outage lasts longer than the maximum partition time", () => {
  const machine = joined({ maxPartitionTime: 60_000 });
  let now = 0;
  machine.handleClosed({ type: "closed", code: 1006 }, now);
  for (;;) {
    const [event] = events(machine);
    if (event?.type === "fatal") break;
    assert(event?.type === "hiccup");
    now = event.retryAt;
    assert(now <= 60_000);
    machine.handleTimeout(now);
    machine.handleClosed({ type: "failed", reason: "no route" }, now);
  }
});

Deno.test("PortalChannel obeys Retry-After in seconds and as a date, without using up its budget", () => {
  const machine = channel({ wallClock: new WallClock(0, Date.parse("2026-01-01T00:00:00Z")) });
  let now = 0;
  for (let attempt = 0; attempt < 40; attempt++) {
    machine.handleClosed({ type: "refused", status: 503, headers: { "retry-after": "2" }, body: "" }, now);
    const [event] = events(machine);
    assert(event?.type === "hiccup" && event.status === 503);
    assert.equal(event.retryAt, now + 2_000);
    now = event.retryAt;
    machine.handleTimeout(now);
  }
  const date = { "retry-after": "Thu, 01 Jan 2026 00:01:30 GMT" };
  machine.handleClosed({ type: "refused", status: 503, headers: date, body: "" }, now);
  let [event] = events(machine);
  assert(event?.type === "hiccup");
  assert.equal(event.retryAt, 90_000);
  machine.handleTimeout(90_000);
  const past = { "retry-after": "Thu, 01 Jan 2026 00:00:00 GMT", date: "Thu, 01 Jan 2026 00:00:10 GMT" };
  machine.handleClosed({ type: "refused", status: 429, headers: past, body: "" }, 90_000);
  [event] = events(machine);
  assert(event?.type === "hiccup");
  assert.equal(event.retryAt, 90_000);
});

Deno.test("PortalChannel takes only HTTP 401 as fatal, and discards the token only for the portal's own words", () => {
  for (const status of [400, 402, 403, 404, 408, 409, 426, 429, 500, 502, 503]) {
    const machine = channel();
    machine.handleClosed({ type: "refused", status, headers: {}, body: "" }, 0);
    assert.equal(events(machine)[0]?.type, "hiccup");
  }
  const headers = { "content-type": "application/problem+json; charset=utf-8" };
  const refusals: [Record<string, string>, string, boolean][] = [
    [headers, encodeProblem(401, "Unauthorized", "invalid_token", ""), true],
    [headers, encodeProblem(401, "Unauthorized", "missing_token", ""), true],
    [headers, encodeProblem(401, "Unauthorized", "brand_new_code", ""), false],
    [{ "content-type": "text/html" }, "<h1>proxy says no</h1>", false],
    [headers, "not json", false],
  ];
  for (const [headers, body, discardToken] of refusals) {
    const machine = channel();
    machine.handleClosed({ type: "refused", status: 401, headers, body }, 0);
    const [event] = events(machine);
    assert(event?.type === "fatal");
    assert.equal(event.discardToken, discardToken);
    assert.equal(event.fault.code, "rejected");
  }
});

Deno.test("PortalChannel tells that a refused token has expired", () => {
  const machine = channel();
  const headers = { "content-type": "application/problem+json" };
  const body = encodeProblem(401, "Unauthorized", "invalid_token", "", "expired");
  machine.handleClosed({ type: "refused", status: 401, headers, body }, 0);
  const [event] = events(machine);
  assert(event?.type === "fatal" && event.discardToken);
  assert.equal(event.fault.code, "expired");
});

Deno.test("PortalChannel takes an error reply to the join as fatal", () => {
  const machine = channel();
  machine.handleOpen(0);
  machine.handleText(
    `{"topic":"client","event":"phx_reply","ref":0,"payload":{"status":"error","response":{"reason":"disabled"}}}`,
    0,
  );
  const [event] = events(machine);
  assert(event?.type === "fatal");
  assert.match(event.fault.message, /Cannot join "client": the portal answered "disabled"/);
});

Deno.test("PortalChannel joins again when the portal forgot the room, but not for ever", () => {
  const machine = joined();
  const forgotten = (ref: number) =>
    `{"topic":"client","event":"phx_reply","ref":${ref},"payload":{"status":"error","response":{"reason":"unmatched topic"}}}`;
  machine.handleText(forgotten(7), 0);
  assert.equal(machine.isJoined, false);
  const [join] = actions(machine);
  assert(join?.type === "send" && join.text.includes("phx_join"));
  for (let count = 0; count < 5; count++) machine.handleText(forgotten(1), 0);
  assert.equal(events(machine)[0]?.type, "hiccup");
});

Deno.test("PortalChannel takes token_expired as fatal, other reasons to disconnect not", () => {
  const machine = joined();
  machine.handleText(`{"topic":"client","event":"disconnect","payload":{"reason":"certificate_revoked"}}`, 0);
  assert.deepEqual(events(machine), []);
  machine.handleText(`{"topic":"client","event":"disconnect","payload":{"reason":"token_expired"}}`, 0);
  const [event] = events(machine);
  assert(event?.type === "fatal" && event.discardToken);
  assert.equal(event.fault.code, "expired");
  assert.deepEqual(actions(machine), [{ type: "close", code: 1000 }]);
});

Deno.test("PortalChannel tells a revoked token from an expired one where the portal does", () => {
  for (
    const [cause, code, discardToken] of [
      ["expired", "expired", true],
      ["revoked", "rejected", true],
      ["disabled", "rejected", false],
      ["replaced", "rejected", false],
      ["toString", "expired", true],
      [7, "expired", true],
    ] as const
  ) {
    const machine = joined();
    const payload = JSON.stringify({ reason: "token_expired", cause });
    machine.handleText(`{"topic":"client","event":"disconnect","payload":${payload}}`, 0);
    const [event] = events(machine);
    assert(event?.type === "fatal");
    assert.deepEqual([event.fault.code, event.discardToken], [code, discardToken]);
  }
});

Deno.test("PortalChannel reconnects after phx_close, and ignores phx_error", () => {
  const machine = joined();
  machine.handleText(`{"topic":"client","event":"phx_error","payload":{}}`, 0);
  assert.deepEqual(events(machine), []);
  machine.handleText(`{"topic":"client","event":"phx_close","payload":{}}`, 0);
  assert.equal(events(machine)[0]?.type, "hiccup");
  assert.deepEqual(actions(machine), [{ type: "close", code: 1000 }]);
});

Deno.test("PortalChannel.redial closes politely, dials at once and starts refs anew", () => {
  const machine = joined();
  machine.redial(50);
  assert.deepEqual(actions(machine), [{ type: "close", code: 1000 }, { type: "dial" }]);
  machine.handleOpen(60);
  const [join] = actions(machine);
  assert(join?.type === "send" && JSON.parse(join.text).ref === 0);
});

Deno.test("PortalChannel.stop closes politely and is the end", () => {
  const machine = joined();
  machine.stop();
  assert.deepEqual(actions(machine), [{ type: "close", code: 1000 }]);
  machine.handleClosed({ type: "closed", code: 1000 }, 1);
  machine.handleTimeout(1e9);
  assert.equal(machine.pollTimeout(), undefined);
  assert.deepEqual(actions(machine), []);
  assert.deepEqual(events(machine), []);
});

Deno.test("PortalChannel survives hostile frames", () => {
  const frame = fc.record({
    topic: fc.constantFrom("client", "phoenix", "x"),
    event: fc.constantFrom("phx_reply", "phx_close", "disconnect", "init", "phx_error"),
    payload: fc.oneof(fc.jsonValue(), fc.constant({ status: "ok", response: null })),
    ref: fc.oneof(fc.nat(3), fc.constant(null), fc.string()),
  });
  fc.assert(fc.property(fc.array(fc.oneof(frame.map((it) => JSON.stringify(it)), fc.string())), (texts) => {
    const machine = joined();
    for (const text of texts) machine.handleText(text, 1);
    actions(machine);
    events(machine);
  }));
});
