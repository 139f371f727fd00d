/**
 * How a message reaches a peer: straight from one of our sockets, or in a ChannelData frame through our relay. Frames
 * are built in place: whoever makes a message leaves `PATH_HEADROOM` bytes in front of it.
 */

import type { Datagram } from "../base/datagram.ts";
import type { SocketAddress } from "../base/ip.ts";
import type { Instant } from "../base/time.ts";
import type { SelectedPair } from "../ice/agent.ts";
import type { CandidateKind } from "../ice/candidate.ts";
import type { Allocation } from "../turn/client.ts";
import { CHANNEL_HEADER_LENGTH } from "../wire/turn.ts";

/** Bytes to leave free in front of a message, for the frame of a relay. */
export const PATH_HEADROOM = CHANNEL_HEADER_LENGTH;

/** What there is to tell of a path. */
export interface PathInfo {
  /** "relayed" if either side's relay is on the way. */
  readonly kind: "direct" | "relayed";
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly localKind: CandidateKind;
  readonly remoteKind: CandidateKind;
  /** Round trip between the peers, from connectivity checks. */
  readonly rttMs: number | undefined;
  /** The relay on our side of the way. */
  readonly relayId: string | undefined;
}

/** Where messages to a peer go. */
export interface Path {
  /** The base of one of our candidates: a socket's address, or our address at a relay. */
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** The relay that `local` is at. */
  readonly relay: Allocation | undefined;
}

/** Returns what there is to tell of the path over `pair`. */
export function describePath(pair: SelectedPair, relay: Allocation | undefined): PathInfo {
  const isRelayed = pair.local.kind === "relayed" || pair.remote.kind === "relayed";
  return {
    kind: isRelayed ? "relayed" : "direct",
    local: pair.local.base,
    remote: pair.remote.address,
    localKind: pair.localKind,
    remoteKind: pair.remote.kind,
    rttMs: pair.rttMs,
    relayId: relay?.id,
  };
}

/**
 * Returns the datagram that carries the message at `buffer[PATH_HEADROOM …]` over `path`, or undefined if the relay
 * cannot take it yet. The headroom is overwritten; the payload is a view of `buffer`.
 */
export function sendOnPath(
  path: Path,
  buffer: Uint8Array,
  length: number,
  now: Instant,
): Datagram | undefined {
  const end = PATH_HEADROOM + length;
  if (path.relay === undefined) {
    return { local: path.local, remote: path.remote, payload: buffer.subarray(PATH_HEADROOM, end) };
  }
  const via = path.relay.wrapHeader(path.remote, length, buffer, 0, now);
  return via && { local: via.local, remote: via.remote, payload: buffer.subarray(0, end) };
}
