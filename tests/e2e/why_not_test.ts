import assert from "node:assert/strict";
import { fz } from "./support/fz.ts";
import type { Network, NetworkOptions } from "./support/network.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";

const RESOURCES: NonNullable<NetworkOptions["resources"]> = [
  { name: "web-only", type: "cidr", address: "172.20.0.10/32", site: "site", filters: ["tcp/80"] },
  { name: "names", type: "cidr", address: "172.20.0.53/32", site: "site" },
  { name: "dark", type: "dns", address: "dark.site.test", site: "site" },
  { name: "empty", type: "cidr", address: "172.22.0.0/24", site: "empty" },
];

Deno.test(
  "fz wait, fz ping and fz explain: tell why something does not answer",
  onNetwork({ underlay: "ipv4", without: ["lan", "lan6"], resources: RESOURCES, sites: ["empty"] }, async (
    network,
    check,
  ) => {
    await check("no session: 12", async () => {
      assert.equal((await fz(network, "wait", "exact")).code, 12);
      assert.equal((await fz(network, "ping", "exact")).code, 12);
    });
    await network.startClient();
    await check("unknown resource: 10, with the name that was meant", async () => {
      await assertObstacle(network, "exakt", 10, "unknown-resource", /no resource .* leads there/, /"exact"/);
      const { stdout } = await fz(network, "explain", "exakt");
      assert.match(stdout, /goes past the tunnel.*Did you mean "exact"/);
    });
    await check("disabled: 10 at once, and enabling makes it answer", async () => {
      assert.equal((await fz(network, "resource", "disable", "exact")).code, 0);
      await assertObstacle(
        network,
        "exact.site.test",
        10,
        "disabled",
        /disabled/,
        /fz resource enable exact/,
        "60s",
      );
      assert.match(
        (await fz(network, "resource", "list")).stdout,
        /^exact +exact\.site\.test +disabled +site$/m,
      );
      assert.match((await fz(network, "explain", "exact.site.test")).stdout, /"exact" is disabled here/);
      assert.equal((await fz(network, "resource", "enable", "exact")).code, 0);
      assert.equal((await fz(network, "wait", "exact.site.test")).code, 0);
    });
    await check("filtered: 10, with what is allowed", async () => {
      await assertObstacle(network, "172.20.0.10:443", 10, "filtered", /allows only tcp\/80/, /./);
      const { stdout } = await fz(network, "explain", "172.20.0.10", "--port", "443");
      assert.match(stdout, /by tcp\/443: resource "web-only" allows only tcp\/80/);
      assert.match(
        (await fz(network, "explain", "172.20.0.10", "--port", "80")).stdout,
        /"web-only" leads there/,
      );
    });
    await check("a site without a gateway: 11", async () => {
      await assertObstacle(
        network,
        "empty",
        11,
        "site-offline",
        /no gateway of site "empty" is online/,
        /gateway/,
      );
      assert.match((await fz(network, "explain", "172.22.0.1")).stdout, /no gateway of site "empty"/);
    });
    await check("a name that the site's resolver does not know: 10", async () => {
      await assertObstacle(network, "dark.site.test", 10, "name-failed", /finds no address/, /resolver/);
      assert.match((await fz(network, "explain", "dark.site.test")).stdout, /"dark" leads there/);
    });
    await check(
      "a host that drops echo requests: 9, with the advice to try a port, which answers",
      async () => {
        const drop = "add table inet t; add chain inet t i { type filter hook input priority 0; }; " +
          "add rule inet t i icmp type echo-request drop";
        await network.host("site-dns").must(["nft", drop]);
        await assertObstacle(network, "names", 9, "no-answer", /the host behind it is silent/, /"names:443"/);
        assert.equal((await fz(network, "wait", "names:53")).code, 0);
        const { code, stdout } = await fz(network, "ping", "-c", "2", "-i", "100ms", "-W", "300ms", "names");
        assert.equal(code, 9);
        assert.match(stdout, /^names: 2 probes, 0 replies, 100% lost$/m);
      },
    );
    await check("the gateway is gone: 11 at the end, and its return is noticed", async () => {
      await network.role("gateway-1").process.stop();
      await eventually(() =>
        assertObstacle(network, "star", 11, "site-offline", /no gateway of site "site"/, /./)
      );
      const waiting = fz(network, "wait", "--timeout", "90s", "star");
      await network.startGateway();
      const { code, stderr } = await waiting;
      assert.equal(code, 0, stderr);
    });
    await check("the portal is gone: what is granted still answers, all else ends with 5", async () => {
      assert.equal((await fz(network, "wait", "exact")).code, 0);
      await network.role("portal").process.stop();
      await eventually(() => assertObstacle(network, "deep", 5, "portal-unreachable", /portal/i, /./));
      const { code, stdout } = await fz(network, "ping", "-c", "1", "exact");
      assert.equal(code, 0, stdout);
    });
  }),
);

Deno.test(
  "fz wait and fz explain: tell which condition of a policy is not met",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    await network.startClient();
    await check("denied: 10, with the condition; granted as soon as it is met", async () => {
      await network.admin("DELETE", `/v1/policies/${await policyOf(network, "exact")}`);
      const end = await minuteToCome();
      const policy = { group: "robots", resource: "exact", conditions: [until(end)] };
      await network.admin("POST", "/v1/policies", policy);
      await sleep(end - Date.now());
      await assertObstacle(
        network,
        "exact",
        10,
        "denied",
        /condition .* not met \(time of day\)/,
        /administrator/,
      );
      assert.match((await fz(network, "explain", "exact.site.test")).stdout, /denied.*time of day/);
      const { stdout } = await fz(network, "resource", "show", "exact");
      assert.match(stdout, /^Denied +forbidden: current_utc_datetime, /m);
      const waiting = fz(network, "wait", "--timeout", "90s", "exact");
      await network.admin("DELETE", `/v1/policies/${await policyOf(network, "exact")}`);
      await network.admin("POST", "/v1/policies", { group: "robots", resource: "exact" });
      const { code, stderr } = await waiting;
      assert.equal(code, 0, stderr);
    });
  }),
);

Deno.test(
  "fz wait and fz ping: nobody is signed in",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const env = network.clientEnv({ FIREZONE_TOKEN: "" });
    const session = network.client.spawn(
      [
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        new URL("../../main.ts", import.meta.url).pathname,
        "run",
        "--service",
      ],
      { env: { HOME: Deno.env.get("HOME") ?? "/root", ...env } },
    );
    await check("both say so at once, with 3 and the next step", async () => {
      await eventually(async () => assert.equal((await fz(network, "wait", "exact")).code, 3));
      await assertObstacle(network, "exact", 3, "not-signed-in", /signed in/, /fz sign-in/, "60s");
      const { code, stderr } = await fz(network, "ping", "exact");
      assert.equal(code, 3);
      assert.match(stderr, /fz sign-in/);
      assert.equal((await fz(network, "explain", "exact")).code, 3);
    });
    await session.stop();
  }),
);

Deno.test(
  "fz ping: tells that the path is relayed",
  onNetwork({ underlay: "ipv4", clientNat: "symmetric", gatewayNat: "symmetric" }, async (network, check) => {
    await network.startClient();
    await check("each reply says so, and --until-direct ends with 9", async () => {
      const { code, stdout } = await fz(network, "ping", "-c", "2", "-i", "100ms", "exact");
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^reply from \S+ via gateway \S+ relayed \d/m);
      const direct = await fz(network, "ping", "--until-direct", "-c", "2", "-i", "100ms", "exact");
      assert.equal(direct.code, 9);
      assert.match(direct.stderr, /No direct path/);
      assert.match((await fz(network, "resource", "list")).stdout, /^exact .* relayed \d/m);
    });
  }),
);

Deno.test(
  "fz dns and fz internet: tell who answers, and switch full tunnel",
  onNetwork({
    underlay: "ipv4",
    resources: [
      { name: "services", type: "dns", address: "**.web.site.test", site: "site" },
      { name: "Internet", type: "internet", site: "site" },
    ],
  }, async (network, check) => {
    await network.startClient();
    await check("dns query: each source by its name", async () => {
      const source = async (...args: string[]) =>
        JSON.parse((await fz(network, "dns", "query", "--json", ...args)).stdout) as Record<string, unknown>;
      const resource = await source("exact.site.test");
      assert.deepEqual([resource.source, resource.resource, resource.rcode], [
        "resource",
        "exact",
        "NOERROR",
      ]);
      const site = await source("_http._tcp.web.site.test", "SRV");
      assert.deepEqual([site.source, site.resource], ["site", "services"]);
      const upstream = await source("www.public.test", "TXT");
      assert.match(String(upstream.source), /^198\.18\.9\.2:53$/);
      assert.equal((await source("none.public.test")).rcode, "NXDOMAIN");
    });
    await check("dns query: what is no name or type is wrong usage", async () => {
      assert.equal((await fz(network, "dns", "query", "a..b")).code, 2);
      assert.equal((await fz(network, "dns", "query", "exact.site.test", "NONSENSE")).code, 2);
    });
    await check("dns status counts the answers", async () => {
      const { stdout } = await fz(network, "dns", "status");
      assert.match(stdout, /^Server +100\.100\.111\.1, asks 198\.18\.9\.2:53$/m);
      assert.match(stdout, /^Answered here +exact\.site\.test \(exact\)$/m);
      assert.match(
        stdout,
        /^Answered +1 for resources, 1 at sites, \d by upstream servers$/m,
      );
    });
    await check(
      "internet on and off: the rest of the world goes through the tunnel, and no more",
      async () => {
        assert.match((await fz(network, "internet")).stdout, /^Off: only/);
        const off = await fz(network, "wait", "--timeout", "60s", "198.18.9.2");
        assert.equal(off.code, 10);
        assert.match(off.stderr, /fz internet on/);
        assert.match((await fz(network, "internet", "on")).stdout, /^On: all traffic/);
        assert.equal((await fz(network, "wait", "198.18.9.2")).code, 0);
        assert.match((await fz(network, "internet", "off")).stdout, /^Off: only/);
        assert.match((await fz(network, "explain", "198.18.9.2")).stdout, /goes past the tunnel/);
      },
    );
  }),
);

async function assertObstacle(
  network: Network,
  target: string,
  code: number,
  cause: string,
  says: RegExp,
  next: RegExp,
  timeout = "3s",
): Promise<void> {
  // Where it takes longer to come so far, what is in the way is another thing by then.
  await eventually(async () => {
    const outcome = await fz(network, "wait", "--json", "--timeout", timeout, target);
    const failure = outcome.lines.findLast(({ event }) => event === "failure");
    const problem = failure?.problem as { message: string; next: string } | undefined;
    const story = outcome.stdout + outcome.stderr;
    assert.deepEqual([outcome.code, failure?.cause], [code, cause], story);
    assert.match(problem!.message, says);
    assert.match(problem!.next, next);
  });
}

/**
 * Returns when the next minute begins, at least 10 and at most 35 seconds away: conditions know no seconds, and a portal
 * judges them anew within a minute, whereupon the resource would be unknown rather than denied.
 */
async function minuteToCome(): Promise<number> {
  const next = () => (Math.floor(Date.now() / 60_000) + 1) * 60_000;
  const left = next() - Date.now();
  if (left < 10_000) await sleep(left + 30_000);
  else if (left > 35_000) await sleep(left - 35_000);
  return next();
}

/** A condition that holds today until `end`. */
function until(end: number) {
  const start = new Date(end - 60_000);
  const pad = (number: number) => String(number).padStart(2, "0");
  const minutes = start.getUTCHours() * 60 + start.getUTCMinutes() + 1;
  const value = `${"UMTWRFS"[start.getUTCDay()]}/00:00-${pad(Math.floor(minutes / 60))}:${
    pad(minutes % 60)
  }/UTC`;
  return { property: "current_utc_datetime", operator: "is_in_day_of_week_time_ranges", values: [value] };
}

async function policyOf(network: Network, resource: string): Promise<string> {
  const policies = await network.admin("GET", "/v1/policies") as { id: string; resourceId: string }[];
  const resources = await network.admin("GET", "/v1/resources") as { id: string; name: string }[];
  const id = resources.find(({ name }) => name === resource)?.id;
  return policies.find(({ resourceId }) => resourceId === id)!.id;
}
