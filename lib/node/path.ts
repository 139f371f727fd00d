/**
 * How a message reaches a peer: straight from one of our sockets, or in a ChannelData frame through our relay. Frames
 * are built in place: a message is made behind some headroom.
 */

import type { Datagram } from "../base/datagram.ts";
import type { SocketAddress } from "../base/ip.ts";
import { Prefixes } from "../base/prefixes.ts";
import type { Instant } from "../base/time.ts";
import type { SelectedPair } from "../ice/agent.ts";
import type { CandidateKind } from "../ice/candidate.ts";
import type { Allocation } from "../turn/client.ts";
import { CHANNEL_HEADER_LENGTH } from "../wire/turn.ts";

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

/** Room for one message at a time, with headroom for the frame of a relay. */
export class PathBuffer {
  /** Where the message is to be written. */
  readonly message: Uint8Array;
  readonly #messages: Prefixes;
  readonly #frames: Prefixes;

  /** `bytes` is to be `PATH_HEADROOM` longer than the longest message. */
  constructor(bytes: Uint8Array) {
    this.message = bytes.subarray(PATH_HEADROOM);
    this.#messages = new Prefixes(this.message);
    this.#frames = new Prefixes(bytes);
  }

  /**
   * Returns the datagram that carries the first `length` bytes of the message over `path`, or undefined if the relay
   * cannot take it yet. Its payload is valid until the next message is written.
   */
  sendOn(path: Path, length: number, now: Instant): Datagram | undefined {
    if (path.relay === undefined) {
      return { local: path.local, remote: path.remote, payload: this.#messages.of(length) };
    }
    const via = path.relay.wrapHeader(path.remote, length, this.#frames.bytes, 0, now);
    return via &&
      { local: via.local, remote: via.remote, payload: this.#frames.of(PATH_HEADROOM + length) };
  }
}

/** Bytes in front of a message. */
export const PATH_HEADROOM = CHANNEL_HEADER_LENGTH;
