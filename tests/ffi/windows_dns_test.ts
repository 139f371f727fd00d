/** DNS of Windows on a model of its registry. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { toHex } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { chooseDns, type DnsMachine, NrptDns } from "../../ffi/windows/dns.ts";
import { guardArguments, guardChange } from "../../ffi/windows/guardian.ts";
import { decodeValue, encodeValue, type Registry, type RegistryValue } from "../../ffi/windows/registry.ts";
import { adapterGuid } from "../../ffi/windows/tunnel_name.ts";
import { undoChange } from "../../ffi/windows/undo.ts";
import type { SystemDnsOptions } from "../../ffi/platform.ts";
import { ModelKernel } from "./windows_kernel.ts";

const RULE = "{3E0A8B52-7C41-4D96-9F1D-5B6C0F2A71E4}";
const LOCAL = "SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";
const POLICY = "SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig";
const SENTINELS = ["100.100.111.1", "100.100.111.2", "fd00:2021:1111:8000:100:100:111:0"].map(IpAddress.from);

/** Keys with their values; a key is there with its parents. */
class ModelRegistry implements Registry {
  readonly keys = new Map<string, Map<string, RegistryValue>>();
  failure = 0;

  hasKey(path: string): boolean {
    return [...this.keys.keys()].some((key) => key === path || key.startsWith(`${path}\\`));
  }

  read(path: string, name: string): RegistryValue | undefined {
    return this.keys.get(path)?.get(name);
  }

  write(path: string, name: string, value: RegistryValue): number {
    if (this.failure !== 0) return this.failure;
    const { type, bytes } = encodeValue(value);
    const key = this.keys.get(path) ?? new Map<string, RegistryValue>();
    this.keys.set(path, key.set(name, decodeValue(type, bytes)!));
    return 0;
  }

  removeValue(path: string, name: string): number {
    return this.keys.get(path)?.delete(name) === true ? 0 : 2;
  }

  removeKey(path: string): number {
    if (this.failure !== 0) return this.failure;
    if (!this.hasKey(path)) return 2;
    for (const key of [...this.keys.keys()]) {
      if (key === path || key.startsWith(`${path}\\`)) this.keys.delete(key);
    }
    return 0;
  }
}

function open(options: Partial<SystemDnsOptions> = {}) {
  const registry = new ModelRegistry();
  const kernel = new ModelKernel();
  const calls: string[] = [];
  const state = { isElevated: true };
  const machine: DnsMachine = {
    registry,
    kernel,
    isElevated: () => state.isElevated,
    refreshPolicy: () => void calls.push("policy"),
    flushCache: () => void calls.push("flush"),
  };
  const changes = new Map<string, Change>();
  const dns = new NrptDns({
    control: "nrpt",
    device: "fz0",
    isSentinel: (address) => SENTINELS.some((sentinel) => sentinel.equals(address)),
    journal: {
      note: (change) => void changes.set(change.id, change),
      forget: (id) => void changes.delete(id),
    },
    log: silentLog,
    ...options,
  }, machine);
  return { dns, registry, kernel, machine, calls, changes, state };
}

Deno.test("NrptDns.set: writes a rule for all names and the adapter's settings, noted before, and forgets old answers", async () => {
  const { dns, registry, calls, changes } = open();
  await dns.set(SENTINELS, "corp.example");
  assert.deepEqual(Object.fromEntries(registry.keys.get(`${LOCAL}\\${RULE}`)!), {
    Comment: "fz",
    ConfigOptions: 8,
    DisplayName: "fz: names of resources",
    GenericDNSServers: "100.100.111.1;100.100.111.2;fd00:2021:1111:8000:100:100:111:0",
    Version: 2,
    Name: ["."],
  });
  const guid = adapterGuid("fz0");
  const settings = (service: string) =>
    Object.fromEntries(
      registry.keys.get(`SYSTEM\\CurrentControlSet\\Services\\${service}\\Parameters\\Interfaces\\${guid}`)!,
    );
  assert.deepEqual(settings("Tcpip"), {
    NameServer: "100.100.111.1,100.100.111.2",
    SearchList: "corp.example",
  });
  assert.deepEqual(settings("Tcpip6"), {
    NameServer: "fd00:2021:1111:8000:100:100:111:0",
    SearchList: "corp.example",
  });
  // There is no group policy: nothing of ours is there, for that alone would turn local rules off.
  assert.equal(registry.hasKey(POLICY), false);
  assert.deepEqual(calls, ["policy", "flush"]);
  assert.deepEqual(changes.get("nrpt"), { id: "nrpt", type: "nrpt", adapter: guid });
});

Deno.test("NrptDns.set: writes the rule beside those of a group policy, without which Windows would not look at it", async () => {
  const { dns, registry } = open();
  registry.write(`${POLICY}\\{CORP}`, "Name", [".corp.example"]);
  await dns.set(SENTINELS, undefined);
  for (const parent of [LOCAL, POLICY]) {
    assert.deepEqual(registry.read(`${parent}\\${RULE}`, "Name"), ["."]);
  }
  assert.equal(await dns.isInForce(), true);
  registry.removeKey(`${POLICY}\\${RULE}`);
  assert.equal(await dns.isInForce(), false);
  await dns.set(SENTINELS, undefined);
  assert.equal(await dns.isInForce(), true);
  registry.write(`${LOCAL}\\${RULE}`, "GenericDNSServers", "192.0.2.53");
  assert.equal(await dns.isInForce(), false);
  assert.equal(await dns.undo(), true);
  assert.deepEqual(registry.read(`${POLICY}\\{CORP}`, "Name"), [".corp.example"]);
  assert.equal(registry.hasKey(`${POLICY}\\${RULE}`), false);
});

Deno.test("NrptDns.undo: puts everything back, once, and leaves what is not ours", async () => {
  const { dns, registry, calls, changes } = open();
  const adapter = `SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces\\${adapterGuid("fz0")}`;
  registry.write(adapter, "EnableDHCP", 0);
  registry.write(`${LOCAL}\\{OTHER}`, "Name", [".lan"]);
  assert.equal(await dns.undo(), false);
  await dns.set(SENTINELS, "corp.example");
  calls.length = 0;
  assert.equal(await dns.undo(), true);
  assert.deepEqual(Object.fromEntries(registry.keys.get(adapter)!), { EnableDHCP: 0 });
  assert.deepEqual(registry.read(`${LOCAL}\\{OTHER}`, "Name"), [".lan"]);
  assert.equal(registry.hasKey(`${LOCAL}\\${RULE}`), false);
  assert.deepEqual(calls, ["policy", "flush"]);
  assert.equal(changes.size, 0);
  assert.equal(await dns.undo(), false);
  // An empty list undoes.
  await dns.set(SENTINELS, undefined);
  await dns.set([], undefined);
  assert.equal(registry.hasKey(`${LOCAL}\\${RULE}`), false);
  assert.equal(await dns.isInForce(), true);
});

Deno.test("undoChange: removes what a killed process left, by its journal, and takes no nonsense for a path", async () => {
  const { dns, registry, kernel, machine, changes } = open();
  await dns.set(SENTINELS, "corp.example");
  const change = changes.get("nrpt")!;
  assert.equal(undoChange(change, silentLog, kernel, machine), true);
  assert.equal(registry.hasKey(`${LOCAL}\\${RULE}`), false);
  assert.equal(undoChange(change, silentLog, kernel, machine), false);
  await dns.set(SENTINELS, "corp.example");
  registry.removeValue = () => assert.fail("a path of nonsense");
  assert.equal(
    undoChange({ id: "nrpt", type: "nrpt", adapter: "..\\..\\Parameters" }, silentLog, kernel, machine),
    true,
  );
});

Deno.test("NrptDns.check: throws for what is foreseen, and set for what is not", async () => {
  const { dns, registry, state } = open();
  await dns.check();
  state.isElevated = false;
  await assert.rejects(dns.check(), (error) => error instanceof Fault && error.code === "privilege");
  state.isElevated = true;
  registry.write("SYSTEM\\CurrentControlSet\\Services\\Dnscache", "Start", 4);
  await assert.rejects(dns.check(), (error) => error instanceof Fault && error.code === "dns");
  registry.failure = 5;
  await assert.rejects(
    dns.set(SENTINELS, undefined),
    (error) => error instanceof Fault && error.code === "privilege",
  );
  registry.failure = 1450;
  await assert.rejects(
    dns.set(SENTINELS, undefined),
    (error) =>
      error instanceof Fault && error.code === "dns" && /Get-DnsClientNrptRule/.test(error.next ?? ""),
  );
  assert.throws(
    () => open({ control: "scutil" }),
    (error) => error instanceof Fault && error.code === "usage",
  );
});

Deno.test("NrptDns: disabled changes nothing but leftovers, and reads resolvers all the same", async () => {
  const { dns, registry, calls, state } = open({ control: "disabled" });
  state.isElevated = false;
  await dns.check();
  await dns.set(SENTINELS, "corp.example");
  await dns.flush();
  assert.equal(registry.keys.size, 0);
  assert.deepEqual(calls, []);
  assert.equal((await dns.upstreams()).length, 3);
  registry.write(`${LOCAL}\\${RULE}`, "Comment", "fz");
  assert.equal(await dns.undo(), true);
});

Deno.test("NrptDns.upstreams: are those of all adapters that are up, cheapest first, without ours and made-up ones", async () => {
  const { dns, kernel } = open();
  kernel.adapterList.splice(
    0,
    kernel.adapterList.length,
    { index: 1, name: "Loopback", description: "Software Loopback", type: 24, resolvers: ["127.0.0.9"] },
    { index: 7, name: "Wi-Fi", description: "Wireless", metric: 50, resolvers: ["10.9.0.1", "192.168.1.1"] },
    {
      index: 4,
      name: "Ethernet",
      description: "Intel",
      metric: 25,
      resolvers: ["192.168.1.1", "fe80::1%4", "fec0:0:0:ffff::1", "100.100.111.1", "0.0.0.0"],
    },
    { index: 9, name: "Dock", description: "Realtek", isUp: false, resolvers: ["192.0.2.1"] },
    { index: 17, name: "fz0", description: "fz Tunnel", metric: 0, resolvers: ["192.0.2.2"] },
    { index: 18, name: "Firezone", description: "Firezone Tunnel", metric: 0, resolvers: ["192.0.2.3"] },
  );
  const found = (await dns.upstreams()).map(({ address, scopeId }) => `${address}%${scopeId ?? ""}`);
  assert.deepEqual(found, ["192.168.1.1%", "fe80::1%4", "10.9.0.1%"]);
});

Deno.test("encodeValue: is REG_SZ, REG_MULTI_SZ and REG_DWORD as advapi32 takes them, which decodeValue reads", () => {
  assert.deepEqual([encodeValue(8).type, toHex(encodeValue(8).bytes)], [4, "08000000"]);
  assert.deepEqual([encodeValue("fz").type, toHex(encodeValue("fz").bytes)], [1, "66007a000000"]);
  assert.deepEqual([encodeValue(["."]).type, toHex(encodeValue(["."]).bytes)], [7, "2e0000000000"]);
  assert.deepEqual(decodeValue(7, encodeValue(["a", "bc"]).bytes), ["a", "bc"]);
  // Other programs leave zeros out, or write what is none of these.
  assert.equal(decodeValue(1, Uint8Array.of(0x66, 0, 0x7a, 0)), "fz");
  assert.deepEqual(decodeValue(7, Uint8Array.of(0x2e, 0)), ["."]);
  assert.equal(decodeValue(3, Uint8Array.of(1, 2, 3, 4)), undefined);
  assert.equal(decodeValue(4, Uint8Array.of(1, 2, 3)), undefined);
  fc.assert(fc.property(fc.nat(12), fc.uint8Array({ maxLength: 40 }), (type, bytes) => {
    decodeValue(type, bytes);
  }));
});

Deno.test("guardArguments: waits for one line; without it both rules go, and policies are read anew if one was there", () => {
  assert.deepEqual(guardArguments(), [
    "/d",
    "/s",
    "/c",
    '"set /p FZ_WORD=& if not defined FZ_WORD (' +
    `reg.exe delete "HKLM\\${LOCAL}\\${RULE}" /f /reg:64 & ` +
    `reg.exe delete "HKLM\\${POLICY}\\${RULE}" /f /reg:64 && gpupdate.exe /target:computer /force & ` +
    'ipconfig.exe /flushdns)"',
  ]);
  assert.equal(guardChange({ id: "network", type: "network", device: "fz0" }, silentLog), undefined);
});

Deno.test("chooseDns: is the policy table on Windows", async () => {
  assert.equal((await chooseDns()).control, "nrpt");
});
