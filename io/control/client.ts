/** The command line's way to a running session. */

import type { AnswerOf, RequestOf, RouteOf } from "../../lib/control/api.ts";
import { Fault } from "../../lib/base/fault.ts";

/** A connection to the control API of a session. */
export interface ControlClient {
  ask<R extends RouteOf<"json">>(route: R, request: RequestOf<R>): Promise<AnswerOf<R>>;
  lines<R extends RouteOf<"lines">>(
    route: R,
    request: RequestOf<R>,
    signal?: AbortSignal,
  ): AsyncIterable<AnswerOf<R>>;
  bytes<R extends RouteOf<"bytes">>(
    route: R,
    request: RequestOf<R>,
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array>;
}

/** Returns the way to the session that this user means. Throws `Fault` "not-running" or "privilege". */
export function connectControl(_authority: "read" | "change"): Promise<ControlClient> {
  return Promise.reject(new Fault("not-running", "Cannot ask the session: none runs"));
}
