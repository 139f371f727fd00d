/** What a gateway session needs of the node below it: `Node` of lib/node is such, tests of packets bring their own. */

import type { Datagram } from "../base/datagram.ts";
import type { SocketAddress } from "../base/ip.ts";
import type { Instant, Wake } from "../base/time.ts";
import type { ConnectionParameters } from "../node/connection.ts";
import type { PathInfo } from "../node/path.ts";
import type { RelayConfig } from "../node/relays.ts";

export type { PathInfo };

export interface GatewayNode<Status = unknown> {
  handleRelays(
    change: { disconnectedIds: readonly string[]; connected: readonly RelayConfig[] },
    now: Instant,
  ): void;
  setRelays(connected: readonly RelayConfig[], now: Instant): void;
  upsertConnection(
    peerId: string,
    parameters: ConnectionParameters,
    now: Instant,
  ): { readonly ok: true } | { readonly ok: false; readonly reason: "no-relays" };
  addRemoteCandidate(peerId: string, text: string, now: Instant): void;
  removeRemoteCandidate(peerId: string, text: string, now: Instant): void;
  encapsulate(peerId: string, packet: Uint8Array, now: Instant): Datagram | undefined;
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): { readonly peerId: string; readonly packet: Uint8Array } | undefined;
  closeConnection(peerId: string, now: Instant): void;
  sayGoodbye(peerId: string, packet: Uint8Array, now: Instant): void;
  close(now: Instant): void;
  handleTimeout(now: Instant): void;
  pollTimeout(): Wake | undefined;
  pollDatagram(): Datagram | undefined;
  pollEvent(): NodeEvent | undefined;
  status(now: Instant): Status;
}

type NodeEvent =
  | {
    readonly type: "candidate" | "candidate-invalidated";
    readonly peerId: string;
    readonly candidate: string;
  }
  | { readonly type: "connected" | "path-changed"; readonly peerId: string; readonly path: PathInfo }
  | { readonly type: "failed"; readonly peerId: string; readonly reason: string }
  | { readonly type: "no-relays" };
