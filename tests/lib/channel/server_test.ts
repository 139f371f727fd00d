import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../../lib/base/rng.ts";
import { PortalChannel } from "../../../lib/channel/client.ts";
import { ServerChannel } from "../../../lib/channel/server.ts";

const JOIN = `{"topic":"client","event":"phx_join","payload":null,"ref":0}`;

function sent(channel: ServerChannel): unknown[] {
  const frames: unknown[] = [];
  for (let action = channel.pollAction(); action !== undefined; action = channel.pollAction()) {
    frames.push(action.type === "send" ? JSON.parse(action.text) : action);
  }
  return frames;
}

Deno.test("ServerChannel echoes the ref as a number and answers with the response {}", () => {
  const channel = new ServerChannel({ topic: "client", now: 0 });
  channel.handleText(`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":3}`, 1);
  assert.deepEqual(sent(channel), [
    { topic: "phoenix", event: "phx_reply", payload: { status: "ok", response: {} }, ref: 3 },
  ]);
  channel.handleText(`{"topic":"client","event":"phx_join","payload":null,"ref":0}`, 1);
  assert.deepEqual(channel.pollEvent(), { type: "join", payload: null });
  channel.accept();
  assert.deepEqual(sent(channel), [
    { topic: "client", event: "phx_reply", payload: { status: "ok", response: {} }, ref: 0 },
  ]);
});

Deno.test("ServerChannel answers other topics, and messages before the join, with unmatched topic", () => {
  const channel = new ServerChannel({ topic: "client", now: 0 });
  channel.handleText(`{"topic":"gateway","event":"phx_join","payload":null,"ref":1}`, 0);
  channel.handleText(`{"topic":"client","event":"no_relays","payload":{},"ref":2}`, 0);
  const response = { status: "error", response: { reason: "unmatched topic" } };
  assert.deepEqual(sent(channel), [
    { topic: "gateway", event: "phx_reply", payload: response, ref: 1 },
    { topic: "client", event: "phx_reply", payload: response, ref: 2 },
  ]);
  assert.equal(channel.pollEvent(), undefined);
});

Deno.test("ServerChannel does not push before the join nor after the close", () => {
  const channel = new ServerChannel({ topic: "client", now: 0 });
  channel.push("init", {});
  channel.close(1012);
  channel.push("init", {});
  assert.deepEqual(sent(channel), [{ type: "close", code: 1012 }]);
});

Deno.test("ServerChannel closes a silent socket after its idle limit, not before", () => {
  const channel = new ServerChannel({ topic: "client", now: 0, idleLimit: 37_000 });
  channel.handleText(JOIN, 0);
  channel.accept();
  channel.handleText(`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":0}`, 10_000);
  sent(channel);
  assert.equal(channel.pollTimeout()?.at, 47_000);
  channel.handleTimeout(46_999);
  assert.deepEqual(sent(channel), []);
  channel.handleTimeout(47_000);
  assert.equal(sent(channel).length, 1);
  assert(channel.isClosed);
});

Deno.test("ServerChannel closes a socket on which nobody joins, heartbeats or not", () => {
  const channel = new ServerChannel({ topic: "client", now: 0, idleLimit: 37_000 });
  for (let at = 0; at < 37_000; at += 10_000) {
    channel.handleText(`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":0}`, at);
  }
  assert.equal(channel.pollTimeout()?.at, 37_000);
  channel.handleTimeout(37_000);
  assert(channel.isClosed);
});

Deno.test("ServerChannel closes on a peer that says more than it may, a short frame counting for a kilobyte", () => {
  const talk = (
    allowance: { burst: number; perSecond: number } | undefined,
    text: string,
    everyMs: number,
  ) => {
    const channel = new ServerChannel({ topic: "client", now: 0, allowance });
    let frames = 0;
    while (!channel.isClosed && frames < 1000) {
      channel.handleText(text, frames++ * everyMs);
      while (channel.pollAction() !== undefined);
      while (channel.pollEvent() !== undefined);
    }
    return frames;
  };
  const short = `{"topic":"phoenix","event":"heartbeat","payload":{},"ref":0}`;
  const allowance = { burst: 10 * 1024, perSecond: 1024 };
  assert.equal(talk(allowance, short, 0), 11);
  assert.equal(talk(allowance, short, 1000), 1000);
  assert.equal(talk(allowance, `{"x":"${"y".repeat(4096)}"}`, 0), 3);
  assert.equal(talk(undefined, short, 0), 1000);
});

Deno.test("ServerChannel closes rather than queue without end for a driver that does not drain", () => {
  const channel = new ServerChannel({ topic: "client", now: 0 });
  channel.handleText(JOIN, 0);
  channel.accept();
  for (let count = 0; count < 70_000 && !channel.isClosed; count++) {
    channel.handleText(`{"topic":"client","event":"x","payload":{},"ref":1}`, 0);
  }
  assert(channel.isClosed);
  assert.deepEqual(sent(channel).at(-1), { type: "close", code: 1013 });
});

Deno.test("ServerChannel.disconnect tells the reason before it closes", () => {
  const channel = new ServerChannel({ topic: "gateway", now: 0 });
  channel.disconnect("revoked");
  assert.deepEqual(sent(channel), [
    {
      topic: "gateway",
      event: "disconnect",
      payload: { reason: "token_expired", cause: "revoked" },
      ref: null,
    },
    { type: "close", code: 1000 },
  ]);
});

Deno.test("ServerChannel and PortalChannel understand each other", () => {
  const peer = new PortalChannel({
    topic: "relay",
    joinPayload: { stamp_secret: "5a" },
    now: 0,
    rng: seededRng(2),
  });
  const server = new ServerChannel({ topic: "relay", now: 0 });
  const exchange = (now: number) => {
    for (let round = 0; round < 4; round++) {
      for (let action = peer.pollAction(); action !== undefined; action = peer.pollAction()) {
        if (action.type === "send") server.handleText(action.text, now);
      }
      for (let event = server.pollEvent(); event !== undefined; event = server.pollEvent()) {
        if (event.type === "join") server.accept();
        else if (event.type === "message") {
          server.reply(event.ref, { status: "error", reason: "unknown_message" });
        }
      }
      for (let action = server.pollAction(); action !== undefined; action = server.pollAction()) {
        if (action.type === "send") peer.handleText(action.text, now);
      }
    }
  };
  peer.handleOpen(0);
  exchange(0);
  assert(peer.isJoined && server.isJoined);
  server.push("init", {});
  peer.send("something_new", {}, 1);
  exchange(1);
  assert.deepEqual([peer.pollEvent(), peer.pollEvent(), peer.pollEvent()], [
    { type: "joined" },
    { type: "message", event: "init", payload: {} },
    undefined,
  ]);
  for (let now = 10_000; now < 200_000; now += 10_000) {
    peer.handleTimeout(now);
    server.handleTimeout(now);
    exchange(now);
  }
  assert(peer.isJoined && server.isJoined);
});

Deno.test("ServerChannel survives hostile frames", () => {
  const frame = fc.record({
    topic: fc.constantFrom("client", "phoenix", "x"),
    event: fc.constantFrom("phx_join", "phx_leave", "heartbeat", "init"),
    payload: fc.jsonValue(),
    ref: fc.oneof(fc.nat(3), fc.constant(null), fc.string()),
  });
  fc.assert(fc.property(fc.array(fc.oneof(frame.map((it) => JSON.stringify(it)), fc.string())), (texts) => {
    const channel = new ServerChannel({ topic: "client", now: 0 });
    for (const text of texts) {
      channel.handleText(text, 1);
      if (channel.pollEvent()?.type === "join") channel.accept();
    }
  }));
});
