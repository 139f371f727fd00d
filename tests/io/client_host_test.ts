import assert from "node:assert/strict";
import type { HostNetwork, Platform, SystemDns, Tun } from "../../ffi/platform.ts";
import { ClientHost } from "../../io/client_host.ts";
import type { HeldJournal } from "../../io/journal.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { type Log, silentLog } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";

const FILE: Change = { id: "file:/x", type: "file", path: "/x", original: undefined, isInPlace: true };

Deno.test("ClientHost.undo: gives DNS back first, then rules and routes, and lets go of the journal", async () => {
  const { story, host } = await open({ dnsUndo: () => Promise.resolve(true) });
  await apply(host);
  story.length = 0;
  await host.undo();
  assert.deepEqual(story, ["dns.undo", "network.undo", "journal.close"]);
  await host.undo();
  assert.deepEqual(story.length, 3);
});

Deno.test("ClientHost.undo: between DNS and routes the last questions are answered, where there were any", async () => {
  for (const isApplied of [true, false]) {
    const { story, host } = await open({});
    if (isApplied) await apply(host);
    story.length = 0;
    await host.undo(() => Promise.resolve(void story.push("last answers")));
    const between = isApplied ? ["last answers"] : [];
    assert.deepEqual(story, ["dns.undo", ...between, "network.undo", "journal.close"]);
  }
});

Deno.test("ClientHost.apply: DNS leads to us when routes and rules do", async () => {
  const { story, host } = await open({});
  story.length = 0;
  await apply(host);
  assert.deepEqual(story, ["network.configure", "network.setRoutes", "dns.set"]);
});

Deno.test("ClientHost.apply: another domain for names of one label sets DNS anew where that is heeded, and only there", async () => {
  for (const usesOneLabelDomain of [true, false]) {
    const { story, host } = await open({ usesOneLabelDomain });
    for (const domain of [undefined, "one.test", "one.test", undefined]) await apply(host, domain);
    const changes = usesOneLabelDomain ? 2 : 0;
    assert.equal(story.filter((word) => word === "dns.set").length, 1 + changes);
  }
});

Deno.test("ClientHost.maintain: sets the DNS that could not be set when it was wanted", async () => {
  const asked: unknown[] = [];
  let isAway = false;
  const { host } = await open({
    usesOneLabelDomain: true,
    isOverwritten: true,
    dnsSet: (_sentinels, _searchDomain, oneLabelDomain) => {
      asked.push(oneLabelDomain);
      return isAway ? Promise.reject(new Fault("dns", "It is away")) : Promise.resolve();
    },
  });
  await apply(host);
  isAway = true;
  await assert.rejects(apply(host, "one.test"), /It is away/);
  isAway = false;
  await host.maintain();
  await apply(host);
  assert.deepEqual(asked, [undefined, "one.test", "one.test", undefined]);
});

Deno.test("ClientHost.maintain: leaves DNS alone that could never be set", async () => {
  const { story, host } = await open({
    isOverwritten: true,
    dnsSet: () => Promise.reject(new Fault("dns", "It is away")),
  });
  await assert.rejects(apply(host), /It is away/);
  story.length = 0;
  await host.maintain();
  assert.deepEqual(story, []);
});

Deno.test("ClientHost.undo: a service that does not answer holds nothing up; what is left stays noted, and is said", async () => {
  const { story, host, errors, journal } = await open({ dnsUndo: () => new Promise(() => {}) });
  await apply(host);
  story.length = 0;
  await host.undo();
  assert.deepEqual(story, ["dns.undo", "network.undo", "journal.close"]);
  assert.deepEqual(journal.entries().map(({ change }) => change), [FILE]);
  assert.match(errors.join(), /fz cleanup/);
  assert.match(host.leftBehind?.message ?? "", /it takes too long/);
});

Deno.test("ClientHost.maintain: DNS is repaired also where rules for the rest cannot be had", async () => {
  const { story, host, warnings } = await open({ isOverwritten: true, servers: () => Promise.reject("no") });
  await apply(host);
  story.length = 0;
  await host.maintain();
  assert.deepEqual(story, ["dns.set"]);
  assert.deepEqual(warnings.filter((message) => /passes the tunnel by/.test(message)).length, 1);
  await host.undo();
});

Deno.test("ClientHost.undo: a failure of one step does not keep the next from being done", async () => {
  const failure = new Fault("dns", "Cannot restore it", { next: "Make it writable." });
  const { story, host, errors } = await open({ dnsUndo: () => Promise.reject(failure) });
  await host.undo();
  assert.deepEqual(story.slice(-3), ["dns.undo", "network.undo", "journal.close"]);
  assert.match(errors.join(), /fz cleanup/);
  assert.equal(host.leftBehind?.code, "dns");
  assert.match(host.leftBehind.message, /has ended, but .*: Cannot restore it$/);
  assert.equal(host.leftBehind.next, "Make it writable. Then run `fz cleanup`.");
});

Deno.test("ClientHost.undo: does not wait for a change that hangs", async () => {
  const { story, host } = await open({ dnsSet: () => new Promise(() => {}) });
  void apply(host);
  await host.undo();
  assert.deepEqual(story.slice(-3), ["dns.undo", "network.undo", "journal.close"]);
});

Deno.test("ClientHost.open: refuses to change files that cannot be noted, with nothing changed", async () => {
  const refusal = new Fault("privilege", "Cannot note");
  const { story, opened } = openWith({ check: () => refusal });
  await assert.rejects(opened, refusal);
  assert.deepEqual(story.slice(-2), ["tun.close", "journal.close"]);
  assert.ok(!story.includes("dns.set") && !story.includes("network.configure"));
});

interface Behaviour {
  readonly dnsUndo?: () => Promise<boolean>;
  readonly dnsSet?: SystemDns["set"];
  readonly usesOneLabelDomain?: boolean;
  readonly check?: () => Fault;
  readonly servers?: () => Promise<void>;
  /** Whether somebody overwrites DNS all the time. */
  readonly isOverwritten?: boolean;
}

async function open(behaviour: Behaviour) {
  const { opened, ...rest } = openWith(behaviour);
  return { ...rest, host: await opened };
}

/** A machine that writes down what it is asked for. */
function openWith(
  {
    dnsUndo = () => Promise.resolve(true),
    dnsSet = () => Promise.resolve(),
    usesOneLabelDomain = false,
    check,
    servers,
    isOverwritten,
  }: Behaviour,
) {
  const story: string[] = [];
  const errors: string[] = [];
  const warnings: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (message) => void warnings.push(message),
    error: (message) => void errors.push(message),
  };
  const noted = new Map<string, Change>();
  const journal: HeldJournal = {
    path: "/state/journal.json",
    setAside: [],
    entries: () => [...noted.values()].map((change) => ({ boot: "", namespace: "", change })),
    check: () => {
      if (check !== undefined) throw check();
    },
    note: (change) => void noted.set(change.id, change),
    forget: (id) => void noted.delete(id),
    close: () => void story.push("journal.close"),
  };
  const tell = <T>(word: string, result: T) => () => {
    story.push(word);
    return Promise.resolve(result);
  };
  let isLeftover = true;
  const dns = {
    control: "etc-resolv-conf",
    usesOneLabelDomain,
    check: () => Promise.resolve(),
    upstreams: () => Promise.resolve([]),
    set: (...wanted: Parameters<SystemDns["set"]>) => {
      story.push("dns.set");
      journal.note(FILE);
      return dnsSet(...wanted);
    },
    flush: () => Promise.resolve(),
    isInForce: () => Promise.resolve(isOverwritten !== true),
    undo: () => {
      if (isLeftover) return Promise.resolve(isLeftover = false);
      story.push("dns.undo");
      return dnsUndo();
    },
    watch: () => undefined,
  } as unknown as SystemDns;
  const network = {
    configure: tell("network.configure", undefined),
    setRoutes: tell("network.setRoutes", undefined),
    setBypass: tell("network.setBypass", undefined),
    setLocalPorts: tell("network.setLocalPorts", undefined),
    handleNetworkChanged: () => Promise.resolve(),
    followServers: servers,
    otherDevice: () => Promise.resolve(undefined),
    present: () => Promise.resolve([]),
    undo: tell("network.undo", []),
  } as unknown as HostNetwork;
  const tun = { name: "fz0", close: () => void story.push("tun.close") } as unknown as Tun;
  const platform = {
    checkTun() {},
    openTun: () => tun,
    createHostNetwork: () => network,
    createSystemDns: () => dns,
    undoChange: () => Promise.resolve(false),
  } as unknown as Platform;
  const options = {
    platform,
    tunName: "fz0",
    mtu: 1280,
    dns: { control: "etc-resolv-conf" as const, reason: "", evidence: [] },
    mark: 1,
    log,
    journal,
  };
  const opened = ClientHost.open(options);
  opened.catch(() => {});
  return { story, errors, warnings, journal, opened };
}

async function apply(host: ClientHost, oneLabelDomain?: string): Promise<void> {
  const dns = { sentinels: [IpAddress.from("100.100.111.1")], searchDomain: undefined, oneLabelDomain };
  const addresses = { ipv4: IpAddress.from("100.64.0.1"), ipv6: IpAddress.from("fd00:2021:1111::1") };
  await host.apply({ ...addresses, routes: [], dns } as unknown as Parameters<ClientHost["apply"]>[0]);
}
