import assert from "node:assert/strict";
import fc from "fast-check";
import { PathWatch } from "../../../lib/host/path_watch.ts";

/** Shows a watch that starts with "wifi" the path at each moment (seconds), and returns when it spoke of what. */
function changes(readings: readonly (readonly [at: number, path: string])[], until = 120): string[] {
  return run(new PathWatch("wifi", 0), readings, until);
}

function run(
  watch: PathWatch,
  readings: readonly (readonly [at: number, path: string])[],
  until: number,
): string[] {
  const spoken: string[] = [];
  const take = (now: number) => {
    const change = watch.pollChange();
    if (change !== undefined) spoken.push(`${now / 1000} ${change}`);
  };
  const advance = (to: number) => {
    for (let wake = watch.pollTimeout(); wake !== undefined && wake.at <= to; wake = watch.pollTimeout()) {
      watch.handleTimeout(wake.at);
      take(wake.at);
    }
  };
  for (const [at, path] of readings) {
    advance(at * 1000);
    if (path === "WOKEN") watch.handleWoken(at * 1000);
    else watch.handlePath(path, at * 1000);
    take(at * 1000);
  }
  advance(until * 1000);
  return spoken;
}

Deno.test("PathWatch: a path that lasts a fifth of a second is a change, told once", () => {
  assert.deepEqual(changes([[10, "ethernet"], [10.1, "ethernet"], [20, "ethernet"]]), ["10.2 moved"]);
});

Deno.test("PathWatch: waits for addresses that come one after the other, but not for ever", () => {
  assert.deepEqual(changes([[10, "a"], [10.15, "ab"], [10.3, "abc"]]), ["10.5 moved"]);
  const restless = Array.from({ length: 30 }, (_, index) => [10 + index / 10, `p${index}`] as const);
  assert.deepEqual(changes(restless)[0], "12 moved");
});

Deno.test("PathWatch: events that leave the path as it is do not put the change off", () => {
  const storm = Array.from({ length: 30 }, (_, index) => [10 + index / 10, "ethernet"] as const);
  assert.deepEqual(changes(storm), ["10.2 moved"]);
});

Deno.test("PathWatch: losing the path is no change, nor is the same path soon after", () => {
  assert.deepEqual(changes([[10, ""]]), []);
  assert.deepEqual(changes([[10, ""], [12, "wifi"]]), []);
  assert.deepEqual(changes([[10, "ethernet"], [10.15, "wifi"]]), []);
});

Deno.test("PathWatch: the same path after a long absence is one", () => {
  assert.deepEqual(changes([[10, ""], [70, "wifi"]]), ["70.2 back"]);
  assert.deepEqual(changes([[10, ""], [70, "wifi"], [70.1, ""], [70.2, "wifi"]]), ["70.4 back"]);
});

Deno.test("PathWatch: another path after an absence is one, when it is there", () => {
  assert.deepEqual(changes([[10, ""], [12, "ethernet"]]), ["12.2 moved"]);
  assert.deepEqual(changes([[10, ""], [70, "ethernet"]]), ["70.2 moved"]);
});

Deno.test("PathWatch: the first path of a machine that started without is one", () => {
  assert.deepEqual(run(new PathWatch("", 0), [[3, "wifi"]], 60), ["3.2 moved"]);
});

Deno.test("PathWatch: waking up is a change at once, or when there is a path", () => {
  assert.deepEqual(changes([[10, "WOKEN"]]), ["10 woken"]);
  assert.deepEqual(changes([[10, ""], [11, "WOKEN"], [14, "wifi"]]), ["14 woken"]);
  assert.deepEqual(changes([[10, "WOKEN"], [10.1, "ethernet"]]), ["10 woken", "12 moved"]);
});

Deno.test("PathWatch: a reset that somebody else asked for settles the path", () => {
  const watch = new PathWatch("wifi", 0);
  watch.handlePath("ethernet", 1000);
  watch.handleReset(1100);
  assert.deepEqual(run(watch, [], 60), []);
});

Deno.test("PathWatch: a path that flaps with the settled one says nothing, twenty times in ten seconds", () => {
  const flaps = Array.from(
    { length: 40 },
    (_, index) => [10 + index / 4, index % 2 === 0 ? "" : "wifi"] as const,
  );
  assert.deepEqual(changes(flaps), []);
});

Deno.test("PathWatch: speaks at most every two seconds, every ten while paths go on changing, and of the last", () => {
  const flaps = Array.from({ length: 100 }, (_, index) => [10 + index * 0.6, `p${index}`] as const);
  const times = changes(flaps, 200).map((text) => Number(text.split(" ")[0]));
  const gaps = times.slice(1).map((time, index) => time - times[index]!);
  assert.ok(gaps.every((gap, index) => gap >= (index < 3 ? 2 : 3.9)), times.join());
  assert.ok(gaps.at(-2)! >= 9.9, times.join());
  assert.ok(times.length <= 12, times.join());
  assert.ok(times.at(-1)! >= 69.4, times.join());
});

Deno.test("PathWatch: somebody on the move, from network to network twice in twenty seconds, never waits", () => {
  const moves = Array.from({ length: 30 }, (_, index) => 10 + Math.floor(index / 2) * 20 + (index % 2) * 7);
  const spoken = changes(moves.map((at, index) => [at, `p${index}`]), 400);
  assert.deepEqual(spoken, moves.map((at) => `${at + 0.2} moved`));
});

Deno.test("PathWatch: the fourth network in ten seconds is taken as soon as the first", () => {
  const spoken = changes([[10, "a"], [13, "b"], [16, "c"], [19, "d"]]);
  assert.deepEqual(spoken, ["10.2 moved", "13.2 moved", "16.2 moved", "19.2 moved"]);
});

Deno.test("PathWatch: whatever happens, it ends settled on the last path, with bounded resets", () => {
  const reading = fc.tuple(
    fc.integer({ min: 0, max: 3000 }),
    fc.constantFrom("", "wifi", "ethernet", "lte", "WOKEN"),
  );
  fc.assert(fc.property(fc.array(reading, { maxLength: 60 }), (steps) => {
    let at = 0;
    const readings = steps.map(([wait, path]) => [(at += wait) / 1000, path] as const);
    const watch = new PathWatch("wifi", 0);
    const spoken = run(watch, readings, at / 1000 + 100);
    assert.ok(spoken.length <= at / 2000 + 2);
    assert.equal(watch.pollTimeout(), undefined);
    const last = readings.findLast(([, path]) => path !== "WOKEN")?.[1] ?? "wifi";
    assert.equal(watch.hasPath, last !== "");
  }));
});

Deno.test("PathWatch: without a path to begin with, the first one that is shown is no change", () => {
  const blind = () => new PathWatch(undefined, 0);
  assert.ok(blind().hasPath);
  assert.deepEqual(run(blind(), [[1, "wifi"], [10, "ethernet"]], 60), ["10.2 moved"]);
  assert.deepEqual(run(blind(), [[1, "WOKEN"]], 60), []);
  assert.deepEqual(run(blind(), [[1, "WOKEN"], [2, "wifi"]], 60), ["2 woken"]);
  const without = blind();
  assert.deepEqual(run(without, [[1, ""]], 60), []);
  assert.ok(!without.hasPath);
});
