/** DNS of a Mac: the texts of scutil(8), and a model of what it does with them. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../lib/base/ip.ts";
import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Change, Journal } from "../../lib/host/journal.ts";
import { chooseDns, observeDns, removeKey, type RunTool, ScutilDns } from "../../ffi/darwin/dns.ts";
import {
  DNS_KEY,
  isOwnKey,
  parseArray,
  parseResolvers,
  removeCommands,
  setCommands,
  upstreamServers,
} from "../../ffi/darwin/scutil.ts";
import { undoChange } from "../../ffi/darwin/undo.ts";
import type { DnsControl } from "../../ffi/platform.ts";
import { ModelKernel } from "./darwin_kernel.ts";

const SENTINELS = [IpAddress.from("100.100.111.1"), IpAddress.from("fd00:2021:1111:8000:100:100:111:0")];
const isSentinel = (address: IpAddress) => SENTINELS.some((sentinel) => sentinel.equals(address));

/**
 * As a Mac with a VPN printed it (tailscale/tailscale issue 101), shortened where it repeats itself. Here and below names
 * and addresses are others.
 */
const CATALINA = `DNS configuration

resolver #1
  search domain[0] : example.com
  nameserver[0] : 172.22.22.1
  nameserver[1] : 2001:db8:7acc:0:deef:9ff:fea8:39e
  if_index : 5 (en0)
  flags    : Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)

resolver #2
  domain   : example.com
  nameserver[0] : 172.31.66.13
  nameserver[1] : 172.31.66.14
  if_index : 18 (utun4)
  flags    : Supplemental, Request A records, Request AAAA records
  reach    : 0x00000002 (Reachable)
  order    : 102200

resolver #3
  domain   : local
  options  : mdns
  timeout  : 5
  flags    : Request A records, Request AAAA records
  reach    : 0x00000000 (Not Reachable)
  order    : 300000

resolver #4
  domain   : 254.169.in-addr.arpa
  options  : mdns
  timeout  : 5
  flags    : Request A records, Request AAAA records
  reach    : 0x00000000 (Not Reachable)
  order    : 300200

DNS configuration (for scoped queries)

resolver #1
  search domain[0] : example.com
  nameserver[0] : 172.22.22.1
  nameserver[1] : 2001:db8:7acc:0:deef:9ff:fea8:39e
  if_index : 5 (en0)
  flags    : Scoped, Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)
`;

/**
 * As upstream's client stands in it (firezone/firezone pull request 6220): first of all, a supplement. The last list is
 * typed after `scutil`'s source.
 */
const WITH_OURS = `DNS configuration

resolver #1
  search domain[0] : home.example
  nameserver[0] : 100.100.111.1
  nameserver[1] : fd00:2021:1111:8000:100:100:111:0
  if_index : 35 (utun8)
  flags    : Supplemental, Request A records, Request AAAA records
  reach    : 0x00000003 (Reachable,Transient Connection)
  order    : 103200

resolver #2
  nameserver[0] : 2001:db8:3ecb:2410::1
  nameserver[1] : 192.168.1.254
  if_index : 13 (en0)
  flags    : Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)
  order    : 200000

resolver #3
  domain   : local
  options  : mdns
  timeout  : 5
  flags    : Request A records, Request AAAA records
  reach    : 0x00000000 (Not Reachable)
  order    : 300000

DNS configuration (for scoped queries)

resolver #1
  nameserver[0] : 2001:db8:3ecb:2410::1
  nameserver[1] : 192.168.1.254
  if_index : 13 (en0)
  flags    : Scoped, Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)

resolver #2
  nameserver[0] : 100.100.111.1
  if_index : 35 (utun8)
  flags    : Scoped, Request A records, Request AAAA records
  reach    : 0x00000003 (Reachable,Transient Connection)

DNS configuration (for service-specific queries)

resolver #1
  nameserver[0] : 203.0.113.53
  if_index : 13 (en0)
  flags    : Service-specific
`;

/** A router that gives its link-local address (rthalley/dnspython issue 481). */
const LINK_LOCAL = `DNS configuration

resolver #1
  nameserver[0] : fe80::200:5eff:fe00:5301%en0
  nameserver[1] : 192.168.1.1
  if_index : 7 (en0)
  flags    : Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)
`;

/** What d.show printed beside a VPN (Tunnelblick and Cisco AnyConnect): an empty value is the empty match domain. */
const DICTIONARY = `<dictionary> {
  DomainName : corp.local
  SearchDomains : <array> {
    0 : corp.local
  }
  SearchOrder : 1
  ServerAddresses : <array> {
    0 : 10.5.0.18
    1 : 10.5.0.19
    2 : 192.168.7.85
  }
  SupplementalMatchDomains : <array> {
    0 :
    1 : corp.local
  }
}
`;

const servers = (printed: string, primary?: string) =>
  upstreamServers(parseResolvers(printed), primary).map(({ address, zone }) =>
    `${address}${zone === undefined ? "" : `%${zone}`}`
  );

Deno.test("upstreamServers: are those for queries bound to the way out, so that ours do not count", () => {
  assert.deepEqual(servers(CATALINA, "en0"), ["172.22.22.1", "2001:db8:7acc:0:deef:9ff:fea8:39e"]);
  assert.deepEqual(servers(WITH_OURS, "en0"), ["2001:db8:3ecb:2410::1", "192.168.1.254"]);
  // Without a way out, or one that the list does not know: the first that is no supplement.
  assert.deepEqual(servers(WITH_OURS), ["2001:db8:3ecb:2410::1", "192.168.1.254"]);
  assert.deepEqual(servers(WITH_OURS, "en7"), ["2001:db8:3ecb:2410::1", "192.168.1.254"]);
  assert.deepEqual(servers(LINK_LOCAL, "en0"), ["fe80::200:5eff:fe00:5301%en0", "192.168.1.1"]);
  assert.deepEqual(servers("No DNS configuration available\n", "en0"), []);
});

Deno.test("parseResolvers: tells domains, supplements and interfaces, and leaves out what is for single programs", () => {
  const found = parseResolvers(WITH_OURS);
  assert.equal(found.length, 5);
  assert.deepEqual(found.map(({ isScoped }) => isScoped), [false, false, false, true, true]);
  assert.deepEqual(found.map(({ isSupplemental }) => isSupplemental), [true, false, false, false, false]);
  assert.deepEqual(found[0]!.interface, { index: 35, name: "utun8" });
  assert.equal(found[2]!.domain, "local");
  assert.deepEqual(found[2]!.servers, []);
});

Deno.test("parseResolvers, parseArray: never throw, and keep to their bounds", () => {
  const words = fc.constantFrom(
    ...["DNS configuration", " (for scoped queries)", "resolver #1", "\n", "  nameserver[0] : 1.1.1.1"],
    ...[
      "  if_index : 5 (en0)",
      "  domain   : ",
      "  flags : Scoped",
      " : ",
      "[",
      "%",
      "ServerAddresses : <array> {",
      "}",
    ],
  );
  fc.assert(fc.property(fc.array(fc.oneof(words, fc.string()), { maxLength: 60 }), (parts) => {
    parseResolvers(parts.join(""));
    parseArray(parts.join("\n"), "ServerAddresses");
  }));
  assert.equal(
    parseResolvers(`DNS configuration\n${"resolver #1\n  nameserver[0] : 1.1.1.1\n".repeat(500)}`).length,
    64,
  );
});

Deno.test("parseArray: reads one array of a dictionary, the empty value too", () => {
  assert.deepEqual(parseArray(DICTIONARY, "ServerAddresses"), ["10.5.0.18", "10.5.0.19", "192.168.7.85"]);
  assert.deepEqual(parseArray(DICTIONARY, "SupplementalMatchDomains"), ["", "corp.local"]);
  assert.equal(parseArray(DICTIONARY, "Addresses"), undefined);
  assert.equal(parseArray("  No such key\n", "ServerAddresses"), undefined);
  assert.equal(parseArray(DICTIONARY.slice(0, 150), "ServerAddresses"), undefined);
});

Deno.test("setCommands: asks the sentinels for every name, and searches the portal's domain beside the machine's", () => {
  assert.equal(
    setCommands(SENTINELS, "corp.example"),
    `open
d.init
d.add ServerAddresses * 100.100.111.1 fd00:2021:1111:8000:100:100:111:0
d.add SearchDomains * corp.example
d.add SupplementalMatchDomains * "" corp.example
d.add SupplementalMatchDomainsNoSearch # 0
set State:/Network/Service/fz/DNS
show State:/Network/Service/fz/DNS
quit
`,
  );
  // A domain that would be a command, or two words, is left out.
  for (const domain of [undefined, "a\nremove State:/Network/Global/DNS", "a b", "", ".", "a..b", '"']) {
    const text = setCommands(SENTINELS, domain);
    assert.equal(text.split("\n").length, 9, JSON.stringify(domain));
    assert.ok(text.includes('SupplementalMatchDomains * ""\n'));
  }
});

Deno.test("isOwnKey: is true for nothing that is not ours", () => {
  assert.ok(isOwnKey(DNS_KEY));
  for (
    const key of ["State:/Network/Global/DNS", "Setup:/Network/Service/fz/DNS", `${DNS_KEY}\nremove x`, ""]
  ) {
    assert.ok(!isOwnKey(key), key);
  }
});

/** A dynamic store behind the commands that are used, and the other tools. */
class ModelStore {
  readonly keys = new Map<string, string>();
  readonly runs: string[] = [];
  printed = WITH_OURS;
  /** Answers every change, as for somebody who is not root. */
  refusal: string | undefined;

  readonly run: RunTool = (tool, args, options) => {
    this.runs.push([tool, ...args].join(" "));
    if (tool !== "/usr/sbin/scutil") return Promise.resolve({ code: 0, stdout: "" });
    if (args[0] === "--dns") return Promise.resolve({ code: 0, stdout: this.printed });
    return Promise.resolve({ code: 0, stdout: this.#obey(options?.input ?? "") });
  };

  #obey(input: string): string {
    let out = "";
    let dictionary = "";
    for (const line of input.split("\n")) {
      const [command, key = "", type, ...values] = line.split(" ");
      if (command === "d.init") dictionary = "";
      if (command === "d.add" && type === "*") {
        const lines = values.map((value, index) => `    ${index} : ${value.replaceAll('"', "")}`);
        dictionary += `  ${key} : <array> {\n${lines.join("\n")}\n  }\n`;
      }
      const isChange = command === "set" || command === "remove";
      if (isChange && this.refusal !== undefined) out += `  ${this.refusal}\n`;
      else if (command === "set") this.keys.set(key, dictionary);
      else if (command === "remove" && !this.keys.delete(key)) out += "  No such key\n";
      if (command === "show") {
        const value = this.keys.get(key);
        out += value === undefined ? "  No such key\n" : `<dictionary> {\n${value}}\n`;
      }
    }
    return out;
  }
}

function open(store: ModelStore, control: DnsControl = "scutil", isRoot = true) {
  const changes: string[] = [];
  const journal: Journal = {
    note: (change) => {
      // Before anything is set.
      changes.push(`note ${change.id} ${store.keys.size}`);
    },
    forget: (id) => void changes.push(`forget ${id} ${store.keys.size}`),
  };
  const machine = {
    primaryInterface: () => "en0",
    interfaceIndex: (name: string) => name === "en0" ? 7 : 0,
    isRoot: () => isRoot,
    run: store.run,
  };
  const dns = new ScutilDns({ control, device: "utun5", isSentinel, journal, log: silentLog }, machine);
  return { dns, changes };
}

Deno.test("ScutilDns: sets, notices what others do, sets again, and undoes", async () => {
  const store = new ModelStore();
  const { dns, changes } = open(store);
  await dns.check();
  assert.ok(await dns.isInForce());
  await dns.set(SENTINELS, "corp.example");
  assert.deepEqual(parseArray(store.keys.get(DNS_KEY)!, "ServerAddresses"), SENTINELS.map(String));
  assert.ok(await dns.isInForce());
  assert.deepEqual(store.runs.slice(-3, -1), [
    "/usr/bin/dscacheutil -flushcache",
    "/usr/bin/killall -HUP mDNSResponder",
  ]);
  store.keys.delete(DNS_KEY);
  assert.ok(!await dns.isInForce());
  await dns.set(SENTINELS, undefined);
  assert.ok(await dns.isInForce());
  assert.equal(await dns.undo(), true);
  assert.equal(store.keys.size, 0);
  assert.equal(await dns.undo(), false);
  const id = `scutil:${DNS_KEY}`;
  assert.deepEqual(changes, [`note ${id} 0`, `note ${id} 0`, `forget ${id} 0`, `forget ${id} 0`]);
});

Deno.test("ScutilDns.set: an empty list undoes", async () => {
  const store = new ModelStore();
  const { dns } = open(store);
  await dns.set(SENTINELS, undefined);
  await dns.set([], undefined);
  assert.equal(store.keys.size, 0);
  assert.ok(await dns.isInForce());
});

Deno.test("ScutilDns.upstreams: are the machine's own, with the interface of a link-local one", async () => {
  const store = new ModelStore();
  const { dns } = open(store);
  assert.deepEqual(await dns.upstreams(), [
    { address: IpAddress.from("2001:db8:3ecb:2410::1") },
    { address: IpAddress.from("192.168.1.254") },
  ]);
  store.printed = LINK_LOCAL;
  assert.deepEqual(await dns.upstreams(), [
    { address: IpAddress.from("fe80::200:5eff:fe00:5301"), scopeId: 7 },
    { address: IpAddress.from("192.168.1.1") },
  ]);
  store.printed =
    "DNS configuration\n\nresolver #1\n  nameserver[0] : 100.100.111.1\n  nameserver[1] : 1.1.1.1\n";
  assert.deepEqual(await dns.upstreams(), [{ address: IpAddress.from("1.1.1.1") }]);
});

Deno.test("ScutilDns: says what is wrong where scutil itself says nothing by its exit code", async () => {
  const store = new ModelStore();
  store.refusal = "Permission denied";
  const isPrivilege = (error: unknown) => error instanceof Fault && error.code === "privilege";
  await assert.rejects(open(store).dns.set(SENTINELS, undefined), isPrivilege);
  await assert.rejects(open(store, "scutil", false).dns.check(), isPrivilege);
  store.refusal = "Something else";
  await assert.rejects(
    open(store).dns.set(SENTINELS, undefined),
    (error) => error instanceof Fault && error.code === "dns" && error.next !== undefined,
  );
  store.keys.set(DNS_KEY, "");
  await assert.rejects(
    open(store).dns.undo(),
    (error) => error instanceof Fault && error.code === "dns",
  );
});

Deno.test("ScutilDns: disabled changes nothing but leftovers; controls of other systems are refused", async () => {
  const store = new ModelStore();
  const { dns } = open(store, "disabled", false);
  await dns.check();
  await dns.set(SENTINELS, undefined);
  await dns.flush();
  assert.deepEqual([store.runs, store.keys.size], [[], 0]);
  store.keys.set(DNS_KEY, "");
  assert.equal(await dns.undo(), true);
  assert.throws(
    () => open(store, "systemd-resolved"),
    (error) => error instanceof Fault && error.code === "usage",
  );
});

Deno.test("undoChange: removes our key once, and never another", async () => {
  const store = new ModelStore();
  const kernel = new ModelKernel();
  store.keys.set(DNS_KEY, "");
  store.keys.set("State:/Network/Global/DNS", "");
  const change = (key: string): Change => ({ id: `scutil:${key}`, type: "scutil", key });
  assert.equal(await undoChange(change("State:/Network/Global/DNS"), silentLog, kernel, store.run), false);
  assert.equal(await undoChange(change(DNS_KEY), silentLog, kernel, store.run), true);
  assert.equal(await undoChange(change(DNS_KEY), silentLog, kernel, store.run), false);
  assert.deepEqual([...store.keys.keys()], ["State:/Network/Global/DNS"]);
  assert.ok(!removeCommands(DNS_KEY).includes("Global"));
  assert.equal(await removeKey("nonsense", store.run), false);
});

Deno.test("chooseDns, observeDns: there is one way on macOS", async () => {
  assert.equal((await observeDns()).os, "darwin");
  assert.equal((await chooseDns()).control, "scutil");
});
