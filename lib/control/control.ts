/** The way to a running session, as the command line uses it: the routes of `api.ts` by name. */

import type { AnswerOf, RequestOf, RouteOf } from "./api.ts";

/** A way to ask and steer a session; failures are thrown as `Fault`. */
export interface Control {
  ask<R extends RouteOf<"json">>(route: R, request: RequestOf<R>): Promise<AnswerOf<R>>;
  /** Ends when the session ends it, when `signal` aborts, or when the reader stops. */
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
