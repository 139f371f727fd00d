import assert from "node:assert/strict";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { formatAddress, parseAddress } from "../../../lib/base/ip_text.ts";

const octets4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Zero groups often, so that every shape of "::" comes up. */
const octets6 = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
  minLength: 8,
  maxLength: 8,
}).map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));
const octets = fc.oneof(octets4, octets6);

Deno.test("formatAddress: writes what ipaddr.js writes", () => {
  fc.assert(
    fc.property(octets, (bytes) => {
      assert.equal(formatAddress(bytes), ipaddr.fromByteArray([...bytes]).toString());
    }),
    { numRuns: 1000 },
  );
});

Deno.test("parseAddress: reads what formatAddress writes, and every long form", () => {
  fc.assert(
    fc.property(octets, (bytes) => {
      assert.deepEqual(parseAddress(formatAddress(bytes)), bytes);
      const long = ipaddr.fromByteArray([...bytes]);
      assert.deepEqual(parseAddress(long.toNormalizedString()), bytes);
      if (long instanceof ipaddr.IPv6) {
        assert.deepEqual(parseAddress(long.toNormalizedString().toUpperCase()), bytes);
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("parseAddress: takes and turns down what ipaddr.js does, for texts of its letters", () => {
  // IPv4 in IPv6 is left out: there ipaddr.js takes octal and hexadecimal parts, too.
  const six = fc.string({
    unit: fc.constantFrom("0", "1", "f", "A", ":", "::", "g", "12345"),
    maxLength: 24,
  });
  const four = fc.string({ unit: fc.constantFrom("0", "1", "25", "5", ".", "-", " "), maxLength: 16 });
  fc.assert(
    fc.property(fc.oneof(six, four), (text) => {
      const isValid = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
      const expected = isValid ? Uint8Array.from(ipaddr.parse(text).toByteArray()) : undefined;
      assert.deepEqual(parseAddress(text), expected);
    }),
    { numRuns: 5000 },
  );
});

Deno.test("parseAddress: reads the forms of RFC 4291 §2.2, and nothing beside them", () => {
  const table: [string, string | undefined][] = [
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["FF01::101", "ff01::101"],
    ["::13.1.68.3", "::d01:4403"],
    ["::FFFF:129.144.52.38", "::ffff:8190:3426"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
    ["1:2:3:4:5:6:7:1.2.3.4", undefined],
    ["1.2.3.4::", undefined],
    ["1.2.3.4:1::", undefined],
    ["::1.2.3", undefined],
    ["::1.2.3.400", undefined],
    ["::01.2.3.4", undefined],
    ["1::2::3", undefined],
    [":::", undefined],
    [":1:2:3:4:5:6:7:8", undefined],
    ["1:2:3:4:5:6:7:8:", undefined],
    ["1:2:3:4:5:6:7", undefined],
    ["1:2:3:4:5:6:7:8:9", undefined],
    ["1:2:3:4::5:6:7:8", undefined],
    ["fe80::1%eth0", undefined],
    ["[::1]", undefined],
    ["::1/128", undefined],
    ["", undefined],
    ["1.2.3", undefined],
    ["1.2.3.4.5", undefined],
    ["1.2.3.256", undefined],
    ["01.2.3.4", undefined],
    ["0x1.2.3.4", undefined],
    [" 1.2.3.4", undefined],
    ["1.2.3.4\n", undefined],
    ["0.0.0.0", "0.0.0.0"],
  ];
  for (const [text, expected] of table) {
    const bytes = parseAddress(text);
    assert.equal(bytes === undefined ? undefined : formatAddress(bytes), expected, text);
  }
});
