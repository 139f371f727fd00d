import assert from "node:assert/strict";
import { editDistance, nearest } from "../../../lib/base/nearest.ts";

Deno.test("editDistance: counts insertions, deletions, replacements and swaps", () => {
  const table: [string, string, number][] = [
    ["", "", 0],
    ["run", "run", 0],
    ["rnu", "run", 1],
    ["ru", "run", 1],
    ["runn", "run", 1],
    ["ran", "run", 1],
    ["kitten", "sitting", 3],
    ["", "abc", 3],
  ];
  for (const [from, to, distance] of table) {
    assert.equal(editDistance(from, to), distance, `${from} ${to}`);
    assert.equal(editDistance(to, from), distance, `${to} ${from}`);
  }
});

Deno.test("nearest: finds the closest word, and none where all are far", () => {
  const words = ["run", "relay", "gateway", "version"];
  assert.equal(nearest("gatway", words), "gateway");
  assert.equal(nearest("RELAY", words), "relay");
  assert.equal(nearest("status", words), undefined);
  assert.equal(nearest("x", []), undefined);
});
