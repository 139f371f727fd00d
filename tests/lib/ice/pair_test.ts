/** Schedule: data-plane.md §2.7, §11 ("default timers"). */

import assert from "node:assert/strict";
import { SocketAddress } from "../../../lib/base/ip.ts";
import type { Candidate } from "../../../lib/ice/candidate.ts";
import { CandidatePair } from "../../../lib/ice/pair.ts";
import { type CheckSchedule, CLIENT_PROFILE, GATEWAY_PROFILE } from "../../../lib/ice/profile.ts";

const ADDRESS = SocketAddress.from("192.0.2.1:1");
const CANDIDATE: Candidate = {
  kind: "host",
  address: ADDRESS,
  base: ADDRESS,
  priority: 1,
  foundation: "1",
  ufrag: undefined,
};

function newPair(): CandidatePair {
  return new CandidatePair(CANDIDATE, CANDIDATE, 1n, 0);
}

/** Sends each check when it is due; returns the instants, then that of failure. */
function timeline(pair: CandidatePair, schedule: CheckSchedule): number[] {
  const times: number[] = [];
  for (let at = pair.nextCheckAt(schedule, false); at !== undefined; at = pair.nextCheckAt(schedule, false)) {
    times.push(at);
    pair.onCheckSent(`${times.length}-${at}`, at);
  }
  times.push(pair.failsAt(schedule)!);
  return times;
}

Deno.test("CandidatePair: a client's pair that is never answered is checked twelve times and fails at 15.25 s", () => {
  const expected = [0, 250, 750, 1750, 3250, 4750, 6250, 7750, 9250, 10750, 12250, 13750, 15250];
  assert.deepEqual(timeline(newPair(), CLIENT_PROFILE.active), expected);
});

Deno.test("CandidatePair: an idle client's pair fails after 100 s, an active gateway's after 600.75 s", () => {
  assert.equal(timeline(newPair(), CLIENT_PROFILE.idle).at(-1), 100_000);
  // 0.25 + 0.5 + 1 + 2 + 4 + 8, then 39 times 15 s.
  assert.equal(timeline(newPair(), GATEWAY_PROFILE.active).at(-1), 600_750);
  assert.equal(timeline(newPair(), GATEWAY_PROFILE.idle).at(-1), 1_000_000);
});

Deno.test("CandidatePair: an answered pair is checked every 1.5 s and measures the round trip", () => {
  const pair = newPair();
  pair.onCheckSent("a", 0);
  assert.equal(pair.onAnswer("a", ADDRESS, 40), true);
  assert.equal(pair.rttMs, 40);
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 1500);
  pair.onCheckSent("b", 1500);
  assert.equal(pair.onAnswer("b", ADDRESS, 1540), false);
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 3000);
});

Deno.test("CandidatePair: a working pair that falls silent hurries after 750 ms and fails", () => {
  const pair = newPair();
  pair.onCheckSent("a", 0);
  pair.onAnswer("a", ADDRESS, 40);
  const times = timeline(pair, CLIENT_PROFILE.active);
  assert.deepEqual(times.slice(0, 5), [1500, 2250, 2750, 3750, 5250]);
  assert.equal(times.at(-1), 1500 + 15_750);
  assert.equal(pair.isHealthy, false);
});

Deno.test("CandidatePair: a triggered check is sent at once and does not count", () => {
  const pair = newPair();
  pair.onCheckSent("a", 0);
  pair.trigger(100);
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 100);
  pair.onCheckSent("b", 100);
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 250);
  assert.equal(pair.onAnswer("a", ADDRESS, 120), true);
  assert.equal(pair.hasTransaction("b"), true);
});

Deno.test("CandidatePair: a suspect is checked at once and bears two lost checks, until an answer comes", () => {
  const pair = newPair();
  pair.onCheckSent("a", 0);
  pair.onAnswer("a", ADDRESS, 40);
  pair.suspect(5000);
  assert(pair.nextCheckAt(GATEWAY_PROFILE.active, false)! <= 5000);
  pair.onCheckSent("b", 5000);
  assert.equal(pair.nextCheckAt(GATEWAY_PROFILE.active, false), 5750);
  pair.onCheckSent("c", 5750);
  assert.equal(pair.isHealthy, true);
  pair.onCheckSent("d", 6250);
  assert.equal(pair.isHealthy, false);
  pair.onAnswer("d", ADDRESS, 6290);
  for (const transaction of ["e", "f", "g"]) pair.onCheckSent(transaction, 20_000);
  assert.equal(pair.isHealthy, true);
});

Deno.test("CandidatePair: a failed pair is tried now and then while packets flow, and can be revived", () => {
  const pair = newPair();
  timeline(pair, CLIENT_PROFILE.active);
  pair.fail();
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 13_750 + 25_000);
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.idle, true), undefined);
  pair.revive(20_000);
  assert.equal(pair.state, "in-progress");
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 20_000);
  pair.onCheckSent("x", 20_000);
  assert.equal(pair.nextCheckAt(CLIENT_PROFILE.active, false), 20_250);
});
