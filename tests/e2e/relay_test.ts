import assert from "node:assert/strict";
import { platform } from "../../ffi/mod.ts";
import { monotonicNow } from "../../io/clock.ts";
import { isIsolated, toolPath } from "../../io/lab/isolation.ts";
import { type Relay as RunningRelay, type RelayOptions, startRelay } from "../../io/relay.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { relayPassword, relayUsername } from "../../lib/turn/auth.ts";
import type { Relay } from "../../lib/turn/client.ts";
import { eventually } from "./support/on_network.ts";
import { TurnClient } from "./turn_client.ts";

const RELAY = { 4: "10.9.0.1", 6: "fd09::1" };
const CLIENT = { 4: "10.9.0.2", 6: "fd09::2" };
const OTHER = { 4: "10.9.0.4", 6: "fd09::4" };
const PEER = { 4: "10.9.0.3", 6: "fd09::3" };
const EXPIRY = 4_000_000_000;
const PEER_PORT = 3480;
/** So many of 1200 bytes fit into a socket of default size: none is lost however long whoever reads it stands still. */
const MESSAGES = 80;

let hasAddresses = false;

/** Gives this test's own network namespace the addresses above. */
async function addAddresses(): Promise<void> {
  assert(isIsolated(), "run this by `deno task e2e tests/e2e/relay_test.ts`");
  if (hasAddresses) return;
  hasAddresses = true;
  for (const host of [RELAY, CLIENT, OTHER, PEER]) {
    await must(["ip", "address", "add", `${host[4]}/24`, "dev", "lo"]);
    await must(["ip", "address", "add", `${host[6]}/64`, "dev", "lo", "nodad"]);
  }
}

async function withRelay(body: (relay: RunningRelay) => Promise<void>, options: Partial<RelayOptions> = {}) {
  await addAddresses();
  const relay = await startRelay({
    publicAddress: { 4: IpAddress.from(RELAY[4]), 6: IpAddress.from(RELAY[6]) },
    platform: await platform(),
    log: silentLog,
    ...options,
  });
  try {
    await body(relay);
  } finally {
    await relay.stop();
  }
}

function credentials(secret: string, salt: string): { username: string; password: string } {
  return { username: relayUsername(EXPIRY, salt), password: relayPassword(EXPIRY, secret, salt) };
}

function relayFor(secret: string, salt: string): Relay {
  return {
    id: "relay",
    v4: new SocketAddress(IpAddress.from(RELAY[4]), 3478),
    v6: new SocketAddress(IpAddress.from(RELAY[6]), 3478),
    ...credentials(secret, salt),
  };
}

function locals(host: typeof CLIENT, port = 0): SocketAddress[] {
  return [new SocketAddress(IpAddress.from(host[4]), port), new SocketAddress(IpAddress.from(host[6]), port)];
}

/** Runs coturn's client against our relay and returns what it reports. */
async function uclient(secret: string, salt: string, family: 4 | 6, flags: string[]): Promise<string> {
  const echo = new Deno.Command("turnutils_peer", {
    args: ["-L", PEER[family], "-p", String(PEER_PORT)],
    stdout: "null",
    stderr: "null",
    env: { PATH: toolPath() },
  }).spawn();
  try {
    await eventually(async () => {
      assert.match(await must(["ss", "-Hluna", `sport = :${PEER_PORT}`]), /\S/);
    });
    const { username, password } = credentials(secret, salt);
    const { stdout, stderr } = await tool([
      "turnutils_uclient",
      ...["-u", username, "-w", password, "-L", CLIENT[family], "-e", PEER[family], "-r", String(PEER_PORT)],
      ...["-c", "-n", String(MESSAGES), "-z", "10", "-l", "1200", ...flags, RELAY[family]],
    ]);
    return stdout + stderr;
  } finally {
    echo.kill("SIGKILL");
    await echo.status;
  }
}

function assertAllReceived(report: string): void {
  assert.match(report, new RegExp(`tot_send_msgs=${MESSAGES}, tot_recv_msgs=${MESSAGES}`), report);
  assert.match(report, /Total lost packets 0 /, report);
}

Deno.test("turnutils_uclient: gets every message back over an IPv4 channel", () =>
  withRelay(async ({ secret }) => {
    assertAllReceived(await uclient(secret, "four", 4, []));
  }));

Deno.test("turnutils_uclient: gets every message back over an IPv6 channel", () =>
  withRelay(async ({ secret }) => {
    assertAllReceived(await uclient(secret, "six", 6, ["-x"]));
  }));

Deno.test("turnutils_uclient: with a wrong password gets nothing", () =>
  withRelay(async (relay) => {
    const report = await uclient("another", "four", 4, []);
    assert.doesNotMatch(report, new RegExp(`tot_recv_msgs=${MESSAGES}`));
    assert.equal(relay.status().allocations, 0);
  }));

Deno.test("Allocation: gets both families and its own addresses from the relay", () =>
  withRelay(async (relay) => {
    const client = await (await TurnClient.start(relayFor(relay.secret, "a"), locals(CLIENT))).allocated();
    assert.equal(client.allocation.relayedAddress(4)?.ip.toString(), RELAY[4]);
    assert.equal(client.allocation.relayedAddress(6)?.ip.toString(), RELAY[6]);
    assert.equal(client.allocation.hostAddress(4)?.ip.toString(), CLIENT[4]);
    assert.equal(client.allocation.hostAddress(6)?.ip.toString(), CLIENT[6]);
    assert.equal(relay.status().allocations, 1);
    await client.close();
    await client.until(() => relay.status().allocations === 0, "allocation not given back");
  }));

Deno.test("Allocation: speaks to a peer through the relay, in both families", () =>
  withRelay(async (relay) => {
    const client = await (await TurnClient.start(relayFor(relay.secret, "a"), locals(CLIENT))).allocated();
    const { bindUdp } = await platform();
    for (const local of locals(PEER, 4000)) {
      const peer = bindUdp({ address: local })!;
      client.allocation.bindChannel(local, monotonicNow());
      client.send(local, Uint8Array.of(1));
      let from: SocketAddress | undefined;
      await client.until(() => {
        client.send(local, Uint8Array.of(1, 2, 3));
        peer.receive((_local, remote) => from = remote);
        return from !== undefined;
      }, "nothing reached the peer");
      assert(from!.equals(client.allocation.relayedAddress(local.family)!));
      peer.send({ local: undefined, remote: from!, payload: Uint8Array.of(7, 8, 9) });
      peer.flush();
      await client.until(() => client.arrivals.some(({ peer }) => peer.equals(local)), "nothing came back");
      assert.deepEqual(client.arrivals.at(-1)!.payload, Uint8Array.of(7, 8, 9));
      peer.close();
    }
    await client.close();
  }));

Deno.test("Allocation: two clients of one relay speak through it, each with a channel to the other", () =>
  withRelay(async (relay) => {
    const left = await (await TurnClient.start(relayFor(relay.secret, "a"), locals(CLIENT))).allocated();
    const right = await (await TurnClient.start(relayFor(relay.secret, "b"), locals(OTHER))).allocated();
    for (const family of [4, 6] as const) {
      const leftAddress = left.allocation.relayedAddress(family)!;
      const rightAddress = right.allocation.relayedAddress(family)!;
      const heard = (client: TurnClient, from: SocketAddress) =>
        client.arrivals.some(({ peer }) => peer.equals(from));
      await left.until(() => {
        left.send(rightAddress, new Uint8Array(1200).fill(1));
        right.send(leftAddress, new Uint8Array(1200).fill(2));
        return heard(left, rightAddress) && heard(right, leftAddress);
      }, "no data between allocations");
    }
    await left.close();
    await right.close();
  }));

Deno.test("Allocation: survives a relay that is stopped and started with the same secret", async () => {
  const secret = "5a".repeat(32);
  let client: TurnClient | undefined;
  await withRelay(async () => {
    client = await (await TurnClient.start(relayFor(secret, "a"), locals(CLIENT))).allocated();
  }, { secret });
  const before = client!.allocation.relayedAddress(4)!;
  await withRelay(async () => {
    client!.allocation.refresh(monotonicNow());
    await client!.until(() => {
      const now = client!.allocation.relayedAddress(4);
      return now !== undefined && !now.equals(before);
    }, "no new allocation");
  }, { secret });
  await client!.close();
});

Deno.test("startRelay: cannot share its port, and says so", () =>
  withRelay(async () => {
    await assert.rejects(withRelay(async () => {}), (error) =>
      error instanceof Fault && /3478/.test(error.message));
  }));

Deno.test("startRelay: answers health checks", () =>
  withRelay(async ({ healthPort }) => {
    const status = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${healthPort}${path}`);
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await status("/healthz"), 200);
    assert.equal(await status("/readyz"), 503);
    assert.equal(await status("/"), 404);
  }, {
    healthAddress: SocketAddress.from("127.0.0.1:0"),
    portal: { url: "ws://127.0.0.1:9", token: "x" },
  }));

/** coturn as a relay for our client. */
Deno.test("coturn: our client allocates there and gets its data back", async () => {
  await addAddresses();
  const { username, password } = { username: "fz", password: "secret" };
  const folder = await Deno.makeTempDir();
  const server = new Deno.Command("turnserver", {
    args: [
      ...["-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech", "--log-file", "stdout"],
      ...["--user", `${username}:${password}`, "--realm", "firezone", "--listening-port", "3478"],
      ...[
        "--listening-ip",
        RELAY[4],
        "--listening-ip",
        RELAY[6],
        "--relay-ip",
        RELAY[4],
        "--relay-ip",
        RELAY[6],
      ],
      ...["--pidfile", `${folder}/pid`, "--userdb", `${folder}/db`],
    ],
    cwd: folder,
    stdout: "null",
    stderr: "null",
    env: { PATH: toolPath() },
  }).spawn();
  try {
    const relay: Relay = { ...relayFor("", ""), username, password };
    const client = await TurnClient.start(relay, locals(CLIENT), { dialect: "standard" });
    await client.allocated();
    assert.equal(client.allocation.relayedAddress(4)?.ip.toString(), RELAY[4]);
    const { bindUdp } = await platform();
    const local = locals(PEER, 4000)[0]!;
    const peer = bindUdp({ address: local })!;
    let from: SocketAddress | undefined;
    await client.until(() => {
      client.send(local, Uint8Array.of(1, 2, 3));
      peer.receive((_local, remote) => from = remote);
      return from !== undefined;
    }, "nothing reached the peer");
    assert(from!.equals(client.allocation.relayedAddress(4)!));
    peer.send({ local: undefined, remote: from!, payload: Uint8Array.of(7, 8, 9) });
    peer.flush();
    await client.until(() => client.arrivals.length > 0, "nothing came back");
    assert.deepEqual(client.arrivals[0]!.payload, Uint8Array.of(7, 8, 9));
    peer.close();
    await client.close();
  } finally {
    server.kill("SIGKILL");
    await server.status;
    await Deno.remove(folder, { recursive: true });
  }
});

async function tool(command: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    env: { PATH: toolPath() },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

async function must(command: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tool(command);
  assert.equal(code, 0, `${command.join(" ")}: ${stderr}`);
  return stdout;
}
