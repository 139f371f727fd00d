/** Waits until targets answer, and pings one: what `fz wait` and `fz ping` show, event by event. */

import { Fault } from "../../lib/base/fault.ts";
import type { Duration } from "../../lib/base/time.ts";
import { seconds } from "../../lib/base/time.ts";
import type { ProbeEvent, RequestOf } from "../../lib/control/api.ts";
import { needsPerson, type Obstacle, portRefused, timedOut } from "../../lib/control/obstacle.ts";
import { pathDocument } from "./documents.ts";
import { sleep } from "./sleep.ts";
import { type Attempt, Probe, type ProbeSession, type ProbeWorld, type Ready } from "./probe.ts";

/** Waits until every target has answered, or time is over. Each target ends with a "done". */
export function waitFor(
  session: ProbeSession,
  { targets, timeoutMs = DEFAULT_WAIT }: RequestOf<"wait">,
  signal: AbortSignal,
  world?: ProbeWorld,
): AsyncIterable<ProbeEvent> {
  const unique = [...new Set(targets)];
  return counted(
    unique.length,
    () =>
      merge(unique.map((target) => waitForOne(new Probe(target, session, world), target, timeoutMs, signal))),
  );
}

/** Asks a target for answers, again and again. */
export function ping(
  session: ProbeSession,
  { target, count, intervalMs = 1000, timeoutMs = 5000 }: RequestOf<"ping">,
  signal: AbortSignal,
  world?: ProbeWorld,
): AsyncIterable<ProbeEvent> {
  const limits = {
    count,
    intervalMs: Math.max(intervalMs, LEAST_INTERVAL),
    timeoutMs: Math.min(Math.max(timeoutMs, LEAST_INTERVAL), MOST_PATIENCE),
  };
  return counted(1, () => pingOne(new Probe(target, session, world), target, limits, signal));
}

interface PingLimits {
  readonly count: number | undefined;
  readonly intervalMs: Duration;
  readonly timeoutMs: Duration;
}

async function* waitForOne(
  probe: Probe,
  target: string,
  timeoutMs: Duration,
  signal: AbortSignal,
): AsyncGenerator<ProbeEvent> {
  const deadline = performance.now() + Math.min(timeoutMs, MAX_WAIT);
  const told = new Teller(target);
  let sent = 0;
  while (!signal.aborted) {
    const { reached, obstacle, ready } = probe.step();
    for (const { stage, detail } of reached) yield* told.stage(stage, detail);
    if (obstacle !== undefined) {
      yield* told.obstacle(obstacle);
      if (needsPerson(obstacle)) break;
    }
    const left = deadline - performance.now();
    if (left <= 0) break;
    if (ready === undefined) {
      await sleep(Math.min(told.age < QUICK_FOR ? QUICK_POLL : SLOW_POLL, left), signal);
      continue;
    }
    sent++;
    const attempt = await probe.attempt(ready, Math.min(ATTEMPT_LIMIT, left), signal);
    if (attempt.type === "reply" && !attempt.isRefused) {
      yield* told.stage("reachable", attempt.method);
      yield reply(target, sent, attempt, ready);
      return yield { event: "done", target, sent, received: 1 };
    }
    if (signal.aborted) return;
    yield* told.obstacle(attempt.type === "reply" ? portRefused(target) : attempt.obstacle);
    await sleep(Math.min(SLOW_POLL, Math.max(0, deadline - performance.now())), signal);
  }
  if (signal.aborted) return;
  yield* told.end();
  yield { event: "done", target, sent, received: 0 };
}

async function* pingOne(
  probe: Probe,
  target: string,
  { count, intervalMs, timeoutMs }: PingLimits,
  signal: AbortSignal,
): AsyncGenerator<ProbeEvent> {
  let [sequence, received] = [0, 0];
  while (!signal.aborted && (count === undefined || sequence < count)) {
    sequence++;
    const start = performance.now();
    const outcome = await pingOnce(probe, start + timeoutMs, signal);
    if (outcome === undefined || signal.aborted) break;
    if (outcome.type === "reply") {
      received++;
      yield reply(target, sequence, outcome, outcome.ready);
    } else {
      yield { event: "failure", target, sequence, ...outcome.obstacle };
      // More of the same would not change what only a person can, nor a word that is no resource.
      if (needsPerson(outcome.obstacle) || outcome.obstacle.cause === "unknown-resource") break;
    }
    if (sequence !== count) await sleep(intervalMs - (performance.now() - start), signal);
  }
  if (!signal.aborted) yield { event: "done", target, sent: sequence, received };
}

/** Gets one answer, or what is in its way at `deadline`. Undefined once `signal` aborts. */
async function pingOnce(
  probe: Probe,
  deadline: number,
  signal: AbortSignal,
): Promise<(Exclude<Attempt, { type: "obstacle" }> & { ready: Ready }) | Blocked | undefined> {
  while (!signal.aborted) {
    const { obstacle, ready } = probe.step();
    const left = deadline - performance.now();
    if (ready !== undefined) {
      const attempt = await probe.attempt(ready, Math.max(left, LEAST_INTERVAL), signal);
      return attempt.type === "reply" ? { ...attempt, ready } : attempt;
    }
    if (obstacle !== undefined && (left <= 0 || !PASSING.has(obstacle.cause))) {
      return { type: "obstacle", obstacle };
    }
    await sleep(QUICK_POLL, signal);
  }
  return undefined;
}

interface Blocked {
  readonly type: "obstacle";
  readonly obstacle: Obstacle;
}

/** Says everything once: stages when they are reached, obstacles when they change and are not just passing. */
class Teller {
  readonly #target: string;
  readonly #startedAt = performance.now();
  readonly #stages = new Set<string>();
  #current: Obstacle | undefined;
  #since = 0;
  #isTold = true;

  constructor(target: string) {
    this.#target = target;
  }

  get age(): Duration {
    return performance.now() - this.#startedAt;
  }

  *stage(
    stage: Extract<ProbeEvent, { event: "stage" }>["stage"],
    detail: string | undefined,
  ): Generator<ProbeEvent> {
    if (this.#stages.has(stage)) return;
    this.#stages.add(stage);
    const known = detail === undefined ? {} : { detail };
    yield { event: "stage", target: this.#target, stage, ...known };
  }

  *obstacle(obstacle: Obstacle): Generator<ProbeEvent> {
    if (obstacle.problem.message !== this.#current?.problem.message) {
      this.#current = obstacle;
      this.#since = performance.now();
      this.#isTold = false;
    }
    const isPassing = PASSING.has(obstacle.cause) && performance.now() - this.#since < GRACE;
    if (!isPassing) yield* this.#tell(obstacle);
  }

  /** Time is over: says what is in the way, if that was not said. */
  *end(): Generator<ProbeEvent> {
    if (this.#current === undefined) this.#isTold = false;
    yield* this.#tell(this.#current ?? timedOut(this.#target));
  }

  *#tell(obstacle: Obstacle): Generator<ProbeEvent> {
    if (this.#isTold) return;
    this.#isTold = true;
    yield { event: "failure", target: this.#target, ...obstacle };
  }
}

function reply(
  target: string,
  sequence: number,
  { method, address, rttMs }: Extract<Attempt, { type: "reply" }>,
  { access: { gateway } }: Ready,
): ProbeEvent {
  return {
    event: "reply",
    target,
    sequence,
    method,
    address: String(address),
    rttMs: Math.round(rttMs * 1000) / 1000,
    ...(gateway === undefined ? {} : { gatewayId: gateway.id }),
    ...(gateway?.path === undefined ? {} : { path: pathDocument(gateway.path) }),
  };
}

/** What mostly goes away by itself within moments. */
const PASSING: ReadonlySet<Obstacle["cause"]> = new Set(["connecting", "gateway-connecting", "path-lost"]);
const GRACE: Duration = 1500;
const QUICK_FOR = seconds(3);
const QUICK_POLL: Duration = 25;
const SLOW_POLL: Duration = 250;
const ATTEMPT_LIMIT = seconds(2);
const DEFAULT_WAIT = seconds(60);
const MAX_WAIT = seconds(24 * 3600);
const LEAST_INTERVAL: Duration = 100;
const MOST_PATIENCE = seconds(60);
/** Targets that are probed at the same time, by everybody together. */
const MAX_PROBES = 128;

let running = 0;

/** Keeps count of the targets that are probed while the stream is read. */
async function* counted<T>(count: number, open: () => AsyncIterable<T>): AsyncGenerator<T> {
  if (running + count > MAX_PROBES) {
    throw new Fault("unexpected", `Cannot probe: ${MAX_PROBES} targets are being probed already`, {
      next: "Wait until others have finished.",
    });
  }
  running += count;
  try {
    yield* open();
  } finally {
    running -= count;
  }
}

/** Yields what the streams yield, as it comes. */
async function* merge<T>(streams: readonly AsyncGenerator<T>[]): AsyncGenerator<T> {
  const pull = async (stream: AsyncGenerator<T>) => ({ stream, result: await stream.next() });
  const waiting = new Map(streams.map((stream) => [stream, pull(stream)]));
  try {
    while (waiting.size > 0) {
      const { stream, result } = await Promise.race(waiting.values());
      if (result.done === true) waiting.delete(stream);
      else {
        waiting.set(stream, pull(stream));
        yield result.value;
      }
    }
  } finally {
    for (const stream of waiting.keys()) void stream.return(undefined);
  }
}
