/** Recursion by the host: what a session asks of the shell that has sockets, and what the shell says. */

import type { Instant } from "../base/time.ts";
import type { DnsServer } from "./sentinels.ts";

/** A query to send from the host, past the tunnel. */
export interface UpstreamQuery {
  /** Comes back with the outcome. */
  readonly id: number;
  readonly server: DnsServer;
  /** For `do53`. */
  readonly transport: "udp" | "tcp";
  /** Owned by the receiver. */
  readonly message: Uint8Array;
  /** The session itself gives up at this moment; the shell may stop then, too. */
  readonly deadline: Instant;
}

/** How it ended. */
export type UpstreamOutcome =
  /** An answer to the query with the query's id. */
  | { readonly type: "answer"; readonly message: Uint8Array }
  | { readonly type: "timeout" }
  /** `reason` is for the log. */
  | { readonly type: "failed"; readonly reason: string };
