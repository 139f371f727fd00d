/** Each exit code of the table, provoked by a real situation: its number, one sentence, and what to do next. */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../cli/exit.ts";
import { inLab, type Lab } from "../../io/lab/lab.ts";
import { failuresOn, provoked } from "./support/failures.ts";
import type { Network, NetworkOptions } from "./support/network.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { tracesOn } from "./support/traces.ts";

/** A portal that is not there, on a machine without a network. */
const NO_PORTAL = { FIREZONE_API_URL: "ws://127.0.0.1:1", FIREZONE_DNS_CONTROL: "disabled" };
const TOKEN = { FIREZONE_TOKEN: "t0ken" };
const RESOLV_CONF = { ...TOKEN, FIREZONE_DNS_CONTROL: "etc-resolv-conf" };
const PROFILE = "/etc/fz/profiles/default.toml";

Deno.test("fz: says what is wrong with the command line, the machine and its files, by 1, 2, 3, 6, 7, 8 and 12", (t) =>
  inLab(async (lab) => {
    const host = await lab.host("box");
    await host.must([
      "sh",
      "-c",
      "mkdir /run/folder && mount -t tmpfs -o size=64k tmpfs /run/folder && mkdir /run/folder/token",
    ]);
    const fails = failuresOn(host, NO_PORTAL);
    const before = await tracesOn(host);
    await t.step(
      "1: a folder where the token should be",
      () =>
        fails(1, ["sign-in", "--no-verify", "--token-stdin", "--token-path", "/run/folder/token"], {
          input: "t0ken",
          says: /Cannot store the token in "\/run\/folder\/token": it is a folder/,
          json: true,
        }),
    );
    await t.step("1: a disk without room", async () => {
      await host.must(["sh", "-c", "cat /dev/zero >/run/folder/zero 2>/dev/null || true"]);
      await fails(1, ["bundle", "--duration", "0s", "-o", "/run/folder/fz.tar.gz"], {
        says: /Cannot write to "\/run\/folder\/fz\.tar\.gz": No space left/,
        next: /Make room/,
      });
    });
    await t.step("2: a flag that is none", () =>
      fails(2, ["up", "--wiat", "x"], {
        says: /Unknown option "--wiat"\. Did you mean "--wait"\?/,
        next: /fz up --help/,
        json: true,
      }));
    await t.step("2: a value that is none", () =>
      fails(2, ["wait", "x", "--timeout", "soon"], {
        says: /--timeout: "soon" is not a duration/,
        next: /fz wait --help/,
        json: true,
      }));
    await t.step("2: a torn profile, by line and column", async () => {
      await host.writeFile(PROFILE, 'api-url = "wss://portal.test"\nname = "lap');
      for (const args of [["up"], ["whoami"], ["config", "show"]]) {
        await fails(2, args, {
          env: TOKEN,
          says: /"\/etc\/fz\/profiles\/default\.toml": line 2, column 8: unfinished string/,
          next: /editor/,
          json: true,
        });
      }
      await host.must(["rm", "-r", "/etc/fz"]);
    });
    await t.step("3: nobody is signed in", async () => {
      await fails(3, ["up"], { says: /nobody is signed in/, next: /fz sign-in/, json: true });
      await fails(3, ["run"], {
        says: /there is no token in FIREZONE_TOKEN, and no file/,
        next: /fz sign-in/,
      });
      await fails(3, ["whoami"], { says: /Not signed in/, next: /fz sign-in/, json: true });
    });
    await t.step("6: without capabilities", async () => {
      for (const command of ["up", "run"]) {
        await fails(6, [command], {
          env: TOKEN,
          by: ["setpriv", "--inh-caps=-all", "--bounding-set=-all"],
          says: /the capability CAP_NET_ADMIN is missing/,
          next: /Grant it: .*(NET_ADMIN|cap_net_admin)/,
        });
      }
    });
    await t.step("7: no TUN device", async () => {
      await host.must([
        "sh",
        "-c",
        "mkdir /run/none && mount --bind /run/none /dev/net && mount -o remount,bind,ro /dev/net",
      ]);
      for (const command of ["up", "run"]) {
        await fails(7, [command], {
          env: TOKEN,
          says: /\/dev\/net\/tun is missing/,
          next: /--device \/dev\/net\/tun/,
        });
      }
      await host.must(["umount", "/dev/net"]);
      await host.must(["rmdir", "/run/none"]);
    });
    await t.step("7: another device in place of the TUN device", async () => {
      await host.must(["mount", "--bind", "/dev/null", "/dev/net/tun"]);
      for (const command of ["up", "run"]) {
        await fails(7, [command], {
          env: TOKEN,
          says: /\/dev\/net\/tun is not the TUN device/,
          next: /umount \/dev\/net\/tun|--device \/dev\/net\/tun/,
        });
      }
      await host.must(["umount", "/dev/net/tun"]);
    });
    await t.step("8: systemd-resolved is asked for and not there", () =>
      fails(8, ["up"], {
        env: { ...TOKEN, FIREZONE_DNS_CONTROL: "systemd-resolved" },
        says: /Cannot use systemd-resolved|Cannot set DNS: "resolvectl status"/,
        next: /--dns-control etc-resolv-conf/,
      }));
    await t.step("8: resolv.conf is mounted read-only", async () => {
      const remount =
        "mount --bind /etc/resolv.conf /etc/resolv.conf && mount -o remount,bind,ro /etc/resolv.conf";
      await host.must(["sh", "-c", remount]);
      for (const command of ["up", "run"]) {
        await fails(8, [command], {
          env: RESOLV_CONF,
          says: /Cannot write \/etc\/resolv\.conf: .*read-only/i,
          next: /--dns-control disabled/,
        });
      }
      await host.must(["umount", "/etc/resolv.conf"]);
    });
    // Only the real root may make it so, and not every file system can.
    const { code, stderr } = await host.run(["chattr", "+i", "/etc/resolv.conf"]);
    const isImmutable = code === 0;
    await t.step({
      name: `8: resolv.conf is immutable${isImmutable ? "" : `: ${stderr.trim().replaceAll("\n", " ")}`}`,
      ignore: !isImmutable,
      fn: async () => {
        await fails(8, ["up"], {
          env: RESOLV_CONF,
          says: /Cannot write \/etc\/resolv\.conf: .*not permitted/i,
          next: /lsattr/,
        });
        await host.must(["chattr", "-i", "/etc/resolv.conf"]);
      },
    });
    await t.step("12: no session, and none was started by what failed above", async () => {
      for (const args of [["status"], ["wait", "x"], ["resource", "list"], ["status", "--check", "live"]]) {
        await fails(12, args, {
          says: /No session runs; the last one failed: Cannot write \/etc\/resolv\.conf/,
          next: /--dns-control disabled/,
          json: true,
        });
      }
    });
    assert.equal(await tracesOn(host), before);
  }));

const RESOURCES: NonNullable<NetworkOptions["resources"]> = [
  { name: "web-only", type: "cidr", address: "172.20.0.10/32", site: "site", filters: ["tcp/80"] },
  { name: "names", type: "cidr", address: "172.20.0.53/32", site: "site" },
  { name: "empty", type: "cidr", address: "172.22.0.0/24", site: "empty" },
];
const NETWORK: NetworkOptions = {
  underlay: "ipv4",
  without: ["lan", "lan6"],
  resources: RESOURCES,
  sites: ["empty"],
};

Deno.test(
  "fz: says what is wrong with credential, network and resources, by 3, 4, 5, 6, 7, 9, 10, 11 and 12",
  onNetwork(NETWORK, async (network, check) => {
    const { client } = network;
    const { FIREZONE_TOKEN: token, ...env } = network.clientEnv({ FIREZONE_DNS_CONTROL: "etc-resolv-conf" });
    const fails = failuresOn(client, env);
    const before = await tracesOn(client);
    const must = async (...args: string[]) => {
      const { code, stderr } = await network.fz(args, { ...env, FIREZONE_TOKEN: token! });
      assert.equal(code, 0, stderr);
    };
    // What waits for a portal waits for fifteen seconds, beside all else.
    const patient = unreachable(network.lab);
    patient.catch(() => {});

    await check("3: the portal does not know the token", async () => {
      const says = /The portal does not accept the token/;
      const wrong = { env: { FIREZONE_TOKEN: "t0ken" }, says, next: /fz sign-in/ };
      await fails(3, ["sign-in", "--token-stdin"], { input: "t0ken", says, next: /fz sign-in/, json: true });
      await fails(3, ["whoami"], { ...wrong, json: true });
      await fails(3, ["run"], wrong);
      await fails(3, ["up"], wrong);
      await fails(3, ["wait", "exact"], { says, next: /fz sign-in/, json: true });
      await must("down");
    });
    await check("4: the token has expired, and expires while it is used", async () => {
      const old = await expiringToken(network, 2000);
      await fails(4, ["run"], {
        env: { FIREZONE_TOKEN: old },
        says: /the token expired/,
        next: /fz sign-in/,
      });
      const expired = { env: { FIREZONE_TOKEN: old }, says: /the token expired/, next: /fz sign-in/ };
      await fails(4, ["sign-in", "--token-stdin"], { ...expired, env: {}, input: old, json: true });
      await fails(4, ["whoami"], { ...expired, json: true });
      await fails(4, ["up"], expired);
      await must("down");
    });

    await must("up");
    const by = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"];
    const asAnother = await client.run([...by, "true"]);
    // An ordinary user's lab has no other users.
    if (asAnother.code !== 0) await check.skip(`6: the session of another user: ${asAnother.stderr.trim()}`);
    else {await check("6: the session of another user", async () => {
        await fails(6, ["status"], {
          by,
          says: /it is another user's/,
          next: /sudo.*group "fz"/,
          json: true,
        });
        await fails(6, ["down"], { by, says: /Cannot steer the session/, next: /sudo/, json: true });
      });}
    await check("7: another session runs", async () => {
      const busy = {
        env: { FIREZONE_TOKEN: token! },
        says: /another session runs \(pid \d+\)/,
        next: /fz down/,
      };
      await fails(7, ["run"], busy);
      const apart = { ...busy.env, FZ_RUNTIME_DIR: "/run/apart" };
      await fails(7, ["up"], { ...busy, env: apart, says: /"fz0"/, next: /\S/ });
    });
    await check("9: a host behind the gateway is silent", async () => {
      await must("wait", "names:53");
      const silence = "table inet t { chain i { type filter hook input priority 0; policy drop; }; }";
      await network.host("site-dns").nft(silence);
      const says = /No answer from "names" \(icmp\): .* the host behind it is silent/;
      const silent = { says, next: /try a port/, json: true };
      await Promise.all([
        fails(9, ["wait", "names", "--timeout", "3s"], silent),
        fails(9, ["up", "--wait", "names", "--timeout", "3s"], silent),
        fails(9, ["ping", "-c", "1", "-W", "1s", "names"], silent),
      ]);
    });
    await check("10: a resource that is unknown, filtered, or denied by a policy that ended", async () => {
      const unknown = { says: /no resource of yours leads there/, next: /Did you mean "exact"/, json: true };
      const unnamed = { says: /there is none of that name/, next: /Did you mean "exact"/, json: true };
      await Promise.all([
        fails(10, ["wait", "exakt", "--timeout", "2s"], unknown),
        fails(10, ["up", "--wait", "exakt", "--timeout", "2s"], unknown),
        fails(10, ["resource", "show", "exakt"], unnamed),
        fails(10, ["wait", "172.20.0.10:443", "--timeout", "2s"], {
          says: /"web-only" allows only tcp\/80/,
          next: /administrator/,
          json: true,
        }),
      ]);
      await endPolicy(network, "deep", 1000);
      // Policies are judged once a minute, too; after that the resource is not even known.
      const says = /access to "deep" is denied: the portal knows no such|no resource of yours leads there/;
      // Of two at once the second gets an answer of its own only when the portal is asked anew, after two seconds.
      await fails(10, ["wait", "deep", "--timeout", "5s"], { says, json: true });
    });
    await check("11: no gateway, and a gateway that has stopped", async () => {
      const next = /whoever runs the site/;
      await fails(11, ["wait", "empty", "--timeout", "3s"], {
        says: /no gateway of site "empty"/,
        next,
        json: true,
      });
      await network.role("gateway-1").process.stop();
      await eventually(async () => {
        await fails(11, ["ping", "-c", "1", "star"], { says: /no gateway of site "site"/, next, json: true });
      });
      await fails(11, ["up", "--wait", "star", "--timeout", "3s"], {
        says: /no gateway of site "site"/,
        next,
        json: true,
      });
    });
    await check("12: the session is killed, also while it is asked", async () => {
      const pinging = fails(12, ["ping", "-c", "500", "-i", "100ms", "-W", "60s", "star"], {
        // The stream may break before or after a question that comes too late.
        says: /the session ended|Lost the session|The session was killed/,
        next: /fz (up|status|cleanup)/,
        json: true,
      });
      const { stdout } = await network.fz(["status", "--json"], env);
      const { pid } = JSON.parse(stdout);
      await client.must(["kill", "-9", String(pid)]);
      await pinging;
      for (const args of [["status"], ["wait", "exact"]]) {
        const says = new RegExp(`The session was killed \\(pid ${pid}\\) and left things behind`);
        await fails(12, args, { says, next: /fz cleanup/, json: true });
      }
      await must("cleanup");
    });
    await check("5: the portal cannot be reached", () => patient);
    assert.equal(await tracesOn(client), before);
  }),
);

Deno.test("fz: every exit code of the table was provoked", () => {
  const codes = EXIT_CODES.map(([code]) => code).filter((code) => code !== 0);
  assert.deepEqual([...provoked].sort((a, b) => a - b), codes);
});

/** Tries to connect where there is no portal, in all ways that give up by themselves, at the same time. */
async function unreachable(lab: Lab): Promise<void> {
  const cases: [name: string, args: string[], input?: string][] = [
    ["no-portal-run", ["run", "--fail-fast"]],
    ["no-portal-up", ["up", "--fail-fast"]],
    ["no-portal-sign-in", ["sign-in", "--token-stdin"], "t0ken"],
  ];
  await Promise.all(cases.map(async ([name, args, input]) => {
    const host = await lab.host(name);
    const before = await tracesOn(host);
    const env = { ...NO_PORTAL, ...(input === undefined ? TOKEN : {}) };
    await failuresOn(host, env)(5, args, {
      ...(input === undefined ? {} : { input }),
      says: /Cannot reach the portal: connection refused/,
      next: /Check the network and the portal's URL/,
    });
    assert.equal(await tracesOn(host), before);
    await failuresOn(host, env)(12, ["status"], { says: /No session runs/ });
  }));
}

/** Returns a client's token that ends in about `lifetimeMs`. */
async function expiringToken(network: Network, lifetimeMs: number): Promise<string> {
  const token = "t0ken-that-expires";
  const expires_at = Math.ceil((Date.now() + lifetimeMs) / 1000);
  await network.admin("POST", "/v1/tokens", {
    kind: "client",
    name: "old",
    actor: "robot",
    token,
    expires_at,
  });
  return token;
}

/** Puts a policy in place of those of `resource` that ends in about `lifetimeMs`, and waits for its end. */
async function endPolicy(network: Network, resource: string, lifetimeMs: number): Promise<void> {
  const policies = await network.admin("GET", "/v1/policies") as { id: string; description: string }[];
  const old = policies.find(({ description }) => description === resource)!;
  const expires_at = Math.ceil((Date.now() + lifetimeMs) / 1000);
  await network.admin("DELETE", `/v1/policies/${old.id}`);
  await network.admin("POST", "/v1/policies", { group: "robots", resource, expires_at });
  await sleep(expires_at * 1000 - Date.now());
}
