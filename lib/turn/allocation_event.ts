/** What the owner of an `Allocation` hears from it. */

import type { SocketAddress } from "../base/ip.ts";

/** Addresses are candidates for ICE. */
export type AllocationEvent =
  /** An address of our own host, from which the relay of that family is reached. */
  | { readonly type: "host"; readonly local: SocketAddress }
  /** Our address as the relay sees it, where it differs from our own. */
  | { readonly type: "serverReflexive"; readonly mapped: SocketAddress; readonly base: SocketAddress }
  /** An address at the relay that is ours now. */
  | { readonly type: "relayed"; readonly address: SocketAddress }
  /** These relayed addresses are ours no more. */
  | { readonly type: "lost"; readonly addresses: readonly SocketAddress[]; readonly reason: LossReason }
  /** There is no allocation. Suspended: only other credentials can help; else it tries again by itself. */
  | { readonly type: "failed"; readonly reason: LossReason; readonly suspended: boolean };

/**
 * Why an allocation ended or did not come to be: no answer; answers that our password cannot have signed, or a 401 in
 * spite of a nonce; an error; an answer that breaks the protocol; the relay does not know the allocation; we closed it.
 */
export type LossReason = "unreachable" | "credentials" | "refused" | "protocol" | "mismatch" | "closed";

/** What became of a datagram from the relay. */
export type AllocationInput = { readonly type: "handled" } | {
  readonly type: "data";
  /** Our relayed address of the peer's family. */
  readonly local: SocketAddress;
  readonly peer: SocketAddress;
  /** A view of the datagram. */
  readonly payload: Uint8Array;
};
