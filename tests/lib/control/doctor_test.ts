import assert from "node:assert/strict";
import { SocketAddress } from "../../../lib/base/ip.ts";
import {
  diagnose,
  type DnsFacts,
  type DoctorFacts,
  type Finding,
  udpOf,
  worst,
} from "../../../lib/control/doctor.ts";
import type { PrivilegeFacts } from "../../../lib/host/privilege.ts";
import type { RelayFacts } from "../../../lib/control/netcheck.ts";

const PRIVILEGES: PrivilegeFacts = {
  uid: 0,
  gid: 0,
  hasNetAdmin: true,
  isGrantable: true,
  tun: "usable",
  surroundings: "machine",
};

const DNS: DnsFacts = {
  control: "systemd-resolved",
  reason: "systemd-resolved answers for this machine",
  evidence: ["/etc/resolv.conf leads to /run/systemd/resolve/stub-resolv.conf"],
  failure: undefined,
  resolvers: 1,
  addresses: ["192.0.2.1"],
  isAsked: false,
};

const HEALTHY: DoctorFacts = {
  os: "linux",
  privileges: PRIVILEGES,
  dns: DNS,
  rpFilter: { all: 0, default: 1, lo: 1, eth0: 0, wlan0: 2 },
  bufferLimits: { receive: 8_388_608, send: 8_388_608 },
  networks: [{ device: "eth0", network: "192.168.1.0/24" }, { device: "eth0", network: "0.0.0.0/0" }],
  otherClients: [],
  session: { state: "none", pid: undefined, leftovers: [] },
  clockSkewMs: 900,
  portal: { url: "wss://portal.test/", failure: undefined },
  udp: { asked: 2, answered: 2 },
  credential: { path: "/etc/dev.firezone.client/token", failure: undefined, exists: true },
  settingsFailure: undefined,
};

function finding(facts: Partial<DoctorFacts>, check: string): Finding {
  const found = diagnose({ ...HEALTHY, ...facts }).find((each) => each.check === check);
  assert.ok(found, `no finding about ${check}`);
  return found;
}

Deno.test("diagnose: a token in a variable is one, whatever the file says", () => {
  const { path } = HEALTHY.credential;
  for (const exists of [true, false]) {
    const credential = {
      path,
      failure: exists ? "it is readable by all" : undefined,
      exists,
      variable: "FIREZONE_TOKEN",
    };
    const found = diagnose({ ...HEALTHY, credential }).find(({ check }) => check === "credential");
    assert.deepEqual([found?.status, found?.message], ["ok", "the variable FIREZONE_TOKEN has a token"]);
  }
});

Deno.test("diagnose: finds nothing on a healthy machine", () => {
  const findings = diagnose(HEALTHY);
  assert.deepEqual(findings.filter(({ status }) => status !== "ok"), []);
  assert.equal(worst(findings), undefined);
  assert.ok(findings.length >= 13);
});

Deno.test("diagnose: what was asked for is fine, and said in its own words", () => {
  const { status, message } = finding(
    { dns: { ...DNS, control: "disabled", isAsked: true, resolvers: 0 } },
    "dns",
  );
  assert.equal(status, "ok");
  assert.match(message, /left alone, as it was asked for/);
});

Deno.test("diagnose: names cause, code and fixing command of each problem", () => {
  const table: [facts: Partial<DoctorFacts>, check: string, code: string, fix: RegExp][] = [
    [{ privileges: { ...PRIVILEGES, tun: "missing" } }, "tun", "tun", /modprobe tun/],
    [{ privileges: { ...PRIVILEGES, tun: "denied", uid: 1000 } }, "tun", "privilege", /sudo/],
    [
      { privileges: { ...PRIVILEGES, hasNetAdmin: false, uid: 1000 } },
      ...["privilege", "privilege"] as const,
      /sudo fz up/,
    ],
    [
      { privileges: { ...PRIVILEGES, hasNetAdmin: false, isGrantable: false, surroundings: "container" } },
      ...["privilege", "privilege"] as const,
      /--cap-add NET_ADMIN/,
    ],
    [
      { dns: { ...DNS, failure: "no resolvectl" } },
      "dns",
      "dns",
      /dns-control disabled/,
    ],
    [
      { dns: { ...DNS, failure: "Cannot set DNS", isAsked: true } },
      ...["dns", "dns"] as const,
      /config unset dns-control/,
    ],
    [
      { dns: { ...DNS, session: { repairs: 5, problem: "x keeps changing it" } } },
      "dns",
      "dns",
      /dns-control/,
    ],
    [{ settingsFailure: "a.toml:3:1: what is this" }, "settings", "usage", /fz config path/],
    [{ credential: { ...HEALTHY.credential, exists: false } }, "credential", "rejected", /fz sign-in/],
    [
      { credential: { ...HEALTHY.credential, failure: "mode 644" } },
      "credential",
      "rejected",
      /chmod 600 \/etc/,
    ],
    [{ portal: { url: "wss://p/", failure: "refused" } }, "portal", "unreachable", /--origin/],
    [
      { portal: { url: "wss://p/", failure: "unreachable" }, hasPath: false, udp: { asked: 1, answered: 0 } },
      ...["portal", "unreachable"] as const,
      /connect this machine/,
    ],
    [{ clockSkewMs: -400_000 }, "clock", "unreachable", /set-ntp/],
    [{ udp: { asked: 2, answered: 0 } }, "udp", "unreachable", /3478/],
    [{ otherClients: [{ name: "firezone-headle", pid: 7 }] }, "clients", "tun", /kill 7/],
    [{ otherClients: [{ name: "fz", pid: 7 }] }, "clients", "tun", /fz down/],
  ];
  for (const [facts, check, code, fix] of table) {
    const found = finding(facts, check);
    assert.equal(found.status, "problem", check);
    assert.equal(found.code, code, check);
    assert.match(found.fix ?? "", fix);
    assert.equal(worst(diagnose({ ...HEALTHY, ...facts })), code);
  }
});

Deno.test("diagnose: warns of what only may do harm, and such a machine still can run a session", () => {
  const table: [facts: Partial<DoctorFacts>, check: string, message: RegExp][] = [
    [{ dns: { ...DNS, control: "etc-resolv-conf", resolvers: 0 } }, "dns", /no resolver/],
    [{ dns: { ...DNS, session: { repairs: 2, problem: undefined } } }, "dns", /set them again 2 times/],
    [
      { dns: { ...DNS, control: "disabled", reason: "nothing can be written" } },
      "dns",
      /nothing can be written/,
    ],
    [{ rpFilter: { all: 1, eth0: 0 } }, "rp-filter", /strict on eth0$/],
    [{ rpFilter: { all: 0, eth0: 1, eth1: 2 } }, "rp-filter", /strict on eth0$/],
    [{ bufferLimits: { receive: 212_992, send: 8_388_608 } }, "buffers", /208 KiB/],
    [{ clockSkewMs: 45_000 }, "clock", /45 s ahead/],
    [{ udp: { asked: 3, answered: 1 } }, "udp", /2 of 3/],
    [{ session: { state: "killed", pid: 9, leftovers: ["rule"] } }, "leftovers", /killed session/],
    [{ session: { state: "none", pid: undefined, leftovers: ["rule"] } }, "leftovers", /killed session/],
    [
      { session: { state: "running", pid: 9, leftovers: [], degraded: ["This machine has no IPv6"] } },
      "limits",
      /^this machine has no IPv6$/,
    ],
    [
      {
        networks: [{ device: "tailscale0", network: "100.101.102.103/32" }, {
          device: "wt0",
          network: "100.64.0.0/10",
        }],
      },
      "overlap",
      /tailscale0 \(Tailscale\), wt0 \(NetBird\)/,
    ],
  ];
  for (const [facts, check, message] of table) {
    const found = finding(facts, check);
    assert.equal(found.status, "warning", check);
    assert.match(found.message, message);
    assert.equal(worst(diagnose({ ...HEALTHY, ...facts })), undefined);
  }
});

Deno.test("diagnose: a strict filter is fine where the kernel can be told of our sockets", () => {
  const rpFilter = { all: 1, eth0: 1 };
  for (const release of ["6.12.5-amd64", "5.14.0-503.el9", "5.10.0-21-amd64", "5.10.158-2"]) {
    const isOld = release === "5.10.0-21-amd64";
    assert.equal(finding({ rpFilter, release }, "rp-filter").status, isOld ? "warning" : "ok", release);
  }
});

Deno.test("diagnose: a loose filter on all interfaces beats a strict one on one", () => {
  assert.equal(finding({ rpFilter: { all: 2, eth0: 1 } }, "rp-filter").status, "ok");
});

Deno.test("diagnose: default routes and neighbours of the range are no overlap", () => {
  const networks = ["0.0.0.0/0", "100.63.255.0/24", "100.128.0.0/16", "::/0", "fe80::/64", "garbage"]
    .map((network) => ({ device: "eth0", network }));
  assert.equal(finding({ networks }, "overlap").status, "ok");
});

Deno.test("diagnose: the own session is no other client", () => {
  const session = { state: "running", pid: 7, leftovers: [] } as const;
  assert.equal(finding({ session, otherClients: [{ name: "fz", pid: 7 }] }, "clients").status, "ok");
});

Deno.test("diagnose: says nothing of what could not be seen", () => {
  const findings = diagnose({
    ...HEALTHY,
    ...{ privileges: undefined, dns: undefined, clockSkewMs: undefined, portal: undefined },
    ...{ rpFilter: {}, bufferLimits: { receive: undefined, send: undefined }, udp: undefined },
  });
  assert.deepEqual(
    findings.filter(({ status }) => status !== "ok").map(({ check, status }) => [check, status]),
    [
      ["udp", "skipped"],
    ],
  );
});

Deno.test("udpOf: a family that no relay answers by counts only where none does by the other", () => {
  const relay = (address: string, rttMs?: number): RelayFacts => ({
    relay: SocketAddress.from(address),
    localPort: 1,
    rttMs,
    mapped: undefined,
    isLocal: false,
  });
  assert.equal(udpOf([]), undefined);
  assert.deepEqual(udpOf([relay("192.0.2.1:3478", 9), relay("[2001:db8::1]:3478")]), {
    asked: 1,
    answered: 1,
  });
  assert.deepEqual(udpOf([relay("192.0.2.1:3478", 9), relay("192.0.2.2:3478")]), { asked: 2, answered: 1 });
  assert.deepEqual(udpOf([relay("192.0.2.1:3478"), relay("[2001:db8::1]:3478")]), { asked: 2, answered: 0 });
});
