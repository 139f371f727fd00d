import assert from "node:assert/strict";
import type { LabProcess } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { type Check, eventually, onNetwork, sleep } from "./support/on_network.ts";
import { assertRefused, ping } from "./support/probe.ts";

/**
 * How long a change at the portal may take to be felt. It is pushed at once and a network of one machine adds next to
 * nothing; what this leaves room for is a test machine that is busy with other things.
 */
const PUSH_LIMIT_MS = 2500;

/** The client's first attempts may take 15 s in all; the rest is for starting a program on a busy machine. */
const START_BUDGET_MS = 15_000 + 10_000;

Deno.test(
  "fz run: ends with a clear cause when the portal does not want it",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    await check("an unknown token: exit code 3", async () => {
      await assertEnds(network, { FIREZONE_TOKEN: "nonsense" }, 3, /token/);
    });
    await check("an expired token: exit code 4", async () => {
      const token = { kind: "client", name: "old", actor: "robot", token: "old-token", expires_at: 1 };
      await network.admin("POST", "/v1/tokens", token);
      await assertEnds(network, { FIREZONE_TOKEN: "old-token" }, 4, /token expired/);
    });
    await check("no portal where there should be one: exit code 5, within its budget", async () => {
      const url = `ws://${network.uplink("portal").v4}:9/`;
      const start = performance.now();
      await assertEnds(network, { FIREZONE_API_URL: url, FZ_FAIL_FAST: "1" }, 5, /Cannot reach the portal/);
      const took = performance.now() - start;
      assert.ok(took < START_BUDGET_MS, `it took ${took} ms`);
    });
    await check("a token that expires at run time: exit code 4", async () => {
      const token = { kind: "client", name: "short", actor: "robot", token: "short-token", expires_in: 8 };
      await network.admin("POST", "/v1/tokens", token);
      const client = await network.startClient({ env: { FIREZONE_TOKEN: "short-token" } });
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
      await assertEnded(client.process, 4, /token expired/);
      await assertUntouched(network);
    });
    await check("a token that is revoked at run time: exit code 3", async () => {
      const client = await network.startClient();
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
      await network.admin("DELETE", "/v1/tokens/client");
      await assertEnded(client.process, 3, /revoked/);
      await assertUntouched(network);
    });
  }),
);

Deno.test(
  "fz run: outlives the portal",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const client = await network.startClient();
    await network.curl("http://web.site.test/");
    const fresh = ["http://exact.site.test/", "http://a.wild.site.test/"];
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await check(
        `a transfer goes on while the portal restarts (${signal}), new access works after`,
        async () => {
          const roles = [client, network.role("gateway-1"), network.role("relay-1")];
          const marks = roles.map(({ events }) => events.mark());
          const transfer = network.client.spawn(["curl", "-sSN", "http://web.site.test/slow/100"]);
          await transfer.waitFor(/line 5\n/);
          const portal = network.role("portal").process;
          portal.kill(signal);
          await portal.outcome;
          await Promise.all(
            roles.map(({ events }, index) => events.waitFor("portal-lost", { from: marks[index]! })),
          );
          assert.match(await network.curl("http://web.site.test/"), /hello/);
          const lost = roles.map(({ events }) => events.mark());
          await network.startPortal();
          await Promise.all(
            roles.map(({ events }, index) =>
              events.waitFor("portal-connected", { from: lost[index]! - 1, timeoutMs: 20_000 })
            ),
          );
          assert.match(await network.curl(fresh.shift()!, "--retry", "3", "--retry-connrefused"), /hello/);
          const { code, stdout } = await transfer.outcome;
          assert.equal(code, 0);
          assert.equal(stdout.split("\n").length, 101);
          const losses = client.events.all().filter(({ event }) => event === "disconnected");
          assert.deepEqual(losses, [], "the tunnel did not go on");
        },
      );
    }
  }),
);

Deno.test(
  "fz run: follows what the portal changes",
  onNetwork({ underlay: "ipv4", without: ["lan6"] }, async (network, check) => {
    await network.startClient();
    await checkRevokedPolicy(network, check);
    await checkFilters(network, check);
    await checkNewResources(network, check);
  }),
);

async function checkRevokedPolicy(network: Network, check: Check): Promise<void> {
  const revoked = () => Pings.start(network, "web.site.test");
  const kept = await Pings.start(network, "172.20.0.10");
  const policy = await policyId(network, "web");
  for (
    const [how, take, giveBack] of [
      [
        "disabled",
        () => network.admin("PATCH", `/v1/policies/${policy}`, { disabled: true }),
        () => network.admin("PATCH", `/v1/policies/${policy}`, { disabled: false }),
      ],
      [
        "deleted",
        () => network.admin("DELETE", `/v1/policies/${policy}`),
        () => network.admin("POST", "/v1/policies", { group: "robots", resource: "web" }),
      ],
    ] as const
  ) {
    await check(`a policy is ${how}: its traffic stops, other traffic does not`, async () => {
      const pings = await revoked();
      const download = network.client.spawn(["curl", "-sSN", "http://web.site.test/slow/1000"]);
      await download.waitFor(/line 3\n/);
      const mark = network.role("gateway-1").process.stderr.length;
      const at = Date.now();
      await take();
      await sleep(PUSH_LIMIT_MS + 1500);
      assert.ok(pings.last() < at + PUSH_LIMIT_MS, `pings went on for ${pings.last() - at} ms`);
      const lines = download.stdout;
      await sleep(500);
      assert.equal(download.stdout, lines);
      assert.match(network.role("gateway-1").process.stderr.slice(mark), /access revoked/);
      assert.ok(kept.last() > Date.now() - 1500, "the other resource was cut off, too");
      assert.ok(kept.longestGap(at) < 1500, `a gap of ${kept.longestGap(at)} ms in the other resource`);
      await Promise.all([pings.stop(), download.stop()]);
      await giveBack();
      await eventually(() => network.curl("http://web.site.test/", "--max-time", "3"));
    });
  }
  await check("a policy expires: its traffic stops by itself, other traffic does not", async () => {
    const pings = await revoked();
    const at = Math.ceil(Date.now() / 1000 + 2) * 1000;
    const policy = { group: "robots", resource: "web", expires_at: at / 1000 };
    await network.admin("POST", "/v1/policies", policy);
    await sleep(at - Date.now() + PUSH_LIMIT_MS + 1500);
    assert.ok(pings.last() > at - 1000, `pings ended ${at - pings.last()} ms too early`);
    assert.ok(pings.last() < at + PUSH_LIMIT_MS, `pings went on for ${pings.last() - at} ms`);
    assert.ok(kept.longestGap(at) < 1500, `a gap of ${kept.longestGap(at)} ms in the other resource`);
    await pings.stop();
  });
  await kept.stop();
}

async function checkFilters(network: Network, check: Check): Promise<void> {
  const filter = (...filters: string[]) =>
    network.admin("POST", "/v1/resources", {
      name: "exact",
      type: "dns",
      address: "exact.site.test",
      site: "site",
      filters,
    });
  const http = (port: number) =>
    network.client.run(["curl", "-sS", "--max-time", "5", `http://exact.site.test:${port}/`]);
  const assertPorts = async (open: number, closed: number) => {
    assert.match((await http(open)).stdout, /hello/);
    await assertRefused(network, `http://exact.site.test:${closed}/`);
  };
  await check("without filters every port is open", async () => {
    for (const port of [80, 8080]) assert.match((await http(port)).stdout, /hello/);
    assert.equal((await ping(network, "exact.site.test")).code, 0);
  });
  await check("a filter that forbids a port has that port alone refused, while it runs", async () => {
    const running = await Pings.start(network, "172.20.0.10");
    await filter("tcp/80-100", "icmp");
    await eventually(() => assertPorts(80, 8080));
    assert.equal((await ping(network, "exact.site.test")).code, 0);
    const { code, stdout } = await network.client.run(["ping", "-c2", "-W5", "172.20.0.10"]);
    assert.equal(code, 0, stdout);
    assert.ok(running.longestGap(running.first()) < 1500, "the other resource was touched");
    await running.stop();
  });
  await check("the gateway has taken on the filter, too", () => {
    assert.match(network.role("gateway-1").process.stderr, /filters changed/);
    return Promise.resolve();
  });
  await check("a changed filter swaps the ports, and a running transfer with them", async () => {
    const download = network.client.spawn(["curl", "-sSN", "http://exact.site.test/slow/1000"]);
    await download.waitFor(/line 3\n/);
    await filter("tcp/8080");
    await eventually(() => assertPorts(8080, 80));
    const lines = download.stdout;
    await sleep(500);
    assert.equal(download.stdout, lines);
    assert.notEqual((await network.client.run(["ping", "-c1", "-W1", "exact.site.test"])).code, 0);
    await download.stop();
  });
}

async function checkNewResources(network: Network, check: Check): Promise<void> {
  await check("a DNS resource added at run time is reached", async () => {
    assert.equal((await network.client.run(["curl", "-sS", "http://late.site.test/"])).code, 6);
    await add(network, { name: "late", type: "dns", address: "late.site.test" });
    await eventually(async () => assert.match(await network.curl("http://late.site.test/"), /hello/));
  });
  await check("a network added at run time is reached", async () => {
    await network.host("site-web").must(["ip", "address", "add", "172.21.0.10/32", "dev", "lo"]);
    await network.host("gateway-1").addRoute("172.21.0.0/24", "172.20.0.10");
    await add(network, { name: "second", type: "cidr", address: "172.21.0.0/24" });
    await eventually(async () =>
      assert.match(await network.curl("http://172.21.0.10/", "--connect-timeout", "2"), /hello/)
    );
  });
  await check("a resource that is deleted is no longer reached", async () => {
    await network.admin("DELETE", "/v1/resources/second");
    await eventually(async () => {
      const { code } = await network.client.run(["curl", "-sS", "--max-time", "1", "http://172.21.0.10/"]);
      assert.notEqual(code, 0);
    });
    // The gateway is told first; the client may still be on its way to take the route away.
    await eventually(async () => {
      const routes = await network.client.must(["ip", "route", "show", "table", "all"]);
      assert.doesNotMatch(routes, /172\.21\.0\.0/);
    });
    assert.match(await network.curl("http://late.site.test/"), /hello/);
  });
}

async function add(
  network: Network,
  resource: { name: string; type: string; address: string },
): Promise<void> {
  await network.admin("POST", "/v1/resources", { ...resource, site: "site" });
  await network.admin("POST", "/v1/policies", { group: "robots", resource: resource.name });
}

async function policyId(network: Network, description: string): Promise<string> {
  const policies = await network.admin("GET", "/v1/policies") as { id: string; description?: string }[];
  const policy = policies.find((each) => each.description === description);
  assert.ok(policy, `no policy "${description}"`);
  return policy.id;
}

/** Asserts that `fz run` with `env` ends by itself with `code` and one sentence that matches, and changes nothing. */
async function assertEnds(
  network: Network,
  env: Record<string, string>,
  code: number,
  sentence: RegExp,
): Promise<void> {
  const args = ["run", "--dns-control", "etc-resolv-conf"];
  const outcome = await network.fz(args, network.clientEnv(env));
  assert.equal(outcome.code, code, outcome.stderr);
  assertSentence(outcome.stderr, sentence);
  await assertUntouched(network);
}

async function assertEnded(process: LabProcess, code: number, sentence: RegExp): Promise<void> {
  const late = setTimeout(() => process.kill("SIGKILL"), 30_000);
  const outcome = await process.outcome;
  clearTimeout(late);
  assert.equal(outcome.code, code, outcome.stderr);
  assertSentence(outcome.stderr, sentence);
}

function assertSentence(stderr: string, sentence: RegExp): void {
  const said = stderr.split("\n").filter((line) => line.startsWith("fz: "));
  assert.equal(said.length, 1, stderr);
  assert.match(said[0]!, sentence);
  assert.doesNotMatch(stderr, /^ +at /m);
}

/** Asserts that no client left anything behind on the client's host. */
async function assertUntouched(network: Network): Promise<void> {
  const { client } = network;
  assert.doesNotMatch(await client.must(["ip", "link"]), /tun/);
  assert.equal(await client.readFile("/etc/resolv.conf"), `nameserver ${network.uplink("public").v4}\n`);
  assert.doesNotMatch(await client.must(["ip", "rule"]), /fd002021|fwmark/);
}

/** A ping that runs until it is stopped, five a second. */
class Pings {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  /** Starts and waits for the first answer. */
  static async start(network: Network, target: string): Promise<Pings> {
    const process = network.client.spawn(["ping", "-D", "-i", "0.2", target]);
    await process.waitFor(/bytes from/);
    return new Pings(process);
  }

  /** When the first answer came, in Unix milliseconds. */
  first(): number {
    return this.#times()[0]!;
  }

  /** When the last answer came. */
  last(): number {
    return this.#times().at(-1)!;
  }

  /** Returns the longest time without an answer since `from`, in milliseconds. */
  longestGap(from: number): number {
    const times = [from, ...this.#times().filter((time) => time > from)];
    return Math.max(0, ...times.slice(1).map((time, index) => time - times[index]!));
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  #times(): number[] {
    return [...this.#process.stdout.matchAll(/^\[([\d.]+)\] \d+ bytes from/gm)].map(([, time]) =>
      Number(time) * 1000
    );
  }
}
