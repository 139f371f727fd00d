import assert from "node:assert/strict";
import fc from "fast-check";
import {
  canRemain,
  type Change,
  decodeJournal,
  describeChange,
  encodeJournal,
  type JournalEntry,
  MAX_CHANGES,
} from "../../../lib/host/journal.ts";

const CHANGES: readonly Change[] = [
  { id: "network", type: "network", device: "fz0" },
  {
    id: "file:/etc/resolv.conf",
    type: "file",
    path: "/etc/resolv.conf",
    original: { type: "file", content: "bmFtZXNlcnZlciA5LjkuOS45Cg==", mode: 0o640, uid: 0, gid: 101 },
    isInPlace: true,
  },
  {
    id: "file:/etc/x",
    type: "file",
    path: "/etc/x",
    original: { type: "link", target: "../run/x" },
    isInPlace: false,
  },
  { id: "file:/etc/y", type: "file", path: "/etc/y", original: undefined, isInPlace: false },
  { id: "resolvconf:fz0", type: "resolvconf", record: "fz0.fz" },
  { id: "network-manager", type: "network-manager", device: "fz0" },
  { id: "resolved", type: "resolved", device: "fz0" },
  { id: "scutil:State:/x", type: "scutil", key: "State:/x" },
  { id: "nrpt", type: "nrpt", adapter: "{1}" },
  { id: "route:192.0.2.1/32", type: "route", destination: "192.0.2.1/32", via: "10.0.0.1", device: "en0" },
];
const HERE = { boot: "b1", namespace: "net:[1]" };
const ENTRIES: readonly JournalEntry[] = CHANGES.map((change) => ({ ...HERE, change }));

Deno.test("encodeJournal, decodeJournal: every kind of change survives", () => {
  assert.deepEqual(decodeJournal(encodeJournal(ENTRIES)), ENTRIES);
  assert.deepEqual(decodeJournal(encodeJournal([])), []);
});

Deno.test("decodeJournal: whatever a file may contain, it is understood whole or not at all", () => {
  fc.assert(fc.property(fc.string(), (text) => void decodeJournal(text)));
  fc.assert(fc.property(fc.json(), (text) => assert.equal(decodeJournal(text), undefined)));
  const whole = encodeJournal(ENTRIES);
  fc.assert(fc.property(fc.integer({ min: 0, max: whole.length - 2 }), (end) => {
    assert.equal(decodeJournal(whole.slice(0, end)), undefined);
  }));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), fc.string({ maxLength: 3 }), (at, noise) => {
      // One that is still understood says something that can be written again.
      const entries = decodeJournal(whole.slice(0, at) + noise + whole.slice(at + noise.length));
      if (entries !== undefined) assert.deepEqual(decodeJournal(encodeJournal(entries)), entries);
    }),
  );
});

Deno.test("decodeJournal: refuses what would lead elsewhere, options for tools, other kinds and schemas, and too much", () => {
  const entry = (change: unknown) => JSON.stringify({ schema: 1, changes: [{ ...HERE, change }] });
  const file = { id: "file:x", type: "file", isInPlace: false };
  for (
    const bad of [
      entry({ id: "sysctl:x", type: "sysctl", path: "net/ipv4/ip_forward", former: "1", ours: "2" }),
      entry({ ...file, path: "etc/resolv.conf" }),
      entry({ ...file, path: "/etc/../etc/shadow" }),
      entry({ id: "resolvconf:x", type: "resolvconf", record: "--help" }),
      entry({ id: "resolvconf:x", type: "resolvconf", record: "a b" }),
      entry({ id: "network", type: "file", path: "/etc/x", isInPlace: true }),
      JSON.stringify({ schema: 2, changes: [] }),
      encodeJournal(Array(MAX_CHANGES + 1).fill(ENTRIES[0])),
      `${encodeJournal([])}${" ".repeat(2 ** 20)}`,
    ]
  ) assert.equal(decodeJournal(bad), undefined, bad.slice(0, 100));
});

Deno.test("canRemain: files outlive the kernel and its networks, routes do not", () => {
  const after = (here: typeof HERE) =>
    ENTRIES.filter((entry) => canRemain(entry, here)).map(({ change }) => change.type);
  assert.deepEqual(after(HERE), CHANGES.map(({ type }) => type));
  const lasting = ["file", "file", "file", "resolvconf", "nrpt"];
  assert.deepEqual(after({ ...HERE, boot: "b2" }), lasting);
  assert.deepEqual(after({ ...HERE, namespace: "net:[2]" }), lasting);
});

Deno.test("describeChange: tells every kind apart", () => {
  assert.equal(new Set(CHANGES.map(describeChange)).size, CHANGES.length);
});
