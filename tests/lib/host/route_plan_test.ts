import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import { PROXY_RANGES } from "../../../lib/dns/proxy_ips.ts";
import { SENTINEL_RANGES } from "../../../lib/dns/sentinels.ts";
import { excludedBy, NO_WISHES, planRoutes, type RouteWishes } from "../../../lib/host/route_plan.ts";
import { routeKey, routeSteps, ruleKey } from "../../../lib/host/route_steps.ts";
import { after, deviceOf, type Packet } from "./kernel_model.ts";

const MARK = 0xfd00_2021;
/** The machine: a LAN and a static route behind a router of each family, and the way out. */
const MAIN = [
  ["192.168.0.0/28", "eth0"],
  ["10.0.0.0/29", "eth1"],
  ["0.0.0.0/0", "eth0"],
  ["fd00::/124", "eth0"],
  ["2001:db8::/125", "eth1"],
  ["::/0", "eth0"],
].map(([network, device]) => ({ destination: IpNetwork.from(network!), device: device! }));

// Few bits vary, so that networks and packets meet.
const address = fc.tuple(
  fc.constantFrom(
    ...["192.168.0.0", "10.0.0.0", "8.8.8.0", "169.254.169.224", "224.0.0.224", "255.255.255.224"],
    ...["100.96.0.0", "100.100.111.0", "fd00::", "2001:db8::", "fd00:2021:1111:8000:100:100:111:0"],
  ),
  fc.nat(31),
).map(([base, low]) => IpAddress.from(base).plus(low));
const network = fc.tuple(address, fc.nat(6)).map(([ip, bits]) =>
  new IpNetwork(ip, ip.bytes.length * 8 - bits)
);
/** Stand-ins and resolvers, which every session routes: they stay in the tunnel where a network is excluded that covers them. */
const NAMES = [...PROXY_RANGES, ...SENTINEL_RANGES];
/** They cover stand-ins, resolvers, or the latter alone. */
const wide = fc.constantFrom(
  "100.64.0.0/10",
  "100.96.0.0/11",
  "100.100.0.0/16",
  "100.100.111.0/24",
  "fd00::/8",
)
  .map((text) => IpNetwork.from(text));
const internet = fc.constantFrom([], ["0.0.0.0/0", "::/0"].map(IpNetwork.from));
const wishes: fc.Arbitrary<RouteWishes> = fc.record({
  ruleFamilies: fc.constant([4, 6] as const),
  mark: fc.constant(MARK),
  device: fc.constant(7),
  families: fc.constantFrom([4, 6] as const, [4] as const, [6] as const, []),
  routes: fc.tuple(fc.constant(NAMES), fc.array(network, { maxLength: 5 }), internet).map((parts) =>
    parts.flat()
  ),
  excluded: fc.array(fc.oneof(network, wide), { maxLength: 3 }),
  lan: fc.constantFrom("allow" as const, "deny" as const),
  bypass: fc.array(address, { maxLength: 3 }),
  localPorts: fc.array(fc.constantFrom(52_625, 4000), { maxLength: 3 }),
  servedPorts: fc.array(fc.constantFrom(22, 443), { maxLength: 2 }),
  lateLocal: fc.constantFrom([], [4, 6] as const),
});
const packet: fc.Arbitrary<Packet> = fc.tuple(
  address,
  fc.constantFrom(undefined, MARK),
  fc.constantFrom({ udpSourcePort: 4000 }, { udpSourcePort: 53 }, { tcpSourcePort: 22 }, {
    tcpSourcePort: 5000,
  }),
)
  .map(([destination, mark, ports]): Packet => ({
    destination,
    ...ports,
    ...(mark === undefined ? {} : { mark }),
  }));

const ON_LINK = /^(169\.254\.|224\.|255\.255\.255\.255$)/;
const isIn = (ip: IpAddress, networks: readonly IpNetwork[]) => networks.some((each) => each.contains(ip));
const isKept = (ip: IpAddress, excluded: readonly IpNetwork[]) =>
  NAMES.some((names) =>
    names.contains(ip) && excluded.some((each) => each.prefix <= names.prefix && each.contains(names.address))
  );
const ownRoute = (ip: IpAddress) => MAIN.find(({ destination }) => destination.contains(ip))!;

Deno.test("planRoutes: leads each packet as its tier says", () => {
  fc.assert(
    fc.property(wishes, packet, (wanted, sent) => {
      const { destination: ip } = sent;
      const device = deviceOf(sent, planRoutes(wanted), MAIN);
      const own = ownRoute(ip);
      const isOfResource = isIn(ip, wanted.routes.filter(({ prefix }) => prefix > 0));
      if (
        wanted.families.includes(ip.family) && sent.mark !== MARK && isOfResource &&
        isKept(ip, wanted.excluded)
      ) {
        return assert.equal(device, "fz");
      }
      const passes = sent.mark === MARK || isIn(ip, wanted.excluded) || wanted.bypass.some((each) =>
        each.equals(ip)
      ) ||
        (ip.family === 4 && wanted.localPorts.includes(sent.udpSourcePort!)) ||
        !wanted.families.includes(ip.family);
      if (passes) return assert.equal(device, own.device);
      if (isOfResource) return assert.equal(device, "fz");
      const isFull = isIn(ip, wanted.routes);
      const isLocal = own.destination.prefix > 0 || ON_LINK.test(String(ip));
      const isAnswer = wanted.servedPorts.includes(sent.tcpSourcePort!);
      assert.equal(device, isFull && !((isLocal || isAnswer) && wanted.lan === "allow") ? "fz" : own.device);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("planRoutes: leads what passes by nowhere rather than into the tunnel when the machine has no route", () => {
  fc.assert(fc.property(wishes, packet, (wanted, sent) => {
    const device = deviceOf(sent, planRoutes(wanted), []);
    const isOut = isIn(sent.destination, wanted.excluded) && !isKept(sent.destination, wanted.excluded);
    if (sent.mark === MARK || isOut) assert.equal(device, undefined);
  }));
});

Deno.test("planRoutes: cuts what passes by out of routes in the main table, and sets no default route there", () => {
  fc.assert(fc.property(wishes, packet, (wanted, sent) => {
    const plan = planRoutes({ ...wanted, ruleFamilies: [] });
    assert.deepEqual(plan.rules, []);
    assert.ok(plan.routes.every(({ destination, table }) => destination.prefix > 0 && table === 254));
    const { destination: ip } = sent;
    const isOut = isIn(ip, wanted.excluded) || wanted.bypass.some((each) => each.equals(ip));
    const isWanted = wanted.families.includes(ip.family) &&
      isIn(ip, wanted.routes.filter(({ prefix }) => prefix > 0));
    const hasRoute = isIn(ip, plan.routes.map(({ destination }) => destination));
    assert.equal(hasRoute, isWanted && !isOut);
  }));
});

Deno.test("planRoutes: needs the local networks' rule only while the Internet resource is on", () => {
  const count = (routes: string[], lan: "allow" | "deny") =>
    planRoutes({ ...NO_WISHES, mark: MARK, families: [4, 6], routes: routes.map(IpNetwork.from), lan })
      .rules.filter(({ priority }) => priority === 200).map(({ family }) => family);
  assert.deepEqual(count(["10.0.0.0/8"], "allow"), []);
  assert.deepEqual(count(["0.0.0.0/0", "::/0"], "allow"), [4, 6]);
  assert.deepEqual(count(["0.0.0.0/0"], "allow"), [4]);
  assert.deepEqual(count(["0.0.0.0/0", "::/0"], "deny"), []);
});

Deno.test("routeSteps: arrive at the plan, and change nothing that is in it already", () => {
  fc.assert(fc.property(wishes, wishes, (one, other) => {
    const [present, wanted] = [planRoutes(one), planRoutes(other)];
    const reached = routeSteps(present, wanted).reduce(after, present);
    assert.deepEqual(reached.rules.map(ruleKey).sort(), wanted.rules.map(ruleKey).sort());
    assert.deepEqual(reached.routes.map(routeKey).sort(), wanted.routes.map(routeKey).sort());
    assert.deepEqual(routeSteps(wanted, wanted), []);
    const known = new Set([...present.rules.map(ruleKey), ...present.routes.map(routeKey)]);
    for (const step of routeSteps(present, wanted)) {
      if (step.type === "remove-rule") assert.ok(known.has(ruleKey(step.rule)));
      if (step.type === "remove-route") assert.ok(known.has(routeKey(step.route)));
    }
  }));
});

Deno.test("routeSteps: lead a packet at every moment as before or as after", () => {
  fc.assert(
    fc.property(wishes, wishes, fc.array(packet, { minLength: 5, maxLength: 15 }), (one, other, packets) => {
      let plan = planRoutes(one);
      const wanted = planRoutes(other);
      const steps = routeSteps(plan, wanted);
      const allowed = packets.map((sent) => [deviceOf(sent, plan, MAIN), deviceOf(sent, wanted, MAIN)]);
      for (const step of steps) {
        plan = after(plan, step);
        packets.forEach((sent, index) => {
          const device = deviceOf(sent, plan, MAIN);
          assert.ok(
            allowed[index]!.includes(device),
            `${sent.destination}: ${device} after ${JSON.stringify(step)}`,
          );
        });
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("routeSteps: lead nothing that is marked, excluded or bypassed into the tunnel on the way from nothing and back", () => {
  fc.assert(
    fc.property(wishes, fc.array(packet, { minLength: 5, maxLength: 15 }), (wanted, packets) => {
      const nothing = planRoutes(NO_WISHES);
      let plan = nothing;
      for (const goal of [planRoutes(wanted), nothing]) {
        for (const step of routeSteps(plan, goal)) {
          plan = after(plan, step);
          for (const sent of packets) {
            if (sent.mark !== MARK && isKept(sent.destination, wanted.excluded)) continue;
            const passes = sent.mark === MARK || isIn(sent.destination, wanted.excluded) ||
              wanted.bypass.some((each) => each.equals(sent.destination));
            if (passes) assert.notEqual(deviceOf(sent, plan, MAIN), "fz");
          }
        }
      }
      assert.deepEqual(plan, nothing);
    }),
    { numRuns: 500 },
  );
});

Deno.test("excludedBy: our resolvers stay in the tunnel under what covers them all, not what names one of them", () => {
  const excludes = (networks: readonly string[], address: string) => {
    const network = excludedBy(networks.map((text) => IpNetwork.from(text)), IpAddress.from(address));
    return network && String(network);
  };
  assert.equal(excludes(["10.0.0.0/8"], "10.1.2.3"), "10.0.0.0/8");
  assert.equal(excludes(["10.0.0.0/8"], "11.1.2.3"), undefined);
  assert.equal(excludes(["100.64.0.0/10"], "100.70.0.1"), "100.64.0.0/10");
  assert.equal(excludes(["100.64.0.0/10"], "100.100.111.1"), undefined);
  assert.equal(excludes(["0.0.0.0/0"], "100.96.0.1"), undefined);
  assert.equal(excludes(["100.100.111.1/32"], "100.100.111.1"), "100.100.111.1/32");
});
