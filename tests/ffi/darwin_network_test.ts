/** Routes of a Mac on a model of its routing table (`darwin_kernel.ts`). */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { type Log, silentLog } from "../../lib/base/log.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { Change, Journal } from "../../lib/host/journal.ts";
import { DarwinNetwork } from "../../ffi/darwin/host_network.ts";
import { networkPath } from "../../ffi/darwin/network_path.ts";
import { decodeRoutes } from "../../ffi/darwin/route_message.ts";
import { readSockaddr } from "../../ffi/darwin/sockaddr.ts";
import { undoChange } from "../../ffi/darwin/undo.ts";
import { WayOut } from "../../ffi/darwin/way_out.ts";
import type { HostNetworkOptions, NetworkInterface } from "../../ffi/platform.ts";
import { Flag, ModelKernel } from "./darwin_kernel.ts";

const ADDRESSES = { ipv4: IpAddress.from("100.64.0.7"), ipv6: IpAddress.from("fd00:2021:1111::7") };
const networks = (...texts: string[]) => texts.map(IpNetwork.from);
const addresses = (...texts: string[]) => texts.map(IpAddress.from);

class ListJournal implements Journal {
  readonly changes = new Map<string, Change>();
  note(change: Change): void {
    this.changes.set(change.id, change);
  }
  forget(id: string): void {
    this.changes.delete(id);
  }
}

/** A Mac in a home: Wi-Fi of both families, another scoped interface, a neighbour. */
function home(): ModelKernel {
  const kernel = new ModelKernel();
  kernel.add("0.0.0.0/0", "192.168.1.1", 4, Flag.static);
  kernel.add("0.0.0.0/0", "10.9.0.1", 7, Flag.ifscope);
  kernel.add("127.0.0.0/8", "127.0.0.1", 1);
  kernel.add("192.168.1.0/24", undefined, 4);
  kernel.add("192.168.1.1/32", undefined, 4, Flag.llinfo | Flag.wasCloned);
  kernel.add("172.20.0.0/16", "192.168.1.2", 4, Flag.static);
  kernel.add("::/0", "fe80::1%4", 4, Flag.static);
  kernel.add("2001:db8:1::/64", undefined, 4);
  return kernel;
}

function open(kernel: ModelKernel, options: Partial<HostNetworkOptions> = {}) {
  const journal = new ListJournal();
  const follower = { count: 0, follow: () => void follower.count++ };
  const network = new DarwinNetwork(
    {
      device: "utun5",
      mtu: 1280,
      mark: 1,
      routing: "policy",
      log: silentLog,
      journal,
      ...options,
    },
    kernel,
    follower,
  );
  return { network, journal, follower };
}

Deno.test("DarwinNetwork.configure: gives the device its size and both addresses, once", async () => {
  const kernel = home();
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  assert.deepEqual(kernel.requests.map(({ family, request }) => [family, request]), [
    [4, 0x80206934],
    [4, 0x8040691a],
    [6, 0x80206934],
    [6, 0x8080691a],
  ]);
  await network.configure(ADDRESSES);
  assert.equal(kernel.requests.length, 4);
  await network.configure({ ...ADDRESSES, ipv4: IpAddress.from("100.64.0.8") });
  // The new one comes before the old one goes.
  assert.deepEqual(kernel.requests.slice(4).map(({ request }) => request), [
    0x80206934,
    0x8040691a,
    0x80206919,
  ]);
});

Deno.test("DarwinNetwork.configure: leaves out a family that the machine lacks, and fails without any", async () => {
  const kernel = home();
  kernel.failures.set("ioctl 6", 47);
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("10.1.0.0/16", "2001:db8:5::/48"));
  assert.deepEqual(kernel.log, ["add 10.1.0.0/16 utun5"]);
  kernel.failures.set("ioctl 4", 6);
  const other = open(kernel).network;
  await assert.rejects(other.configure(ADDRESSES), (error) => error instanceof Fault && error.code === "tun");
  kernel.failures.set("ioctl 4", 1);
  const third = open(kernel).network;
  await assert.rejects(
    third.configure(ADDRESSES),
    (error) => error instanceof Fault && error.code === "privilege",
  );
});

Deno.test("DarwinNetwork.setRoutes: leads exactly what is wanted into the tunnel, and touches nothing else", async () => {
  const kernel = home();
  const before = kernel.text();
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("10.1.0.0/16", "fd00:2021:1111::/107"));
  await network.setRoutes(networks("10.1.0.0/16", "10.2.0.0/16"));
  assert.deepEqual(kernel.log, [
    "add 10.1.0.0/16 utun5",
    "add fd00:2021:1111::/107 utun5",
    "add 10.2.0.0/16 utun5",
    "delete fd00:2021:1111::/107",
  ]);
  assert.deepEqual(await network.present(), ["route 10.1.0.0/16", "route 10.2.0.0/16"]);
  assert.deepEqual(await network.undo(), ["route 10.1.0.0/16", "route 10.2.0.0/16"]);
  assert.deepEqual(kernel.text(), before);
  assert.deepEqual(await network.undo(), []);
});

Deno.test("DarwinNetwork.setRoutes: the Internet resource is two halves, and the default route stays", async () => {
  const kernel = home();
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("0.0.0.0/0", "::/0"));
  assert.deepEqual(kernel.log, [
    "add 0.0.0.0/1 utun5",
    "add 128.0.0.0/1 utun5",
    "add ::/1 utun5",
    "add 8000::/1 utun5",
  ]);
  assert.ok(kernel.text().includes("0.0.0.0/0 192.168.1.1 en0"));
  await network.setRoutes([]);
  assert.deepEqual(await network.present(), []);
});

Deno.test("DarwinNetwork.setBypass: goes the way that it would go without us, noted before it is set", async () => {
  const kernel = home();
  const { network, journal } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9", "2001:db8:9::9", "172.20.3.3", "192.168.1.9"));
  // Nothing leads into the tunnel, so nothing has to be led past it.
  assert.deepEqual(kernel.log, []);
  await network.setRoutes(networks("0.0.0.0/0", "::/0", "172.20.3.0/24"));
  // Ways past the tunnel come first. The gateway behind a static route, and the local network by its length.
  assert.deepEqual(kernel.log.slice(0, 3), [
    "add 203.0.113.9/32 192.168.1.1",
    "add 2001:db8:9::9/128 fe80:4::1",
    "add 172.20.3.3/32 192.168.1.2",
  ]);
  assert.deepEqual(journal.changes.get("route:203.0.113.9/32"), {
    id: "route:203.0.113.9/32",
    type: "route",
    destination: "203.0.113.9/32",
    via: "192.168.1.1",
    device: "en0",
  });
  assert.equal(journal.changes.size, 3);
  await network.setBypass([]);
  assert.equal(journal.changes.size, 0);
  assert.deepEqual(kernel.log.slice(-3), [
    "delete 203.0.113.9/32",
    "delete 172.20.3.3/32",
    "delete 2001:db8:9::9/128",
  ]);
});

Deno.test("DarwinNetwork.setExcluded: leads networks past, and no resource in them into the tunnel", async () => {
  const kernel = home();
  const { network } = open(kernel, { excluded: networks("198.51.100.0/24") });
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("0.0.0.0/0", "198.51.100.128/25", "10.1.0.0/16"));
  assert.deepEqual(kernel.log, [
    "add 198.51.100.0/24 192.168.1.1",
    "add 0.0.0.0/1 utun5",
    "add 128.0.0.0/1 utun5",
    "add 10.1.0.0/16 utun5",
  ]);
  await network.setExcluded(networks("10.0.0.0/8"));
  assert.deepEqual(kernel.log.slice(4), [
    "add 10.0.0.0/8 192.168.1.1",
    "add 198.51.100.128/25 utun5",
    "delete 198.51.100.0/24",
    "delete 10.1.0.0/16",
  ]);
});

Deno.test("DarwinNetwork: asks for no route to addresses that need an interface, and names it for a next hop", async () => {
  const kernel = home();
  const { network } = open(kernel, { excluded: networks("fe80::/10", "ff00::/8") });
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("fe80::7"));
  await network.setRoutes(networks("::/0", "fe80::/64", "ff02::/16"));
  assert.deepEqual(kernel.log, ["add ::/1 utun5", "add 8000::/1 utun5"]);
  // As a kernel says it that has lost the interface: then it is that of the route.
  kernel.add("::/0", "fe80::1", 4, Flag.static);
  const [route] = decodeRoutes(kernel.dumpRoutes(6)).filter(({ destination }) => destination.prefix === 0);
  assert.deepEqual(readSockaddr(route!.gatewayBytes), {
    type: "ip",
    address: IpAddress.from("fe80::1"),
    scopeId: 4,
  });
});

Deno.test("DarwinNetwork.handleNetworkChanged: moves ways past the tunnel to another gateway", async () => {
  const kernel = home();
  const { network, follower } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("0.0.0.0/0"));
  kernel.log.length = 0;
  await network.handleNetworkChanged();
  assert.deepEqual(kernel.log, []);
  kernel.routes.delete("0.0.0.0/0");
  kernel.routes.delete("192.168.1.0/24");
  kernel.add("10.9.0.0/16", undefined, 7);
  kernel.add("0.0.0.0/0", "10.9.0.1", 7, Flag.static);
  const seen = follower.count;
  await network.handleNetworkChanged();
  assert.deepEqual(kernel.log, ["delete 203.0.113.9/32", "add 203.0.113.9/32 10.9.0.1"]);
  assert.ok(follower.count > seen);
});

Deno.test("DarwinNetwork.undo: takes back what a killed process left, which vanished with its device or did not", async () => {
  const kernel = home();
  const before = kernel.text();
  const { network, journal } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("0.0.0.0/0"));
  kernel.removeInterface(17);
  const next = open(kernel, { device: "" }).network;
  assert.equal(await next.otherDevice(), undefined);
  assert.deepEqual(await next.present(), ["route 203.0.113.9/32"]);
  // By its journal, as the next start does; then there is nothing left for the search.
  const change = journal.changes.get("route:203.0.113.9/32")!;
  assert.equal(await undoChange(change, silentLog, kernel), true);
  assert.equal(await undoChange(change, silentLog, kernel), false);
  assert.deepEqual(kernel.text(), before);
  assert.deepEqual(await next.undo(), []);
});

Deno.test("undoChange: leaves a route that somebody else has put in the place of ours", async () => {
  const kernel = home();
  kernel.add("203.0.113.9/32", "192.168.1.7", 4, Flag.static);
  const change: Change = {
    id: "route:203.0.113.9/32",
    type: "route",
    destination: "203.0.113.9/32",
    via: "192.168.1.1",
    device: "en0",
  };
  assert.equal(await undoChange(change, silentLog, kernel), false);
  assert.equal(await undoChange({ ...change, destination: "nonsense" }, silentLog, kernel), false);
  assert.deepEqual(kernel.log, []);
});

Deno.test("DarwinNetwork.otherDevice: names a tunnel that leads elsewhere with our mark", async () => {
  const kernel = home();
  const first = open(kernel).network;
  await first.configure(ADDRESSES);
  await first.setRoutes(networks("10.1.0.0/16"));
  assert.equal(await first.otherDevice(), undefined);
  kernel.interfaces.set(18, "utun6");
  assert.equal(await open(kernel, { device: "utun6" }).network.otherDevice(), "utun5");
  assert.equal(await open(kernel, { device: "utun6", routing: "main" }).network.otherDevice(), undefined);
});

Deno.test("DarwinNetwork: a gateway's routes are its own, and it leaves those of others alone", async () => {
  const kernel = home();
  kernel.interfaces.set(18, "utun6");
  kernel.add("10.7.0.0/16", undefined, 18, Flag.static | Flag.proto1);
  const { network } = open(kernel, { routing: "main" });
  await network.configure(ADDRESSES);
  await network.setBypass(addresses("203.0.113.9"));
  await network.setRoutes(networks("100.64.0.0/11", "0.0.0.0/0"));
  assert.deepEqual(kernel.log, ["add 100.64.0.0/11 utun5"]);
  assert.deepEqual(await network.undo(), ["route 100.64.0.0/11"]);
  assert.ok(kernel.routes.has("10.7.0.0/16"));
});

Deno.test("DarwinNetwork.degraded: says what macOS cannot do, and warns once", async () => {
  const kernel = home();
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message), part: () => log };
  const { network } = open(kernel, { lan: "deny", log });
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("10.1.0.0/16"));
  assert.deepEqual(network.degraded, []);
  await network.setRoutes(networks("0.0.0.0/0"));
  await network.setRoutes(networks("0.0.0.0/0", "10.1.0.0/16"));
  assert.equal(network.degraded.length, 1);
  assert.deepEqual(warnings, network.degraded);
  await network.setLan("allow");
  assert.deepEqual(network.degraded, []);
  // A resource that is the local network itself.
  await network.setRoutes(networks("192.168.1.0/24"));
  assert.match(network.degraded[0]!, /machine's own/);
});

Deno.test("DarwinNetwork: whatever is asked for in which order, undo leaves the table as it was", async () => {
  const some = fc.subarray([
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "172.20.0.0/24",
    "2001:db8::/32",
  ]);
  const step = fc.oneof(
    some.map((routes) => ({ type: "routes", routes } as const)),
    some.map((routes) => ({ type: "excluded", routes } as const)),
    fc.subarray(["203.0.113.9", "10.1.2.3", "2001:db8:1::5", "192.168.1.1"])
      .map((routes) => ({ type: "bypass", routes } as const)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      const kernel = home();
      const before = kernel.text();
      const { network, journal } = open(kernel);
      await network.configure(ADDRESSES);
      for (const { type, routes } of steps) {
        if (type === "routes") await network.setRoutes(networks(...routes));
        else if (type === "excluded") await network.setExcluded(networks(...routes));
        else await network.setBypass(addresses(...routes));
        // Nothing of the machine's is ever gone.
        assert.deepEqual(before.filter((route) => !kernel.text().includes(route)), []);
      }
      await network.undo();
      assert.deepEqual(kernel.text(), before);
      assert.equal(journal.changes.size, 0);
    }),
  );
});

Deno.test("WayOut: keeps sockets on the interface of the default route, and in no circle without one", async () => {
  const kernel = home();
  const wayOut = new WayOut(kernel);
  const bound: number[] = [];
  const socket = { family: 4 as Family, bindInterface: (index: number) => void bound.push(index) };
  wayOut.add(socket);
  assert.deepEqual(bound, [4]);
  wayOut.follow();
  assert.deepEqual(bound, [4]);
  // A table that the kernel did not give says nothing of the way out.
  const dump = kernel.dumpRoutes.bind(kernel);
  kernel.dumpRoutes = (family) => family === 4 ? new Uint8Array() : dump(family);
  wayOut.follow();
  assert.deepEqual(bound, [4]);
  kernel.dumpRoutes = dump;
  kernel.routes.delete("0.0.0.0/0");
  wayOut.follow();
  assert.deepEqual(bound, [4, 0]);
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("0.0.0.0/0"));
  wayOut.follow();
  // lo0: nothing leaves, and nothing comes back into the tunnel.
  assert.deepEqual(bound, [4, 0, 1]);
  kernel.add("0.0.0.0/0", "10.9.0.1", 7, Flag.static);
  wayOut.follow();
  assert.deepEqual(bound, [4, 0, 1, 7]);
  wayOut.remove(socket);
  kernel.routes.delete("0.0.0.0/0");
  wayOut.follow();
  assert.deepEqual(bound, [4, 0, 1, 7]);
});

Deno.test("networkPath: is the default routes and their addresses, whatever our own routes are", async () => {
  const kernel = home();
  const interfaces: NetworkInterface[] = [
    { name: "lo0", family: "IPv4", address: "127.0.0.1", cidr: "127.0.0.1/8" },
    { name: "en0", family: "IPv4", address: "192.168.1.5", cidr: "192.168.1.5/24" },
    { name: "en0", family: "IPv6", address: "fe80::c:1", cidr: "fe80::c:1/64" },
    { name: "en0", family: "IPv6", address: "2001:db8:1::c:1", cidr: "2001:db8:1::c:1/64" },
    { name: "en0", family: "IPv6", address: "2001:db8:1::dead", cidr: "2001:db8:1::dead/64" },
    { name: "en1", family: "IPv4", address: "10.9.0.7", cidr: "10.9.0.7/16" },
  ];
  const path = networkPath(kernel, interfaces, "utun5");
  assert.equal(
    path,
    "en0 via 192.168.1.1; en0 via fe80::1; en0 in 192.168.1.5; en0 in 2001:db8:1::/64",
  );
  const { network } = open(kernel);
  await network.configure(ADDRESSES);
  await network.setRoutes(networks("0.0.0.0/0", "::/0", "10.1.0.0/16"));
  assert.equal(networkPath(kernel, interfaces, "utun5"), path);
  kernel.routes.delete("0.0.0.0/0");
  kernel.routes.delete("::/0");
  assert.equal(networkPath(kernel, interfaces, "utun5"), "");
});
