import assert from "node:assert/strict";
import { serveHealth } from "../../io/health.ts";
import { SocketAddress } from "../../lib/base/ip.ts";

const ANY_PORT = SocketAddress.parse("127.0.0.1:0")!;

Deno.test("serveHealth: tells alive, ready or why not, and the metrics", async () => {
  let reason: string | undefined = "connecting (Cannot reach the portal: \x1b[2J)";
  const server = serveHealth(ANY_PORT, { whyNotReady: () => reason, metrics: () => "fz_up 1\n" });
  try {
    const get = async (path: string, method = "GET") => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return [answer.status, await answer.text(), answer.headers.get("content-type")] as const;
    };
    const plain = "text/plain; charset=utf-8";
    assert.deepEqual(await get("/healthz"), [200, "ok\n", plain]);
    assert.deepEqual(await get("/readyz"), [
      503,
      "not ready: connecting (Cannot reach the portal: ?[2J)\n",
      plain,
    ]);
    reason = undefined;
    assert.deepEqual(await get("/readyz"), [200, "ready\n", plain]);
    assert.deepEqual(await get("/metrics"), [200, "fz_up 1\n", "text/plain; version=0.0.4; charset=utf-8"]);
    assert.deepEqual(await get("/readyz", "HEAD"), [200, "", plain]);
    assert.deepEqual(await get("/readyz", "POST"), [405, "method not allowed\n", plain]);
    assert.deepEqual(await get("/v1/status"), [404, "not found\n", plain]);
  } finally {
    await server.stop();
  }
});

Deno.test("serveHealth: has no metrics where nobody counts, and lives on when somebody fails to", async () => {
  const server = serveHealth(ANY_PORT, {
    whyNotReady() {
      throw new Error("a bug");
    },
  });
  try {
    const get = async (path: string) => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`);
      return [answer.status, await answer.text()];
    };
    assert.deepEqual(await get("/metrics"), [404, "not found\n"]);
    assert.deepEqual(await get("/readyz"), [500, "unexpected\n"]);
    assert.deepEqual(await get("/healthz"), [200, "ok\n"]);
  } finally {
    await server.stop();
  }
});

Deno.test("serveHealth: says that its address is taken", async () => {
  const server = serveHealth(ANY_PORT, { whyNotReady: () => undefined });
  try {
    const taken = SocketAddress.parse(`127.0.0.1:${server.port}`)!;
    assert.throws(() => serveHealth(taken, { whyNotReady: () => undefined }), {
      name: "Fault",
      message: `Cannot answer health checks on TCP ${taken}`,
    });
  } finally {
    await server.stop();
  }
});
