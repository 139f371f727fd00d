/** Messages of the D-Bus Specification: laid out by hand, round trips, hostile bytes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex } from "../../../../lib/base/bytes.ts";
import { decodeMessage, encodeMessage, messageLength } from "../../../../lib/wire/dbus/message.ts";
import { parseSignature } from "../../../../lib/wire/dbus/signature.ts";
import { type DBusValue, decodeValues, encodeValues, Variant } from "../../../../lib/wire/dbus/value.ts";
import { mutatedBytes } from "../mutation.ts";

/** A signature of one complete type, and values of it. */
interface Typed {
  readonly signature: string;
  readonly value: fc.Arbitrary<DBusValue>;
}

const PATHS = fc.array(fc.stringMatching(/^[A-Za-z0-9_]{1,6}$/), { maxLength: 4 }).map((parts) =>
  `/${parts.join("/")}`
);
const TEXT = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0") && text.isWellFormed());

const SIMPLE: Readonly<Record<string, fc.Arbitrary<DBusValue>>> = {
  y: fc.integer({ min: 0, max: 255 }),
  b: fc.boolean(),
  n: fc.integer({ min: -0x8000, max: 0x7fff }),
  q: fc.integer({ min: 0, max: 0xffff }),
  i: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  u: fc.integer({ min: 0, max: 0xffffffff }),
  x: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  t: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  d: fc.double(),
  s: TEXT,
  o: PATHS,
  g: fc.constantFrom("", "s", "a{sv}", "(iay)aas", "v"),
};

function typed(depth: number): fc.Arbitrary<Typed> {
  const simple = fc.constantFrom(...Object.keys(SIMPLE)).map((code) => ({
    signature: code,
    value: SIMPLE[code]!,
  }));
  if (depth === 0) return simple;
  const inner = typed(depth - 1);
  return fc.oneof(
    simple,
    inner.map(({ signature, value }) => ({
      signature: `a${signature}`,
      value: signature === "y" ? fc.uint8Array({ maxLength: 9 }) : fc.array(value, { maxLength: 4 }),
    })),
    fc.array(inner, { minLength: 1, maxLength: 4 }).map((fields) => ({
      signature: `(${fields.map((field) => field.signature).join("")})`,
      value: fc.tuple(...fields.map((field) => field.value)),
    })),
    fc.tuple(simple, inner).map(([key, entry]) => ({
      signature: `a{${key.signature}${entry.signature}}`,
      value: fc.array(fc.tuple(key.value, entry.value), { maxLength: 3 }).map((entries) => new Map(entries)),
    })),
    inner.map(({ signature, value }) => ({
      signature: "v",
      value: value.map((content) => new Variant(signature, content)),
    })),
  );
}

const VALUES = fc.array(typed(3), { maxLength: 4 }).chain((types) =>
  fc.tuple(
    fc.constant(types.map(({ signature }) => signature).join("")),
    fc.tuple(...types.map(({ value }) => value)),
  )
);

/** The first call of every connection, laid out by hand. */
const HELLO = fromHex(`
  6c 01 00 01 00 00 00 00 01 00 00 00 6e 00 00 00
  01 01 6f 00 15 00 00 00 2f 6f 72 67 2f 66 72 65 65 64 65 73 6b 74 6f 70 2f 44 42 75 73 00 00 00
  06 01 73 00 14 00 00 00 6f 72 67 2e 66 72 65 65 64 65 73 6b 74 6f 70 2e 44 42 75 73 00 00 00 00
  02 01 73 00 14 00 00 00 6f 72 67 2e 66 72 65 65 64 65 73 6b 74 6f 70 2e 44 42 75 73 00 00 00 00
  03 01 73 00 05 00 00 00 48 65 6c 6c 6f 00 00 00`);

Deno.test("decodeMessage reads the call that every connection begins with", () => {
  const message = decodeMessage(HELLO);
  assert(message.ok, JSON.stringify(message));
  assert(message.value.type === "call");
  const { path, interface: iface, member, destination, serial, body } = message.value;
  assert.deepEqual(
    { path, iface, member, destination, serial, body },
    {
      path: "/org/freedesktop/DBus",
      iface: "org.freedesktop.DBus",
      member: "Hello",
      destination: "org.freedesktop.DBus",
      serial: 1,
      body: [],
    },
  );
});

Deno.test("decodeValues reads both byte orders", () => {
  const big = fromHex("00 00 00 02 00 00 00 02 68 69 00 00 12 34 00 00 7f 00 00 01");
  const little = fromHex("02 00 00 00 02 00 00 00 68 69 00 00 34 12 00 00 01 00 00 7f");
  const expected = { ok: true, value: [2, "hi", 0x1234, 0x7f000001] };
  assert.deepEqual(decodeValues(big, "usqu", false), expected);
  assert.deepEqual(decodeValues(little, "usqu", true), expected);
});

Deno.test("encodeValues aligns the elements of an empty array, which its length does not count", () => {
  assert.deepEqual(encodeValues("a(ii)", [[]]), new Uint8Array(8));
  assert.deepEqual(encodeValues("ya{sv}", [1, new Map()]), fromHex("01 000000 00000000"));
});

Deno.test("encodeValues, decodeValues: every value of every type comes back", () => {
  fc.assert(fc.property(VALUES, ([signature, values]) => {
    fc.pre(signature.length <= 255);
    assert.deepEqual(decodeValues(encodeValues(signature, values), signature, true), {
      ok: true,
      value: values,
    });
  }));
});

Deno.test("encodeMessage, decodeMessage: every kind of message comes back", () => {
  const common = fc.tuple(fc.integer({ min: 1, max: 0xffffffff }), VALUES).map((
    [serial, [signature, body]],
  ) => ({
    ...{ serial, signature, body },
    ...{ sender: ":1.7", destination: undefined },
  }));
  const kinds = fc.constantFrom(
    { type: "call", path: "/a/b", interface: undefined, member: "Do" } as const,
    { type: "call", path: "/a/b", interface: undefined, member: "Do", noAutoStart: true } as const,
    { type: "return", replySerial: 7 } as const,
    { type: "error", replySerial: 7, errorName: "org.example.Failed" } as const,
    { type: "signal", path: "/", interface: "org.example", member: "Did" } as const,
  );
  fc.assert(fc.property(common, kinds, (values, kind) => {
    fc.pre(values.signature.length <= 255);
    const message = { ...values, ...kind };
    const bytes = encodeMessage(message);
    assert.deepEqual(messageLength(bytes), { ok: true, value: bytes.length });
    assert.deepEqual(decodeMessage(bytes), { ok: true, value: message });
  }));
});

Deno.test("decodeMessage: hostile bytes are a value, never a throw", () => {
  const samples = [
    HELLO,
    encodeMessage({
      ...{ type: "signal", serial: 9, path: "/x", interface: "a.b", member: "C" },
      ...{ signature: "sa{sv}asa(iay)v" },
      body: [
        "name",
        new Map([["key", new Variant("au", [1, 2, 3])]]),
        ["one", "two"],
        [[2, Uint8Array.of(1, 2, 3, 4)]],
        new Variant("(sv)", ["deep", new Variant("x", -1n)]),
      ],
    }),
  ];
  fc.assert(
    fc.property(fc.oneof(mutatedBytes(samples), fc.uint8Array({ maxLength: 200 })), (bytes) => {
      messageLength(bytes);
      const message = decodeMessage(bytes);
      if (message.ok) assert.equal(message.value.serial > 0, true);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeValues: bytes of any signature are a value, never a throw", () => {
  fc.assert(fc.property(
    fc.stringMatching(/^[ybnqiuxtdsogva(){}h]{0,12}$/),
    fc.uint8Array({ maxLength: 64 }),
    fc.boolean(),
    (signature, bytes, isLittleEndian) => {
      const values = decodeValues(bytes, signature, isLittleEndian);
      if (values.ok) assert.equal(parseSignature(signature).ok, true);
    },
  ));
});

Deno.test("decodeValues refuses what the specification forbids", () => {
  const reasonOf = (hex: string, signature: string) => {
    const result = decodeValues(fromHex(hex), signature, true);
    return result.ok ? "ok" : result.reason;
  };
  assert.equal(reasonOf("02000000", "b"), "boolean");
  assert.equal(reasonOf("01 01 0000 05000000", "yu"), "padding");
  assert.equal(reasonOf("01000000 ff 00", "s"), "text");
  assert.equal(reasonOf("01000000 00 00", "s"), "text");
  assert.equal(reasonOf("02000000 61 62 01", "s"), "text without its end");
  assert.equal(reasonOf("01000000 61 00", "o"), "object path");
  assert.equal(reasonOf("08000000 01000000", "au"), "truncated");
  assert.equal(reasonOf("05000000 01000000 02000000", "au"), "length of an array");
  assert.equal(reasonOf("ffffffff", "ay"), "array too long");
  assert.equal(reasonOf("02 6969 00 00000000 0000000000", "v"), "signature of a variant");
  assert.equal(reasonOf("00", ""), "bytes left over");
});

Deno.test("decodeValues bounds how deep variants are in each other", () => {
  const nested = (depth: number) => fromHex(`${"017600".repeat(depth)} 017900 07`);
  assert.equal(decodeValues(nested(20), "v", true).ok, true);
  assert.deepEqual(decodeValues(nested(200), "v", true), { ok: false, reason: "nested too deep" });
});

Deno.test("parseSignature refuses what the specification forbids", () => {
  const forbidden = [
    "()",
    "a",
    "(",
    "(i",
    "a{}",
    "a{s}",
    "a{vs}",
    "a{sss}",
    "{ss}",
    "z",
    "h",
    ")",
    `${"a".repeat(33)}i`,
  ];
  for (const text of [...forbidden, `${"(".repeat(33)}i${")".repeat(33)}`, "i".repeat(256)]) {
    assert.equal(parseSignature(text).ok, false, text);
  }
  for (const text of ["", "a{sv}", "(i(ay))", `${"a".repeat(32)}i`, "i".repeat(255)]) {
    assert.equal(parseSignature(text).ok, true, text);
  }
});
