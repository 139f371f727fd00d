import assert from "node:assert/strict";
import type { LabProcess } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { type Check, eventually, onNetwork } from "./support/on_network.ts";
import { PATIENCE_MS } from "./support/patience.ts";
import { assertRefused, ping } from "./support/probe.ts";

/** Echo requests in a row that another resource may lose when something is changed beside it. */
const FEW = 5;

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
    await check("no portal where there should be one: exit code 5, and not for ever", async () => {
      const url = `ws://${network.uplink("portal").v4}:9/`;
      await assertEnds(network, { FIREZONE_API_URL: url, FZ_FAIL_FAST: "1" }, 5, /Cannot reach the portal/);
    });
    await check("a token that expires at run time: exit code 4", async () => {
      const token = { kind: "client", name: "short", actor: "robot", token: "short-token" };
      await network.admin("POST", "/v1/tokens", token);
      const client = await network.startClient({ env: { FIREZONE_TOKEN: "short-token" } });
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
      // Only here, however long the start took.
      await network.admin("POST", "/v1/tokens", { ...token, expires_at: Math.ceil(Date.now() / 1000) + 1 });
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
            roles.map(({ events }, index) => events.waitFor("portal-connected", { from: lost[index]! - 1 })),
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
      const pings = await Pings.start(network, "web.site.test");
      const download = network.client.spawn(["curl", "-sSN", "http://web.site.test/slow/1000"]);
      await download.waitFor(/line 3\n/);
      const mark = network.role("gateway-1").process.stderr.length;
      await take();
      await revoked(network, mark);
      await assertSilent(kept, () => [pings.count, download.stdout]);
      await Promise.all([pings.stop(), download.stop()]);
      await giveBack();
      await eventually(() => network.curl("http://web.site.test/", "--max-time", "3"));
    });
  }
  await check("a policy expires: its traffic stops by itself, other traffic does not", async () => {
    const pings = await Pings.start(network, "web.site.test");
    const mark = network.role("gateway-1").process.stderr.length;
    // Another policy is asked for anew, which has to be over by then.
    const at = Math.ceil(Date.now() / 1000 + 10) * 1000;
    const policy = { group: "robots", resource: "web", expires_at: at / 1000 };
    await network.admin("POST", "/v1/policies", policy);
    await pings.more(5);
    await revoked(network, mark, at);
    await assertSilent(kept, () => [pings.count]);
    await pings.stop();
  });
  await kept.stop();
}

/** Waits until the gateway says after `mark` in its log that it took access away at `time` (Unix milliseconds) or later. */
async function revoked(network: Network, mark: number, time = 0): Promise<void> {
  const { process } = network.role("gateway-1");
  await eventually(() => {
    const lines = [...process.stderr.slice(mark).matchAll(/^(\S+).*access revoked/gm)];
    assert.ok(lines.some(([, at]) => Date.parse(at!) >= time), process.describe());
  });
}

/** Asserts that nothing is added to what `received` returns while the other resource, `kept`, goes on answering. */
async function assertSilent(kept: Pings, received: () => unknown): Promise<void> {
  // What was on its way when access ended still arrives.
  await kept.more(5);
  const before = received();
  await kept.more(10);
  assert.deepEqual(received(), before);
  assert.ok(kept.lostInARow <= FEW, `${kept.lostInARow} in a row were lost in the other resource`);
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
    network.client.run(["curl", "-sS", "--max-time", "30", `http://exact.site.test:${port}/`]);
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
    const { code, stdout } = await network.client.run(["ping", "-c2", "-W30", "172.20.0.10"]);
    assert.equal(code, 0, stdout);
    assert.ok(running.lostInARow <= FEW, "the other resource was touched");
    await running.stop();
  });
  await check("the gateway has taken on the filter, too", async () => {
    await network.role("gateway-1").process.waitFor(/filters changed/);
  });
  await check("a changed filter swaps the ports, and a running transfer with them", async () => {
    const download = network.client.spawn(["curl", "-sSN", "http://exact.site.test/slow/1000"]);
    await download.waitFor(/line 3\n/);
    await filter("tcp/8080");
    await eventually(() => assertPorts(8080, 80));
    const running = await Pings.start(network, "172.20.0.10");
    await assertSilent(running, () => download.stdout);
    await running.stop();
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
  const process = network.client.spawn(network.command(args), { env: network.programEnv(env) });
  await assertEnded(process, code, sentence);
  await assertUntouched(network);
}

async function assertEnded(process: LabProcess, code: number, sentence: RegExp): Promise<void> {
  const late = setTimeout(() => process.kill("SIGKILL"), PATIENCE_MS);
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
    const process = network.client.spawn(["ping", "-i", "0.2", target]);
    await process.waitFor(/bytes from/);
    return new Pings(process);
  }

  /** How many answers have come. */
  get count(): number {
    return this.#numbers.length;
  }

  /** The most requests in a row that were not answered, up to the last answer. */
  get lostInARow(): number {
    const numbers = this.#numbers;
    return Math.max(0, ...numbers.slice(1).map((number, index) => number - numbers[index]! - 1));
  }

  /** Waits for `count` more answers. */
  async more(count: number): Promise<void> {
    const goal = this.count + count;
    await eventually(() => assert.ok(this.count >= goal, this.#process.describe()));
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  get #numbers(): number[] {
    return [...this.#process.stdout.matchAll(/bytes from.* icmp_seq=(\d+)/g)].map(([, number]) =>
      Number(number)
    );
  }
}
