/** What the control API needs from a session: one function a route. `io/service/` has them, `server.ts` calls them. */

import type { AnswerOf, RequestOf, RouteOf } from "../../lib/control/api.ts";

/** What a session does for each route; failures are thrown as `Fault`. */
export type ControlHandlers =
  & {
    readonly [R in RouteOf<"json">]: (request: RequestOf<R>) => AnswerOf<R> | Promise<AnswerOf<R>>;
  }
  & {
    readonly [R in RouteOf<"lines">]: (
      request: RequestOf<R>,
      signal: AbortSignal,
    ) => AsyncIterable<AnswerOf<R>>;
  }
  & {
    readonly [R in RouteOf<"bytes">]: (
      request: RequestOf<R>,
      signal: AbortSignal,
    ) => AsyncIterable<Uint8Array>;
  };
