/**
 * When checks are sent and when a silent pair is given up. The delay after the n-th unanswered check of a pair is
 * `initialDelay · 2^(n−1)`, at most `maxDelay`; after `maxChecks` of them the pair has failed. A working pair is
 * checked every `maxDelay` for as long as it exists.
 */

import { type Duration, seconds } from "../base/time.ts";

/** How often a pair is checked, and when it has failed. */
export interface CheckSchedule {
  readonly initialDelay: Duration;
  readonly maxDelay: Duration;
  readonly maxChecks: number;
}

/** How a role checks its pairs. */
export interface IceProfile {
  /** While packets flow. */
  readonly active: CheckSchedule;
  /** While they do not: enough to keep NAT bindings open. */
  readonly idle: CheckSchedule;
}

/** A client notices within a quarter of a minute that a path is dead. */
export const CLIENT_PROFILE: IceProfile = {
  active: { initialDelay: 250, maxDelay: 1500, maxChecks: 12 },
  idle: { initialDelay: seconds(25), maxDelay: seconds(25), maxChecks: 4 },
};

/** A gateway has many peers and nothing to gain from giving one up: it checks rarely and waits long. */
export const GATEWAY_PROFILE: IceProfile = {
  active: { initialDelay: 250, maxDelay: seconds(15), maxChecks: 45 },
  idle: { initialDelay: seconds(25), maxDelay: seconds(25), maxChecks: 40 },
};

/** Returns the delay after the `count`-th unanswered check (`count` ≥ 1). */
export function checkDelay(schedule: CheckSchedule, count: number): Duration {
  return Math.min(schedule.initialDelay * 2 ** (count - 1), schedule.maxDelay);
}
