/** Routes of a Windows machine on a model of its tables (`windows_kernel.ts`). */

import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { Change, Journal } from "../../lib/host/journal.ts";
import type { DnsMachine } from "../../ffi/windows/dns.ts";
import { WindowsNetwork } from "../../ffi/windows/host_network.ts";
import { networkPath } from "../../ffi/windows/network_path.ts";
import { undoChange } from "../../ffi/windows/undo.ts";
import { WayOut } from "../../ffi/windows/way_out.ts";
import type { HostNetworkOptions } from "../../ffi/platform.ts";
import { ModelKernel } from "./windows_kernel.ts";

const ADDRESSES = { ipv4: IpAddress.from("100.64.0.7"), ipv6: IpAddress.from("fd00:2021:1111::7") };
const networks = (...texts: string[]) => texts.map(IpNetwork.from);
const addresses = (...texts: string[]) => texts.map(IpAddress.from);
const NO_DNS = {} as DnsMachine;

class ListJournal implements Journal {
  readonly changes = new Map<string, Change>();
  note(change: Change): void {
    this.changes.set(change.id, change);
  }
  forget(id: string): void {
    this.changes.delete(id);
  }
}

/** A machine at home: cable of both families, a slower Wi-Fi, a static route, what the kernel has on every adapter. */
function home(): ModelKernel {
  const kernel = new ModelKernel();
  kernel.add("127.0.0.0/8", undefined, 1, 256);
  kernel.add("224.0.0.0/4", undefined, 4, 256);
  kernel.add("0.0.0.0/0", "10.9.0.1", 7);
  kernel.add("0.0.0.0/0", "192.168.1.1", 4);
  kernel.add("192.168.1.0/24", undefined, 4, 256);
  kernel.add("192.168.1.5/32", undefined, 4, 256);
  kernel.add("10.9.0.0/16", undefined, 7, 256);
  kernel.add("172.20.0.0/16", "192.168.1.2", 4, 1, 3);
  kernel.add("::/0", "fe80::1%4", 4, 256);
  kernel.add("2001:db8:1::/64", undefined, 4, 256);
  kernel.add("fe80::/64", undefined, 4, 256);
  // On the tunnel itself.
  kernel.add("224.0.0.0/4", undefined, 17, 256);
  kernel.add("100.64.0.7/32", undefined, 17, 256);
  return kernel;
}

function open(kernel: ModelKernel, options: Partial<HostNetworkOptions> = {}) {
  const journal = new ListJournal();
  const wayOut = new WayOut(kernel);
  const waits: number[] = [];
  const network = new WindowsNetwork(
    { device: "fz0", mtu: 1280, mark: 1, routing: "policy", log: silentLog, journal, ...options },
    kernel,
    wayOut,
    (ms) => Promise.resolve(waits.push(ms)),
  );
  return { network, journal, wayOut, waits };
}

Deno.test("WindowsNetwork.configure: gives the adapter size, metric and both addresses, once", async () => {
  const kernel = home();
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  assert.deepEqual(kernel.addresses, ["100.64.0.7/32 on 17", "fd00:2021:1111::7/128 on 17"]);
  for (const family of [4, 6]) {
    assert.deepEqual(kernel.interfaces.get(`${family} 17`), { metric: 0, mtu: 1280, isAutomatic: false });
  }
  assert.equal(kernel.interfaces.get("4 4")?.mtu, 1500);
  const { length } = kernel.log;
  await network.configure(ADDRESSES);
  assert.equal(kernel.log.length, length);
  await network.configure({ ...ADDRESSES, ipv4: IpAddress.from("100.64.0.8") });
  // The new one comes before the old one goes.
  assert.deepEqual(kernel.log.slice(length + 1), [
    "address 100.64.0.8/32 on 17",
    "no address 100.64.0.7/32 on 17",
  ]);
});

Deno.test("WindowsNetwork.configure: leaves out a family that the machine lacks, and fails without any", async () => {
  const kernel = home();
  kernel.interfaces.delete("6 17");
  const { network, waits } = open(kernel);
  await network.configure(ADDRESSES);
  // IP may come to a fresh adapter a moment later; that is waited for, but not for ever.
  assert.ok(waits.length > 0 && waits.length < 100);
  await network.setRoutes(networks("10.1.0.0/16", "2001:db8:5::/48"));
  assert.deepEqual(kernel.log.slice(-1), ["add 10.1.0.0/16 link fz0 metric 0"]);
  kernel.failures.set("address", 50);
  const other = open(kernel).network;
  await assert.rejects(other.configure(ADDRESSES), (error) => error instanceof Fault && error.code === "tun");
  kernel.failures.set("address", 5);
  const third = open(kernel).network;
  await assert.rejects(
    third.configure(ADDRESSES),
    (error) => error instanceof Fault && error.code === "privilege" && /administrator/.test(error.next ?? ""),
  );
  const gone = open(kernel, { device: "fz9" }).network;
  await assert.rejects(gone.configure(ADDRESSES), (error) => error instanceof Fault && error.code === "tun");
});

Deno.test("WindowsNetwork.setRoutes: leads exactly what is wanted into the tunnel, and touches nothing else", async () => {
  const kernel = home();
  const before = kernel.text();
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  kernel.log.length = 0;
  await network.setRoutes(networks("10.1.0.0/16", "fd00:2021:1111::/107"));
  await network.setRoutes(networks("10.1.0.0/16", "10.2.0.0/16"));
  assert.deepEqual(kernel.log, [
    "add 10.1.0.0/16 link fz0 metric 0",
    "add fd00:2021:1111::/107 link fz0 metric 0",
    "add 10.2.0.0/16 link fz0 metric 0",
    "delete fd00:2021:1111::/107 link fz0 metric 0",
  ]);
  assert.deepEqual(await network.present(), ["route 10.1.0.0/16", "route 10.2.0.0/16"]);
  assert.deepEqual(await network.undo(), ["route 10.1.0.0/16", "route 10.2.0.0/16"]);
  assert.deepEqual(kernel.text(), before);
  assert.deepEqual(await network.undo(), []);
});

Deno.test("WindowsNetwork.setRoutes: the Internet resource is a default route of metric 0 beside the machine's own", async () => {
  const kernel = home();
  const before = kernel.text();
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  kernel.log.length = 0;
  await network.setRoutes(networks("0.0.0.0/0", "::/0"));
  assert.deepEqual(kernel.log, ["add 0.0.0.0/0 link fz0 metric 0", "add ::/0 link fz0 metric 0"]);
  assert.deepEqual(before.filter((route) => !kernel.text().includes(route)), []);
  // A resource that is the local network itself: equal length, lower metric.
  await network.setRoutes(networks("192.168.1.0/24"));
  assert.ok(kernel.text().includes("192.168.1.0/24 link fz0 metric 0"));
  assert.deepEqual(network.degraded, []);
});

Deno.test("WindowsNetwork.setBypass: goes the way that it would go without us, noted before it is set", async () => {
  const kernel = home();
  const { network, journal } = open(kernel);
  await network.configure(ADDRESSES);
  kernel.log.length = 0;
  await network.setBypass(addresses("203.0.113.9", "2001:db8:9::9", "172.20.3.3", "192.168.1.9"));
  // Nothing leads into the tunnel, so nothing has to be led past it.
  assert.deepEqual(kernel.log, []);
  await network.setRoutes(networks("0.0.0.0/0", "::/0", "172.20.3.0/24"));
  // Ways past the tunnel come first: the cheaper default route, not the first one; the gateway behind a static route.
  assert.deepEqual(kernel.log.slice(0, 3), [
    "add 203.0.113.9/32 192.168.1.1 Ethernet metric 8225",
    "add 2001:db8:9::9/128 fe80::1%4 Ethernet metric 8225",
    "add 172.20.3.3/32 192.168.1.2 Ethernet metric 8225",
  ]);
  assert.deepEqual(journal.changes.get("route:203.0.113.9/32"), {
    id: "route:203.0.113.9/32",
    type: "route",
    destination: "203.0.113.9/32",
    via: "192.168.1.1",
    device: "Ethernet",
  });
  assert.equal(journal.changes.size, 3);
  await network.setBypass([]);
  assert.equal(journal.changes.size, 0);
  assert.deepEqual(kernel.text().filter((route) => route.endsWith("8225")), []);
});

Deno.test("WindowsNetwork.setExcluded: leads networks past, and no resource in them into the tunnel", async () => {
  const kernel = home();
  const { network } = open(kernel, { excluded: networks("198.51.100.0/24", "fe80::/10") });
  await network.configure(ADDRESSES);
  kernel.log.length = 0;
  await network.setRoutes(networks("0.0.0.0/0", "198.51.100.128/25", "10.1.0.0/16"));
  assert.deepEqual(kernel.log, [
    "add 198.51.100.0/24 192.168.1.1 Ethernet metric 8225",
    "add 0.0.0.0/0 link fz0 metric 0",
    "add 10.1.0.0/16 link fz0 metric 0",
  ]);
  await network.setExcluded(networks("10.0.0.0/8"));
  assert.deepEqual(kernel.log.slice(3), [
    "add 10.0.0.0/8 192.168.1.1 Ethernet metric 8225",
    "add 198.51.100.128/25 link fz0 metric 0",
    "delete 198.51.100.0/24 192.168.1.1 Ethernet metric 8225",
    "delete 10.1.0.0/16 link fz0 metric 0",
  ]);
});

Deno.test("WindowsNetwork.setLan: denied, the machine's own networks go into the tunnel with the Internet, and come back", async () => {
  const kernel = home();
  const before = kernel.text();
  const { network } = open(kernel, { lan: "deny" });
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("10.1.0.0/16"));
  assert.ok(!kernel.text().includes("192.168.1.0/24 link fz0 metric 0"));
  kernel.log.length = 0;
  await network.setRoutes(networks("0.0.0.0/0", "10.1.0.0/16"));
  // Networks of IPv4 only; neither loopback, multicast, nor single addresses.
  assert.deepEqual(kernel.log, [
    "add 0.0.0.0/0 link fz0 metric 0",
    "add 192.168.1.0/24 link fz0 metric 0",
    "add 10.9.0.0/16 link fz0 metric 0",
    "add 172.20.0.0/16 link fz0 metric 0",
  ]);
  await network.setLan("allow");
  assert.deepEqual(kernel.log.slice(4).sort(), [
    "delete 10.9.0.0/16 link fz0 metric 0",
    "delete 172.20.0.0/16 link fz0 metric 0",
    "delete 192.168.1.0/24 link fz0 metric 0",
  ]);
  await network.undo();
  assert.deepEqual(kernel.text(), before);
});

Deno.test("WindowsNetwork.handleNetworkChanged: moves ways past the tunnel to another adapter", async () => {
  const kernel = home();
  const { network, wayOut } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("0.0.0.0/0"));
  wayOut.addTunnel("fz0", 17);
  assert.equal(String(wayOut.sourceFor(IpAddress.from("203.0.113.9"))?.address), "192.168.1.5");
  kernel.log.length = 0;
  await network.handleNetworkChanged();
  assert.deepEqual(kernel.log, []);
  kernel.remove("0.0.0.0/0", 4);
  await network.handleNetworkChanged();
  assert.deepEqual(kernel.log, [
    "delete 203.0.113.9/32 192.168.1.1 Ethernet metric 8225",
    "add 203.0.113.9/32 10.9.0.1 Wi-Fi metric 8225",
  ]);
  assert.equal(String(wayOut.sourceFor(IpAddress.from("203.0.113.9"))?.address), "10.9.0.7");
});

Deno.test("WindowsNetwork.undo: takes back what a killed process left: its adapter is gone, host routes stay", async () => {
  const kernel = home();
  const { network, journal } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("0.0.0.0/0"));
  kernel.removeAdapter(17);
  const next = open(kernel, { device: "" }).network;
  assert.equal(await next.otherDevice(), undefined);
  assert.deepEqual(await next.present(), ["route 203.0.113.9/32"]);
  // By its journal, as the next start does; then there is nothing left for the search.
  const change = journal.changes.get("route:203.0.113.9/32")!;
  assert.equal(undoChange(change, silentLog, kernel, NO_DNS), true);
  assert.equal(undoChange(change, silentLog, kernel, NO_DNS), false);
  assert.deepEqual(kernel.text().filter((route) => route.endsWith("8225")), []);
  assert.deepEqual(await next.undo(), []);
});

Deno.test("undoChange: leaves a route that somebody else has put in the place of ours, and says what it may not do", () => {
  const kernel = home();
  kernel.add("203.0.113.9/32", "192.168.1.7", 4, 1, 3);
  const change: Change = {
    id: "route:203.0.113.9/32",
    type: "route",
    destination: "203.0.113.9/32",
    via: "192.168.1.1",
    device: "Ethernet",
  };
  assert.equal(undoChange(change, silentLog, kernel, NO_DNS), false);
  assert.equal(undoChange({ ...change, destination: "nonsense" }, silentLog, kernel, NO_DNS), false);
  assert.deepEqual(kernel.log, []);
  kernel.add("203.0.113.9/32", "192.168.1.1", 4, 8225, 3);
  kernel.failures.set("delete", 5);
  assert.throws(
    () => undoChange(change, silentLog, kernel, NO_DNS),
    (error) => error instanceof Fault && error.code === "privilege",
  );
});

Deno.test("WindowsNetwork.otherDevice: names another tunnel of ours, or upstream's, that leads somewhere", async () => {
  const kernel = home();
  assert.equal(await open(kernel).network.otherDevice(), undefined);
  kernel.adapterList.push({ index: 18, name: "Firezone", description: "Firezone Tunnel" });
  assert.equal(await open(kernel).network.otherDevice(), undefined);
  kernel.add("10.7.0.0/16", undefined, 18, 0, 3);
  assert.equal(await open(kernel).network.otherDevice(), "Firezone");
  assert.equal(await open(kernel, { routing: "main" }).network.otherDevice(), undefined);
});

Deno.test("WindowsNetwork: finds its adapter where Windows had to give it another name", async () => {
  const kernel = home();
  const { network, wayOut } = open(kernel, { device: "office" });
  wayOut.addTunnel("office", 17);
  await network.configure(ADDRESSES);
  assert.equal(kernel.addresses[0], "100.64.0.7/32 on 17");
  assert.equal(await network.otherDevice(), undefined);
});

Deno.test("WindowsNetwork: a gateway's routes are its own, and it leaves those of others alone", async () => {
  const kernel = home();
  kernel.adapterList.push({ index: 18, name: "fz1", description: "fz Tunnel #2" });
  kernel.add("10.7.0.0/16", undefined, 18, 0, 3);
  const { network } = open(kernel, { routing: "main" });
  await network.configure(ADDRESSES);
  kernel.log.length = 0;
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("100.64.0.0/11", "0.0.0.0/0"));
  assert.deepEqual(kernel.log, ["add 100.64.0.0/11 link fz0 metric 0"]);
  assert.deepEqual(await network.undo(), ["route 100.64.0.0/11"]);
  assert.ok(kernel.text().includes("10.7.0.0/16 link fz1 metric 0"));
});

Deno.test("WindowsNetwork: whatever is asked for in which order, undo leaves the table as it was", async () => {
  const some = fc.subarray([
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.9.0.0/16",
    "172.20.0.0/24",
    "192.168.1.0/24",
    "2001:db8::/32",
  ]);
  const step = fc.oneof(
    some.map((routes) => ({ type: "routes", routes } as const)),
    some.map((routes) => ({ type: "excluded", routes } as const)),
    fc.constantFrom("allow", "deny").map((lan) => ({ type: "lan", lan } as const)),
    fc.subarray(["203.0.113.9", "10.1.2.3", "2001:db8:1::5", "192.168.1.1"])
      .map((routes) => ({ type: "bypass", routes } as const)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      const kernel = home();
      const before = kernel.text();
      const { network, journal } = open(kernel);
      await network.configure(ADDRESSES);
      for (const step of steps) {
        if (step.type === "routes") await network.setRoutes(networks(...step.routes));
        else if (step.type === "excluded") await network.setExcluded(networks(...step.routes));
        else if (step.type === "bypass") await network.setBypass(addresses(...step.routes));
        else await network.setLan(step.lan);
        // Nothing of the machine's is ever gone.
        assert.deepEqual(before.filter((route) => !kernel.text().includes(route)), []);
      }
      await network.undo();
      assert.deepEqual(kernel.text(), before);
      assert.equal(journal.changes.size, 0);
    }),
  );
});

Deno.test("WayOut.sourceFor: is the address of the best way without our tunnel; none where there is no way", () => {
  const kernel = home();
  kernel.add("0.0.0.0/0", undefined, 17, 0, 3);
  const wayOut = new WayOut(kernel);
  wayOut.addTunnel("fz0", 17);
  const source = (text: string) => {
    const found = wayOut.sourceFor(IpAddress.from(text));
    return found && `${found.address} on ${found.index}`;
  };
  // Neither the tunnel, which is cheapest, nor Wi-Fi, which is dearer.
  assert.equal(source("203.0.113.9"), "192.168.1.5 on 4");
  assert.equal(source("10.9.3.3"), "10.9.0.7 on 7");
  assert.equal(source("2001:db8:9::9"), "2001:db8:1::c:1 on 4");
  kernel.remove("0.0.0.0/0", 4);
  kernel.remove("0.0.0.0/0", 7);
  // Remembered until somebody says that the network is another.
  assert.equal(source("203.0.113.9"), "192.168.1.5 on 4");
  wayOut.forget();
  assert.equal(source("203.0.113.9"), undefined);
  wayOut.removeTunnel("fz0");
  assert.equal(wayOut.sourceFor(IpAddress.from("203.0.113.9")), undefined);
});

Deno.test("WayOut.sourceFor: reaches a link-local address on the interface that it names, if that is no tunnel", () => {
  const kernel = home();
  const wayOut = new WayOut(kernel);
  wayOut.addTunnel("fz0", 17);
  const resolver = IpAddress.from("fe80::1");
  assert.deepEqual(wayOut.sourceFor(resolver, 4), { address: IpAddress.from("fe80::c:1"), index: 4 });
  assert.equal(wayOut.sourceFor(resolver, 7), undefined);
  assert.equal(wayOut.sourceFor(resolver, 17), undefined);
});

Deno.test("networkPath: is the default routes that win and their addresses, whatever our own routes are", async () => {
  const kernel = home();
  const path = networkPath(kernel, "fz0");
  assert.equal(
    path,
    "Ethernet via 192.168.1.1; Ethernet in 192.168.1.5; Ethernet via fe80::1; Ethernet in 2001:db8:1::/64",
  );
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("0.0.0.0/0", "::/0", "10.1.0.0/16"));
  assert.equal(networkPath(kernel, "fz0"), path);
  assert.equal(networkPath(kernel, ""), path);
  kernel.remove("0.0.0.0/0", 4);
  kernel.remove("::/0", 4);
  assert.equal(networkPath(kernel, "fz0"), "Wi-Fi via 10.9.0.1; Wi-Fi in 10.9.0.7");
  kernel.remove("0.0.0.0/0", 7);
  assert.equal(networkPath(kernel, "fz0"), "");
});
