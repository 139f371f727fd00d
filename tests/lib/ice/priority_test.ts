/** Values: data-plane.md §2.5; RFC 8445 §5.1.2.1, §6.1.2.3. */

import assert from "node:assert/strict";
import {
  candidatePriority,
  checkPriority,
  localPreference,
  pairPriority,
} from "../../../lib/ice/priority.ts";

Deno.test("candidatePriority of first candidates is the documented value", () => {
  const first = (kind: "host" | "serverReflexive" | "relayed", family: 4 | 6, cross = false) =>
    candidatePriority(kind, localPreference(kind, family, 0, cross));
  assert.equal(first("host", 6), 2130706431);
  assert.equal(first("host", 4), 2130706175);
  assert.equal(first("serverReflexive", 6), 1686110207);
  assert.equal(first("serverReflexive", 4), 1686109951);
  assert.equal(first("relayed", 6), 37748735);
  assert.equal(first("relayed", 4), 37748479);
  assert.equal(first("relayed", 4, true), 37492479);
});

Deno.test("localPreference prefers earlier candidates", () => {
  assert.equal(localPreference("host", 4, 0, false), 65534);
  assert.equal(localPreference("host", 4, 1, false), 65532);
  assert.equal(localPreference("host", 6, 1, false), 65533);
});

Deno.test("checkPriority keeps the local preference and takes the type preference of peer-reflexive", () => {
  assert.equal(checkPriority(2130706431), 1862270975);
});

Deno.test("pairPriority is RFC 8445's formula", () => {
  assert.equal(pairPriority(2, 1), (1n << 32n) + 4n + 1n);
  assert.equal(pairPriority(1, 2), (1n << 32n) + 4n);
  assert.equal(pairPriority(2130706431, 2130706431), 9151314442783293438n);
});
