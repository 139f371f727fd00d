import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { addAddress, readLinkAddress } from "../../ffi/linux/netlink/address.ts";
import { changeLink, readLink } from "../../ffi/linux/netlink/link.ts";
import {
  attribute,
  attribute32,
  attributeNest,
  attributeText,
  encodeMessage,
  read32,
  readAttributes,
  readMessages,
  readText,
  readVerdict,
} from "../../ffi/linux/netlink/message.ts";
import { addRoute, readRoute, type RouteSpec, type RouteType } from "../../ffi/linux/netlink/route.ts";
import { addRule, readRule, type RuleSpec } from "../../ffi/linux/netlink/rule.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replace(/\s+/g, ""));
}

const octets = fc.uint8Array({ minLength: 4, maxLength: 4 });
const network = fc.oneof(
  fc.tuple(octets, fc.integer({ min: 0, max: 32 })),
  fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 })),
).map(([bytes, prefix]) => new IpNetwork(IpAddress.fromBytes(bytes), prefix));
const u32 = fc.integer({ min: 0, max: 0xffffffff });

/** What was not given is not there. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

Deno.test("encodeMessage: lays out header, structure and attributes as linux/netlink.h has it", () => {
  // RTM_NEWROUTE 24; NLM_F_REQUEST 1, EXCL 0x200, CREATE 0x400; 10.9.0.0/16 dev 7 table 0x2021fd00 proto 70 scope link.
  const request = addRoute({
    destination: IpNetwork.from("10.9.0.0/16"),
    table: 0x2021fd00,
    protocol: 70,
    index: 7,
  });
  assert.deepEqual(
    encodeMessage({ ...request, flags: request.flags | 1 }, 0x01020304),
    hex(`34000000 1800 0106 04030201 00000000
      02 10 00 00 00 46 fd 01 00000000
      0800 0f00 00fd2120 0800 0100 0a090000 0800 0400 07000000`),
  );
});

Deno.test("addRule: lays out an inverted mark as linux/fib_rules.h has it", () => {
  const rule = {
    family: 4,
    priority: 100,
    table: 0x2021fd00,
    protocol: 70,
    mark: 0xfd002021,
    not: true,
  } as const;
  assert.deepEqual(
    addRule(rule).body,
    hex(`02 00 00 00 00 00 00 01 02000000
      0800 0600 64000000 0800 0f00 00fd2120 0500 1500 46000000
      0800 0a00 212000fd 0800 1000 ffffffff`),
  );
});

Deno.test("changeLink: nests the way of making IPv6 addresses", () => {
  assert.deepEqual(
    changeLink({ index: 3, up: true, addrGenModeNone: true }).body,
    hex(`00000000 03000000 01000000 01000000
      1000 1a80 0c00 0a80 0500 0800 01000000`),
  );
});

Deno.test("readMessages: returns what is whole, and its attributes", () => {
  const body = new Uint8Array([
    ...attribute32(4, 0xdeadbeef),
    ...attributeText(3, "eth0"),
    ...attributeNest(5, attribute(6, Uint8Array.of(1, 2, 3))),
  ]);
  const one = encodeMessage({ type: 16, flags: 2, body }, 9);
  const two = encodeMessage({ type: 17, flags: 0, body: Uint8Array.of(1) }, 10);
  const messages = readMessages(new Uint8Array([...one, ...two, ...one.subarray(0, 30)]));
  assert.deepEqual(messages.map(({ type, sequence }) => [type, sequence]), [[16, 9], [17, 10]]);
  const attributes = readAttributes(messages[0]!.body);
  assert.equal(read32(attributes.get(4)), 0xdeadbeef);
  assert.equal(readText(attributes.get(3)), "eth0");
  assert.deepEqual([...readAttributes(attributes.get(5)!).get(6)!], [1, 2, 3]);
  assert.deepEqual([...messages[1]!.body], [1]);
});

Deno.test("readVerdict: finds the number and the kernel's words, with and without the request repeated", () => {
  const message = (type: number, flags: number, body: Uint8Array) => ({ type, flags, sequence: 1, body });
  const header = "14000000 1900 0100 01000000 00000000";
  const request = `${header} deadbeef`;
  const words = attributeText(1, "Nexthop has invalid gateway").toHex();
  const expected = { errno: 101, text: "Nexthop has invalid gateway" };
  assert.deepEqual(readVerdict(message(2, 0x200, hex(`9bffffff ${request} ${words}`))), expected);
  assert.deepEqual(
    readVerdict(message(2, 0x300, hex(`9bffffff ${header} ${words}`))),
    expected,
  );
  assert.deepEqual(readVerdict(message(3, 0x202, hex(`9bffffff ${words}`))), expected);
  assert.deepEqual(readVerdict(message(2, 0x100, hex(`00000000 ${header}`))), {
    errno: 0,
    text: undefined,
  });
  assert.deepEqual(readVerdict(message(3, 2, hex("00000000"))), { errno: 0, text: undefined });
  assert.equal(readVerdict(message(24, 2, hex("00000000"))), undefined);
});

Deno.test("readRoute: reads what addRoute wrote", () => {
  const types: RouteType[] = ["unicast", "local", "blackhole", "unreachable", "prohibit", "throw"];
  const route = fc.record({
    destination: network,
    table: fc.integer({ min: 1, max: 0xffffffff }),
    protocol: fc.integer({ min: 0, max: 255 }),
    type: fc.constantFrom(...types),
    scope: fc.constantFrom(0, 200, 253, 254),
    index: fc.option(u32, { nil: undefined }),
    metric: fc.option(u32, { nil: undefined }),
    gateway: fc.option(network.map(({ address }) => address), { nil: undefined }),
  }).map((spec) => defined(spec) as RouteSpec);
  fc.assert(fc.property(route, (spec) => {
    const { type, body } = addRoute(spec);
    const family = spec.destination.family;
    assert.deepEqual(readRoute(type, body), { ...spec, family, isDead: false });
    assert.equal(readRoute(type, body, { table: spec.table ^ 1 }), undefined);
    assert.equal(readRoute(type, body, { family: family === 4 ? 6 : 4 }), undefined);
    assert.equal(readRoute(type, body, { prefix: spec.destination.prefix + 1 }), undefined);
  }));
});

Deno.test("readRule: reads what addRule wrote", () => {
  const port = fc.integer({ min: 0, max: 0xffff });
  const ports = fc.option(fc.tuple(port, port).map(([first, last]) => ({ first, last })), { nil: undefined });
  const rule = fc.record({
    priority: u32,
    table: fc.integer({ min: 1, max: 0xffffffff }),
    protocol: fc.integer({ min: 0, max: 255 }),
    not: fc.boolean(),
    action: fc.constant("lookup" as const),
    mark: fc.option(u32, { nil: undefined }),
    mask: fc.option(fc.integer({ min: 0, max: 0xfffffffe }), { nil: undefined }),
    destination: network,
    inputLink: fc.option(fc.constantFrom("lo", "eth0"), { nil: undefined }),
    outputLink: fc.option(fc.constantFrom("lo", "eth0"), { nil: undefined }),
    ipProtocol: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
    sourcePort: ports,
    destinationPort: ports,
    suppressPrefixLength: fc.option(fc.integer({ min: 0, max: 128 }), { nil: undefined }),
  }).map(({ mask, ...spec }) =>
    defined({
      ...spec,
      family: spec.destination.family,
      mask: spec.mark === undefined ? undefined : mask,
    }) as RuleSpec
  );
  fc.assert(fc.property(rule, (spec) => {
    const { type, body } = addRule(spec);
    assert.deepEqual(readRule(type, body), spec);
  }));
});

Deno.test("readLinkAddress: reads what addAddress wrote", () => {
  fc.assert(fc.property(network, u32, fc.boolean(), ({ address, prefix, family }, index, nodad) => {
    const { type, body } = addAddress({ index, address, prefix, nodad });
    const flags = nodad && family === 6 ? 2 : 0;
    assert.deepEqual(readLinkAddress(type, body), { family, index, address, prefix, scope: 0, flags });
  }));
});

Deno.test("readMessages, readVerdict, readLink, readRoute, …: take any bytes without throwing", () => {
  const readAll = (bytes: Uint8Array) => {
    for (const message of readMessages(bytes)) {
      readVerdict(message);
      readLink(message.type, message.body);
      readLinkAddress(message.type, message.body);
      readRoute(message.type, message.body);
      readRule(message.type, message.body);
    }
  };
  const type = fc.constantFrom(2, 3, 16, 20, 24, 32);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readAll));
  // Bodies that get as far as the attributes: the family at the front, lengths that may fit.
  const attributes = fc.array(
    fc.tuple(
      fc.integer({ min: 0, max: 31 }),
      fc.uint8Array({ maxLength: 24 }),
      fc.integer({ min: -3, max: 3 }),
    ),
  ).map((list) =>
    list.flatMap(([number, value, slip]) => {
      const bytes = [...attribute(number, value)];
      bytes[0] = (bytes[0]! + slip) & 0xff;
      return bytes;
    })
  );
  const head = fc.tuple(fc.constantFrom(2, 10), fc.uint8Array({ minLength: 3, maxLength: 15 }));
  fc.assert(
    fc.property(
      type,
      head,
      attributes,
      u32,
      fc.integer({ min: 0, max: 0xffff }),
      (type, [family, rest], tail, sequence, flags) => {
        readAll(encodeMessage({ type, flags, body: new Uint8Array([family, ...rest, ...tail]) }, sequence));
      },
    ),
    { numRuns: 2000 },
  );
});
