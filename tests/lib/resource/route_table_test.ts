import assert from "node:assert/strict";
import * as fc from "fast-check";
import { IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import type { Filter } from "../../../lib/resource/filter.ts";
import { FilterSet, PERMIT_ALL } from "../../../lib/resource/filter.ts";
import type { Route } from "../../../lib/resource/route_table.ts";
import { RouteTable } from "../../../lib/resource/route_table.ts";
import type { Transport } from "../../../lib/wire/ip.ts";
import { parsePacket } from "../../../lib/wire/ip.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";

const ONLY_80 = new FilterSet([{ protocol: "tcp", ports: { first: 80, last: 80 } }]);
const ONLY_ICMP = new FilterSet([{ protocol: "icmp" }]);

function table(...routes: [network: string, id: string, filters?: FilterSet][]): RouteTable<string> {
  const made = new RouteTable<string>();
  for (const [network, id, filters] of routes) {
    made.set({ network: IpNetwork.from(network), id, filters: filters ?? PERMIT_ALL, value: id });
  }
  return made;
}

function best(routes: RouteTable<string>, address: string, transport: Transport = "tcp", port = 80): string {
  const match = routes.lookup(IpAddress.from(address), transport, port);
  return match === undefined ? "none" : `${match.route.value} ${match.permitted ? "permitted" : "denied"}`;
}

Deno.test("RouteTable prefers the longest prefix", () => {
  const routes = table(["10.0.0.0/8", "wide"], ["10.1.0.0/16", "narrow"], ["0.0.0.0/0", "all"]);
  assert.equal(best(routes, "10.1.2.3"), "narrow permitted");
  assert.equal(best(routes, "10.2.2.3"), "wide permitted");
  assert.equal(best(routes, "11.2.2.3"), "all permitted");
  assert.equal(best(routes, "::1"), "none");
});

Deno.test("RouteTable prefers an entry that permits the packet over a longer prefix", () => {
  const routes = table(["10.0.0.0/8", "wide", ONLY_80], ["10.1.0.0/16", "narrow", ONLY_ICMP]);
  assert.equal(best(routes, "10.1.0.1"), "wide permitted");
  assert.equal(best(routes, "10.1.0.1", "icmp"), "narrow permitted");
  assert.equal(best(routes, "10.1.0.1", "udp"), "narrow denied");
});

Deno.test("RouteTable prefers the greater id within a network", () => {
  const routes = table(["10.0.0.0/8", "b"], ["10.0.0.0/8", "c"], ["10.0.0.0/8", "a"], [
    "10.0.0.0/8",
    "d",
    ONLY_ICMP,
  ]);
  assert.equal(best(routes, "10.0.0.1"), "c permitted");
  routes.delete(IpNetwork.from("10.0.0.0/8"), "c");
  assert.equal(best(routes, "10.0.0.1"), "b permitted");
});

Deno.test("RouteTable.covering lists all entries of an address, longest prefix first", () => {
  const routes = table(["0.0.0.0/0", "a"], ["10.0.0.0/8", "b"], ["10.0.0.0/8", "c"], ["10.0.0.1/32", "d"], [
    "11.0.0.0/8",
    "e",
  ]);
  assert.deepEqual(routes.covering(IpAddress.from("10.0.0.1")).map((route) => route.id), [
    "d",
    "c",
    "b",
    "a",
  ]);
});

Deno.test("RouteTable looks addresses up straight in packets", () => {
  const routes = table(["192.0.2.0/24", "server"], ["100.64.0.0/11", "peers", ONLY_ICMP]);
  const packet = parsePacket(buildUdp({
    source: IpAddress.from("100.64.0.1"),
    destination: IpAddress.from("192.0.2.7"),
    sourcePort: 1,
    destinationPort: 2,
    payload: new Uint8Array(0),
  }));
  assert(packet.ok);
  assert.equal(routes.lookupDestination(packet.value)?.route.id, "server");
  assert.deepEqual(routes.lookupSource(packet.value)?.permitted, false);
});

/** Few bits vary, so that networks nest and collide often. */
const network = fc.oneof(
  fc.tuple(fc.constantFrom("10.0.0.0", "10.0.0.7", "10.128.0.1", "11.0.0.0", "138.0.0.1"), fc.nat(32)),
  fc.tuple(fc.constantFrom("fd00::", "fd00::1", "fd00:8000::", "2001:db8::ff", "::"), fc.nat(128)),
).map(([text, prefix]) => new IpNetwork(IpAddress.from(text), prefix));
const address = fc.constantFrom(
  "10.0.0.0",
  "10.0.0.6",
  "10.255.0.1",
  "11.0.0.9",
  "138.0.0.1",
  "fd00::1",
  "fd00:8000::5",
  "2001:db8::fe",
  "::",
)
  .map(IpAddress.from);
const filters = fc.constantFrom<readonly Filter[]>(
  ...[PERMIT_ALL, ONLY_80, ONLY_ICMP].map((set) => set.filters),
).map((
  list,
) => new FilterSet(list));
const operation = fc.record({
  kind: fc.constantFrom("set", "set", "delete"),
  network,
  id: fc.constantFrom("a", "b", "c"),
  filters,
});

Deno.test("RouteTable agrees with a slow list after any sets and deletes", () => {
  const transport = fc.constantFrom<Transport>("tcp", "udp", "icmp", "other");
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 40 }),
      fc.array(address, { maxLength: 5 }),
      transport,
      (operations, addresses, kind) => {
        const routes = new RouteTable<number>();
        let list: Route<number>[] = [];
        operations.forEach((step, value) => {
          const isSame = (route: Route<number>) => route.id === step.id && route.network.equals(step.network);
          const existed = list.some(isSame);
          list = list.filter((route) => !isSame(route));
          if (step.kind === "set") {
            const route = { network: step.network, id: step.id, filters: step.filters, value };
            list.push(route);
            routes.set(route);
          } else {
            assert.equal(routes.delete(step.network, step.id), existed);
          }
        });
        assert.equal(routes.size, list.length);
        assert.deepEqual(
          new Set([...routes].map((route) => route.value)),
          new Set(list.map((route) => route.value)),
        );
        for (const candidate of addresses) {
          const expected = slowBest(list, candidate, kind);
          assert.equal(routes.lookup(candidate, kind, 80)?.route, expected);
          assert.equal(routes.lookup(candidate, kind, 80)?.permitted, expected?.filters.permits(kind, 80));
          assert.equal(
            routes.covering(candidate).length,
            list.filter((route) => route.network.contains(candidate)).length,
          );
        }
      },
    ),
    { numRuns: 500 },
  );
});

function slowBest(list: Route<number>[], target: IpAddress, transport: Transport): Route<number> | undefined {
  const rank = (route: Route<number>) =>
    (route.filters.permits(transport, 80) ? 1000 : 0) + route.network.prefix;
  return list.filter((route) => route.network.contains(target)).sort((a, b) =>
    rank(b) - rank(a) || (a.id < b.id ? 1 : -1)
  )[0];
}
