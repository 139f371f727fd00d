/** How far a TURN client is with its allocation (RFC 8656, section 3). */

import type { SocketAddress } from "../base/ip.ts";
import { type Duration, type Instant, seconds } from "../base/time.ts";

/** However short a lifetime the relay grants. */
const MIN_REFRESH_INTERVAL = seconds(5);

/** Data flows in "allocated" only. */
export type AllocationState =
  /** BINDING requests are in flight; no address of the relay has answered. */
  | { readonly type: "probing" }
  | { readonly type: "allocating" }
  | {
    readonly type: "allocated";
    readonly v4: SocketAddress | undefined;
    readonly v6: SocketAddress | undefined;
    readonly grantedAt: Instant;
    readonly lifetime: Duration;
  }
  | { readonly type: "waiting"; readonly since: Instant; readonly probeAt: Instant }
  | { readonly type: "suspended" }
  | { readonly type: "closed" };

/** Returns when to refresh an allocation: after half of its lifetime, and never at once. */
export function refreshAt({ grantedAt, lifetime }: { grantedAt: Instant; lifetime: Duration }): Instant {
  return grantedAt + Math.max(lifetime / 2, MIN_REFRESH_INTERVAL);
}
