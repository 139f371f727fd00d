import assert from "node:assert/strict";
import { fz, spawnFz } from "./support/fz.ts";
import type { NetworkOptions } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const MORE: NonNullable<NetworkOptions["resources"]> = [
  { name: "web-only", type: "cidr", address: "172.20.0.10/32", site: "site", filters: ["tcp/80"] },
  { name: "mute", type: "cidr", address: "172.21.0.0/24", site: "site" },
  { name: "dark", type: "dns", address: "dark.site.test", site: "site" },
  { name: "late", type: "dns", address: "late.site.test", site: "site" },
  { name: "udp-only", type: "dns", address: "only4.site.test", site: "site", filters: ["udp/7"] },
];

Deno.test(
  "fz wait and fz ping: get answers through a real gateway",
  onNetwork({ underlay: "ipv4", resources: MORE }, async (network, check) => {
    await network.startClient();
    await check("a name is waited for by an echo through its gateway", async () => {
      const { code, lines, stderr } = await fz(network, "wait", "--json", "exact.site.test");
      assert.equal(code, 0, stderr);
      const stages = lines.filter(({ event }) => event === "stage").map(({ stage }) => stage);
      assert.deepEqual(stages, ["signed-in", "known", "authorised", "connected", "named", "reachable"]);
      const reply = lines.find(({ event }) => event === "reply");
      assert.equal(reply?.method, "icmp");
      assert.ok((reply?.path as { kind: string }).kind);
      // The first one may be relayed.
      await eventually(async () => {
        const { lines } = await fz(network, "wait", "--json", "exact.site.test");
        const reply = lines.find(({ event }) => event === "reply");
        assert.equal((reply?.path as { kind: string }).kind, "direct");
      });
    });
    await check("a resource of one name, a network, a host in it, and a port answer together", async () => {
      const { code, lines, stderr } = await fz(
        network,
        ...["wait", "--json", "exact", "lan", "172.20.0.53", "172.20.0.10:80", "star"],
      );
      assert.equal(code, 0, stderr);
      const methods = lines.flatMap(({ event, target, method }) =>
        event === "reply" ? [`${target} ${method}`] : []
      );
      assert.deepEqual(methods.sort(), [
        "172.20.0.10:80 tcp",
        "172.20.0.53 icmp",
        "exact icmp",
        "lan gateway",
        "star gateway",
      ]);
    });
    await check("only TCP is allowed: a handshake counts", async () => {
      const { code, lines } = await fz(network, "wait", "--json", "web-only");
      assert.equal(code, 0);
      assert.equal(lines.find(({ event }) => event === "reply")?.method, "tcp");
    });
    await check("a port that is named and refuses is waited for until something listens there", async () => {
      const late = await fz(network, "wait", "--json", "--timeout", "4s", "172.20.0.10:81");
      assert.equal(late.code, 9, late.stderr);
      assert.match(late.stderr, /"172\.20\.0\.10:81" refuses connections/);
      const waiting = fz(network, "wait", "--json", "172.20.0.10:81");
      const listener = network.host("site-web").spawn(["socat", "TCP6-LISTEN:81,fork", "EXEC:cat"]);
      const { code, lines, stderr } = await waiting;
      assert.equal(code, 0, stderr);
      assert.equal(lines.find(({ event }) => event === "reply")?.method, "tcp");
      await listener.stop();
    });
    await check("a ping takes a refusal for an answer", async () => {
      const { code } = await fz(network, "ping", "-c", "1", "172.20.0.53:81");
      assert.equal(code, 0);
    });
    await check("only UDP is allowed: the gateway's answer is what is measured", async () => {
      const { code, lines } = await fz(network, "wait", "--json", "only4.site.test");
      assert.equal(code, 0);
      assert.equal(lines.find(({ event }) => event === "reply")?.method, "gateway");
    });
    await check("ping prints a line for each reply, and statistics", async () => {
      const { code, stdout } = await fz(network, "ping", "-c", "3", "-i", "200ms", "exact.site.test");
      assert.equal(code, 0, stdout);
      assert.equal(stdout.match(/^reply from \S+ via gateway \S+ direct \d+\.\d ms$/gm)?.length, 3, stdout);
      assert.match(stdout, /^exact\.site\.test: 3 probes, 3 replies, 0% lost\nround trip: /m);
    });
    await check("ping measures the gateway where a resource is many machines", async () => {
      const { code, stdout } = await fz(network, "ping", "-c", "1", "*.wild.site.test");
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^reply from gateway /m);
    });
    await check("Ctrl+C ends a wait with 130", async () => {
      const process = spawnFz(network, "wait", "nothing-of-that-name");
      await process.waitFor(/no resource of yours/);
      process.kill("SIGINT");
      assert.equal((await process.outcome).code, 130);
    });
    await check("ping goes on while the gateway is away, says so, and gets answers again", async () => {
      const process = spawnFz(network, "ping", "-i", "100ms", "-W", "1s", "exact.site.test");
      await process.waitFor(/^reply/m);
      await network.role("gateway-1").process.stop();
      await process.waitFor(/no gateway of site "site" is online/);
      await network.startGateway();
      await process.waitFor(/is online\n[^]*\nreply/);
      process.kill("SIGINT");
      const { code, stdout } = await process.outcome;
      assert.equal(code, 0);
      assert.match(stdout, /[1-9]\d?% lost/);
    });
    await check("what was disabled stays so over a restart of the session", async () => {
      assert.equal((await fz(network, "resource", "disable", "lan")).code, 0);
      await network.role("client").process.stop();
      await network.startClient();
      assert.equal((await fz(network, "wait", "172.20.0.53")).code, 10);
      assert.equal((await fz(network, "resource", "enable", "lan")).code, 0);
      assert.equal((await fz(network, "wait", "172.20.0.53")).code, 0);
    });
    await check("ping tells its replies when Ctrl+C ends it", async () => {
      const process = spawnFz(network, "ping", "-i", "100ms", "exact.site.test");
      await process.waitFor(/^reply[^]*reply/m);
      process.kill("SIGINT");
      const { code, stdout } = await process.outcome;
      assert.equal(code, 0, stdout);
      assert.match(stdout, /\d+ replies, 0% lost/);
    });
  }),
);
