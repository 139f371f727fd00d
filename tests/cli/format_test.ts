import assert from "node:assert/strict";
import { formatAgo, formatBytes, formatCount, formatMs, formatSpan, msSince } from "../../cli/format.ts";

Deno.test("formatBytes: takes the unit that leaves two or three digits", () => {
  const table: [bytes: number, text: string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [10_240, "10 KiB"],
    [1_048_575, "1.0 MiB"],
    [327_155_712, "312 MiB"],
    [2 ** 60, "1024 PiB"],
  ];
  for (const [bytes, text] of table) assert.equal(formatBytes(bytes), text);
});

Deno.test("formatMs: shows tenths where they matter", () => {
  const table: [ms: number, text: string][] = [
    [0, "0.0 ms"],
    [0.42, "0.4 ms"],
    [9.96, "10 ms"],
    [12.4, "12 ms"],
    [999.6, "1.0 s"],
    [1500, "1.5 s"],
  ];
  for (const [ms, text] of table) assert.equal(formatMs(ms), text);
});

Deno.test("formatSpan, formatAgo: show the two largest units", () => {
  const table: [ms: number, text: string][] = [
    [0, "0 s"],
    [999, "0 s"],
    [45_000, "45 s"],
    [192_000, "3 min 12 s"],
    [7_200_000, "2 h"],
    [7_201_000, "2 h"],
    [446_400_000, "5 d 4 h"],
  ];
  for (const [ms, text] of table) assert.equal(formatSpan(ms), text);
  assert.equal(formatAgo(300), "just now");
  assert.equal(formatAgo(12_345), "12 s ago");
});

Deno.test("formatCount: agrees with the noun", () => {
  assert.deepEqual([0, 1, 2].map((count) => formatCount(count, "gateway")), [
    "0 gateways",
    "1 gateway",
    "2 gateways",
  ]);
});

Deno.test("msSince: counts from a time to now and not below zero", () => {
  const now = Date.parse("2026-01-01T00:00:10Z");
  assert.equal(msSince("2026-01-01T00:00:00Z", now), 10_000);
  assert.equal(msSince("2026-01-01T00:00:11Z", now), 0);
  assert.equal(msSince("never", now), undefined);
});
