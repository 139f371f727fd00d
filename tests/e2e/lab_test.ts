import assert from "node:assert/strict";
import { inLab, type Lab } from "../../io/lab/lab.ts";
import { blockUdp, enableNat, type NatKind } from "../../io/lab/nat.ts";
import { type Host, mustRun } from "../../io/lab/host.ts";
import { eventually } from "./support/on_network.ts";

/** Answers every datagram with the address it came from. */
const ECHO = `
import { createSocket } from "node:dgram";
const socket = createSocket("udp4");
socket.on("message", (_, peer) => socket.send(peer.address + ":" + peer.port, peer.port, peer.address));
socket.bind(7000, "0.0.0.0", () => console.log("ready"));
`;

Deno.test("Lab: routes IPv4 and IPv6 between hosts across a router", () =>
  inLab(async (lab) => {
    const [client, router, server] = await Promise.all([
      lab.host("client"),
      lab.router("router"),
      lab.host("server"),
    ]);
    await lab.link([client, { v4: "10.0.1.2/24", v6: "fd00:1::2/64" }], [router, {
      v4: "10.0.1.1/24",
      v6: "fd00:1::1/64",
    }]);
    await lab.link([server, { v4: "10.0.2.2/24", v6: "fd00:2::2/64" }], [router, {
      v4: "10.0.2.1/24",
      v6: "fd00:2::1/64",
    }]);
    for (const gateway of ["10.0.1.1", "fd00:1::1"]) await client.setDefaultRoute(gateway);
    for (const gateway of ["10.0.2.1", "fd00:2::1"]) await server.setDefaultRoute(gateway);
    assert.equal((await client.run(["ping", "-c1", "-W30", "10.0.2.2"])).code, 0);
    assert.equal((await client.run(["ping", "-c1", "-W30", "fd00:2::2"])).code, 0);
  }));

Deno.test("Segment: joins several hosts on one link", () =>
  inLab(async (lab) => {
    const segment = await lab.segment();
    const hosts = await Promise.all(["a", "b", "c"].map((name) => lab.host(name)));
    for (const [index, host] of hosts.entries()) await segment.attach(host, { v4: `10.1.0.${index + 1}/24` });
    assert.equal((await hosts[0]!.run(["ping", "-c1", "-W30", "10.1.0.3"])).code, 0);
    assert.equal((await hosts[1]!.run(["ping", "-c1", "-W30", "10.1.0.1"])).code, 0);
  }));

Deno.test("Host: has files, a name and resolvers of its own", () =>
  inLab(async (lab) => {
    const outside = await Deno.readTextFile("/etc/resolv.conf").catch(() => "");
    const host = await lab.host("island");
    await host.setResolvers(["192.0.2.53"], ["corp.test"]);
    assert.equal(await host.must(["cat", "/etc/resolv.conf"]), "nameserver 192.0.2.53\nsearch corp.test\n");
    assert.equal(await host.must(["hostname"]), "island\n");
    assert.equal((await host.must(["getent", "hosts", "island"])).split(/\s+/)[0], "127.0.0.1");
    await host.must([
      "sh",
      "-c",
      "echo x > /etc/new.tmp && mv /etc/new.tmp /etc/resolv.conf && touch /run/a /var/lib/a",
    ]);
    assert.equal(await Deno.readTextFile("/etc/resolv.conf").catch(() => ""), outside);
    const other = await lab.host("other");
    assert.equal((await other.run(["ls", "/run/a", "/var/lib/a"])).code !== 0, true);
  }));

Deno.test("Host: sees nothing of what an installation on the machine keeps", async () => {
  // Of this isolation alone.
  await mustRun(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"]);
  try {
    await mustRun(["mkdir", "/var/lib/fz", "/var/lib/other"]);
    await inLab(async (lab) => {
      const host = await lab.host("box");
      assert.equal((await host.run(["test", "-e", "/var/lib/other"])).code, 0);
      assert.equal((await host.run(["test", "-e", "/var/lib/fz"])).code, 1);
      await host.writeFile("/var/lib/fz/state", "mine");
    });
    assert.equal(await mustRun(["ls", "/var/lib/fz"]), "");
  } finally {
    await mustRun(["umount", "--lazy", "/var/lib"]);
  }
});

Deno.test("Interface: loses everything while cut, and works again when restored", () =>
  inLab(async (lab) => {
    const [left, right] = await Promise.all([lab.host("left"), lab.host("right")]);
    const [wire] = await lab.link([left, { v4: "10.0.0.1/24" }], [right, { v4: "10.0.0.2/24" }]);
    const ping = async (patience: string) =>
      (await left.run(["ping", "-c1", "-W", patience, "10.0.0.2"])).code;
    assert.equal(await ping("30"), 0);
    await wire.cut();
    assert.notEqual(await ping("1"), 0);
    await wire.restore();
    assert.equal(await ping("30"), 0);
  }));

Deno.test("blockUdp: blocks UDP alone, until it is lifted", () =>
  inLab(async (lab) => {
    const { inside, servers } = await natLab(lab, undefined);
    await Promise.all(servers.map((server) => serveEcho(server)));
    assert.notEqual(await mapped(inside, "203.0.113.11", 5000), "");
    const lift = await blockUdp(servers[0]!, ["10.0.1.0/24"]);
    assert.equal(await mapped(inside, "203.0.113.11", 5000, 1000), "");
    assert.equal((await inside.run(["ping", "-c1", "-W30", "203.0.113.11"])).code, 0);
    await lift();
    assert.notEqual(await mapped(inside, "203.0.113.11", 5000), "");
  }));

Deno.test("enableNat: port-restricted keeps one mapping for all destinations", () =>
  inLab(async (lab) => {
    const { inside, servers } = await natLab(lab, "port-restricted");
    await Promise.all(servers.map((server) => serveEcho(server)));
    assert.equal(await mapped(inside, "203.0.113.11", 5000), "203.0.113.1:5000");
    assert.equal(await mapped(inside, "203.0.113.12", 5000), "203.0.113.1:5000");
  }));

Deno.test("enableNat: symmetric makes a new mapping for each destination", () =>
  inLab(async (lab) => {
    const { inside, servers } = await natLab(lab, "symmetric");
    await Promise.all(servers.map((server) => serveEcho(server)));
    const seen = [await mapped(inside, "203.0.113.11", 5000), await mapped(inside, "203.0.113.12", 5000)];
    assert.ok(seen.every((text) => text.startsWith("203.0.113.1:")), seen.join(" "));
    assert.notEqual(seen[0], seen[1]);
  }));

Deno.test("enableNat: an unasked datagram neither enters nor takes the port of a host inside", () =>
  inLab(async (lab) => {
    const { inside, servers } = await natLab(lab, "port-restricted");
    await serveEcho(servers[0]!);
    // The peer sends first, from the port we shall talk to: what a hole puncher does.
    await servers[1]!.must(["sh", "-c", "echo x | socat -u - UDP:203.0.113.1:5000,bind=:7000"]);
    await serveEcho(servers[1]!);
    assert.equal(await mapped(inside, "203.0.113.12", 5000), "203.0.113.1:5000");
  }));

Deno.test("LabProcess: waits for output, and says what there was when it never comes", () =>
  inLab(async (lab) => {
    const host = await lab.host("host");
    const process = host.spawn(["sh", "-c", "echo port 4711; sleep 60"]);
    assert.equal((await process.waitFor(/port (\d+)/))[1], "4711");
    await assert.rejects(process.waitFor(/never/, 50), /never[\s\S]*port 4711/);
    assert.notEqual((await process.stop()).code, 0);
  }));

Deno.test("Lab: takes down everything it made", async () => {
  let pid = 0;
  await inLab(async (lab) => {
    const host = await lab.host("gone");
    pid = Number((await host.must(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"])).trim());
    await (await lab.segment()).attach(host, { v4: "10.0.0.1/24" });
  });
  const links = await new Deno.Command("ip", { args: ["-brief", "link"] }).output();
  assert.doesNotMatch(new TextDecoder().decode(links.stdout), /fz[0-9a-f]{8}/);
  const spaces = await new Deno.Command("ip", { args: ["netns"] }).output();
  assert.equal(new TextDecoder().decode(spaces.stdout), "");
  // It is dead, but an entry until init has collected it.
  await eventually(() => assert.throws(() => Deno.statSync(`/proc/${pid}`), Deno.errors.NotFound));
});

/** One host behind a router, two servers before it. */
async function natLab(lab: Lab, kind: NatKind | undefined): Promise<{ inside: Host; servers: Host[] }> {
  const [inside, router] = await Promise.all([lab.host("inside"), lab.router("router")]);
  const segment = await lab.segment();
  await lab.link([inside, { v4: "10.0.1.2/24" }], [router, { v4: "10.0.1.1/24", name: "lan" }]);
  const outside = await segment.attach(router, { v4: "203.0.113.1/24", name: "wan" });
  await inside.setDefaultRoute("10.0.1.1");
  const servers = await Promise.all([11, 12].map(async (last) => {
    const server = await lab.host(`server${last}`);
    await segment.attach(server, { v4: `203.0.113.${last}/24` });
    if (kind === undefined) await server.setDefaultRoute("203.0.113.1");
    return server;
  }));
  if (kind !== undefined) await enableNat(router, outside, kind);
  return { inside, servers };
}

async function serveEcho(host: Host): Promise<void> {
  await host.spawn([Deno.execPath(), "eval", ECHO]).waitFor(/ready/);
}

/** Returns the source address that a server at `server`:7000 sees for datagrams from `port`; empty if it does not answer. */
async function mapped(from: Host, server: string, port: number, patienceMs?: number): Promise<string> {
  const socat = `exec socat - UDP:${server}:7000,bind=:${port},reuseaddr`;
  // Without an end of its input, which would be the end of its patience, too.
  const process = from.spawn(["sh", "-c", `(echo hello; exec sleep 1000) | ${socat}`]);
  try {
    return (await process.waitFor(/^[\d.]+:\d+$/m, patienceMs))[0];
  } catch {
    return "";
  } finally {
    await process.stop();
  }
}
