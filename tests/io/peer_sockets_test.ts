import assert from "node:assert/strict";
import { platform } from "../../ffi/mod.ts";
import { bindPeerSockets } from "../../io/peer_sockets.ts";
import type { Log } from "../../lib/base/log.ts";

Deno.test("bindPeerSockets: takes the port, or any other one and says so", async () => {
  const host = await platform();
  const warnings: unknown[] = [];
  const log: Log = {
    trace() {},
    debug() {},
    info() {},
    warn: (_, fields) => warnings.push(fields),
    error() {},
    part: () => log,
  };
  const any = bindPeerSockets(host, { port: 0 });
  const { port } = any.find(({ local }) => local.family === 4)!.local;
  for (const socket of any) socket.close();
  const first = bindPeerSockets(host, { port, log });
  const second = bindPeerSockets(host, { port, log });
  try {
    assert.ok(first.some(({ local }) => local.port === port));
    assert.equal(second.length, first.length);
    const taken = second.find(({ local }) => local.family === 4)!.local.port;
    assert.notEqual(taken, port);
    assert.ok(warnings.some((fields) => JSON.stringify(fields).includes(`"taken":${taken}`)));
  } finally {
    for (const socket of [...first, ...second]) socket.close();
  }
});
