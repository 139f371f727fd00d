import assert from "node:assert/strict";
import { platform } from "../../ffi/mod.ts";
import { startPortal } from "../../io/portal_server.ts";
import { type Relay, type RelayOptions, startRelay } from "../../io/relay.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";

const LOOPBACK = IpAddress.from("127.0.0.1");
const SEED = { account: { slug: "acme" }, tokens: [{ kind: "relay", token: "relay-token" } as const] };

async function start(options: Partial<RelayOptions> = {}): Promise<Relay> {
  const host = await platform();
  const probe = host.bindUdp({ address: new SocketAddress(LOOPBACK, 0) })!;
  probe.close();
  return await startRelay({
    publicAddress: { 4: LOOPBACK },
    listenPort: probe.local.port,
    healthAddress: SocketAddress.from("127.0.0.1:0"),
    platform: host,
    log: silentLog,
    ...options,
  });
}

async function health(relay: Relay, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${relay.healthPort}${path}`);
  await response.body?.cancel();
  return response.status;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 90_000;
  while (!await condition()) {
    assert(Date.now() < deadline, "it did not come to pass");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("startRelay joins the portal and is ready only as long as it is joined", async () => {
  const portal = await startPortal({
    listen: { host: "127.0.0.1", port: 0 },
    seed: SEED,
    connectInterval: 0,
  });
  const relay = await start({ portal: { url: portal.url, token: "relay-token" } });
  await until(async () => await health(relay, "/readyz") === 200);
  await until(() => relay.status().portal === "initialised");
  assert.equal(await health(relay, "/healthz"), 200);
  await portal.stop();
  await until(async () => await health(relay, "/readyz") === 503);
  assert.equal(await health(relay, "/healthz"), 200);
  await relay.stop();
  await relay.done;
});

Deno.test("startRelay ends with the portal's reason when its token is refused", async () => {
  const portal = await startPortal({
    listen: { host: "127.0.0.1", port: 0 },
    seed: SEED,
    connectInterval: 0,
  });
  const relay = await start({ portal: { url: portal.url, token: "wrong" } });
  await assert.rejects(relay.done, (error) => error instanceof Fault && error.code === "rejected");
  await portal.stop();
});

Deno.test("startRelay without a portal is ready at once", async () => {
  const relay = await start();
  assert.equal(await health(relay, "/readyz"), 200);
  assert.match(relay.secret, /^[0-9a-f]{64}$/);
  await relay.stop();
});

Deno.test("startRelay refuses what cannot work, with a Fault that says what", async () => {
  const rejects = (options: Partial<RelayOptions>, message: RegExp) =>
    assert.rejects(start(options), (error) => error instanceof Fault && message.test(error.message));
  await rejects({ publicAddress: {} }, /public/);
  await rejects({ publicAddress: { 6: LOOPBACK } }, /IPv6/);
  await rejects({ publicAddress: { 4: IpAddress.from("0.0.0.0") } }, /0\.0\.0\.0/);
  await rejects({ lowestPort: 60_000, highestPort: 50_000 }, /empty/);
  await rejects({ listenPort: 70_000 }, /70000/);
  await rejects({ portal: { url: "gopher://x", token: "t" } }, /gopher/);
  const holder = (await platform()).bindUdp({ address: new SocketAddress(LOOPBACK, 0) })!;
  await rejects({ listenPort: holder.local.port }, new RegExp(`${holder.local.port}`));
  holder.close();
});
