import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { Filter } from "../../../lib/resource/filter.ts";
import { filterFromWire, FilterSet, PERMIT_ALL } from "../../../lib/resource/filter.ts";
import { parsePacket } from "../../../lib/wire/ip.ts";
import { packetBytes } from "../wire/packets.ts";

const portNumber = fc.integer({ min: 0, max: 65535 });
const filter: fc.Arbitrary<Filter> = fc.oneof(
  fc.constant<Filter>({ protocol: "icmp" }),
  fc.tuple(fc.constantFrom<"tcp" | "udp">("tcp", "udp"), portNumber, portNumber).map((
    [protocol, first, last],
  ) => ({
    protocol,
    ports: { first, last },
  })),
);

Deno.test("FilterSet without filters permits every protocol", () => {
  for (const transport of ["tcp", "udp", "icmp", "other"] as const) {
    assert.equal(PERMIT_ALL.permits(transport, 0), true);
  }
});

Deno.test("FilterSet includes both ends of a port range", () => {
  const set = new FilterSet([{ protocol: "tcp", ports: { first: 80, last: 81 } }]);
  assert.deepEqual([79, 80, 81, 82].map((port) => set.permits("tcp", port)), [false, true, true, false]);
  assert.equal(set.permits("udp", 80), false);
  assert.equal(set.permits("icmp", 80), false);
  assert.equal(set.permits("other", 80), false);
});

Deno.test("FilterSet with icmp permits ICMP only", () => {
  const set = new FilterSet([{ protocol: "icmp" }]);
  assert.equal(set.permits("icmp", 0), true);
  assert.equal(set.permits("tcp", 0), false);
});

Deno.test("FilterSet agrees with a look at each filter", () => {
  fc.assert(
    fc.property(
      fc.array(filter, { minLength: 1, maxLength: 20 }),
      fc.constantFrom<"tcp" | "udp">("tcp", "udp"),
      portNumber,
      (filters, transport, port) => {
        const expected = filters.some((candidate) =>
          candidate.protocol === transport && "ports" in candidate && candidate.ports.first <= port &&
          port <= candidate.ports.last
        );
        assert.equal(new FilterSet(filters).permits(transport, port), expected);
      },
    ),
  );
});

Deno.test("FilterSet is symmetric: what may go to a port may come from it", () => {
  fc.assert(fc.property(packetBytes, fc.array(filter, { maxLength: 4 }), (bytes, filters) => {
    const set = new FilterSet(filters);
    const packet = parsePacket(bytes);
    assert(packet.ok);
    const forth = set.permitsTo(packet.value);
    const { sourcePort, destinationPort } = packet.value;
    packet.value.setSourcePort(destinationPort);
    packet.value.setDestinationPort(sourcePort);
    if (!packet.value.isEcho) assert.equal(set.permitsFrom(packet.value), forth);
  }));
});

Deno.test("filterFromWire reads ranges and ICMP", () => {
  const wire = { protocol: "udp", port_range_start: 5, port_range_end: 6 } as const;
  assert.deepEqual(filterFromWire(wire), { protocol: "udp", ports: { first: 5, last: 6 } });
  assert.deepEqual(filterFromWire({ protocol: "icmp" }), { protocol: "icmp" });
});

Deno.test("FilterSet.equals compares content", () => {
  const a = new FilterSet([{ protocol: "icmp" }, { protocol: "tcp", ports: { first: 1, last: 2 } }]);
  const b = new FilterSet([{ protocol: "icmp" }, { protocol: "tcp", ports: { first: 1, last: 2 } }]);
  assert.equal(a.equals(b), true);
  assert.equal(
    a.equals(new FilterSet([{ protocol: "icmp" }, { protocol: "tcp", ports: { first: 1, last: 3 } }])),
    false,
  );
  assert.equal(a.equals(PERMIT_ALL), false);
});
