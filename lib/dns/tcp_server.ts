/**
 * A DNS server for TCP inside the tunnel (RFC 7766): messages with a two-byte length in front, several a connection,
 * answers in any order. The client runs it on its sentinels, the gateway on port 53535.
 */

import { concatBytes, readU16, writeU16 } from "../base/bytes.ts";
import type { SocketAddress } from "../base/ip.ts";
import type { Rng } from "../base/rng.ts";
import type { Instant, Wake } from "../base/time.ts";
import type { IpPacket } from "../wire/ip.ts";
import { TcpEndpoint } from "./tcp_endpoint.ts";

/** A message that came over TCP, not decoded yet. */
export interface TcpQuery {
  /** To be given to `answer`. */
  readonly connectionId: number;
  /** The address that was asked. */
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly message: Uint8Array;
}

interface Peer {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly reader: MessageReader;
  unanswered: number;
  remoteFinished: boolean;
}

/** The server. */
export class DnsTcpServer {
  readonly #endpoint: TcpEndpoint;
  readonly #peers = new Map<number, Peer>();
  readonly #queries: TcpQuery[] = [];

  constructor(options: { readonly rng: Rng; readonly connectionsPerListener?: number }) {
    this.#endpoint = new TcpEndpoint(options);
  }

  /** Sets the addresses to listen on. */
  listen(addresses: readonly SocketAddress[]): void {
    this.#endpoint.listen(addresses);
    this.#collect(undefined);
  }

  /** Takes a TCP packet and returns whether it was for a listener. */
  handlePacket(packet: IpPacket, now: Instant): boolean {
    const handled = this.#endpoint.handlePacket(packet, now);
    this.#collect(now);
    return handled;
  }

  /** Sends `message` back on the connection that a query came on; does nothing if that is gone. */
  answer(connectionId: number, message: Uint8Array, now: Instant): void {
    this.#endpoint.send(connectionId, frameMessage(message), now);
    this.#settle(connectionId, now);
    this.#collect(now);
  }

  /** Tells that a query will get no answer, so that the connection need not be kept for it. */
  drop(connectionId: number, now: Instant): void {
    this.#settle(connectionId, now);
    this.#collect(now);
  }

  /** Forgets all connections. */
  reset(): void {
    this.#endpoint.reset();
    this.#collect(undefined);
    this.#queries.length = 0;
  }

  pollQuery(): TcpQuery | undefined {
    return this.#queries.shift();
  }

  pollPacket(): Uint8Array | undefined {
    return this.#endpoint.pollPacket();
  }

  pollTimeout(): Wake | undefined {
    return this.#endpoint.pollTimeout();
  }

  handleTimeout(now: Instant): void {
    this.#endpoint.handleTimeout(now);
    this.#collect(now);
  }

  #settle(connectionId: number, now: Instant): void {
    const peer = this.#peers.get(connectionId);
    if (peer === undefined) return;
    peer.unanswered = Math.max(0, peer.unanswered - 1);
    if (peer.remoteFinished && peer.unanswered === 0) this.#endpoint.close(connectionId, now);
  }

  /** `now` is undefined when nothing may be sent any more. */
  #collect(now: Instant | undefined): void {
    for (let event = this.#endpoint.pollEvent(); event !== undefined; event = this.#endpoint.pollEvent()) {
      switch (event.type) {
        case "connected":
          this.#peers.set(event.id, {
            local: event.local,
            remote: event.remote,
            reader: new MessageReader(),
            unanswered: 0,
            remoteFinished: false,
          });
          break;
        case "data": {
          const peer = this.#peers.get(event.id);
          if (peer !== undefined) this.#read(event.id, peer, event.bytes);
          break;
        }
        case "remote-finished": {
          const peer = this.#peers.get(event.id);
          if (peer === undefined) break;
          peer.remoteFinished = true;
          if (peer.unanswered === 0 && now !== undefined) this.#endpoint.close(event.id, now);
          break;
        }
        case "closed":
          this.#peers.delete(event.id);
          break;
      }
    }
  }

  #read(connectionId: number, peer: Peer, bytes: Uint8Array): void {
    for (const message of peer.reader.push(bytes)) {
      if (peer.unanswered >= MAX_UNANSWERED) return this.#endpoint.abort(connectionId);
      peer.unanswered++;
      this.#queries.push({ connectionId, local: peer.local, remote: peer.remote, message });
    }
  }
}

/** Cuts a byte stream into messages (RFC 1035 §4.2.2). Holds at most one unfinished message. */
export class MessageReader {
  #rest: Uint8Array = new Uint8Array(0);

  /** Takes the next bytes and returns the messages that they complete. */
  push(bytes: Uint8Array): Uint8Array[] {
    const stream = this.#rest.length === 0 ? bytes : concatBytes(this.#rest, bytes);
    const messages: Uint8Array[] = [];
    let offset = 0;
    while (stream.length - offset >= 2) {
      const end = offset + 2 + readU16(stream, offset);
      if (end > stream.length) break;
      messages.push(stream.slice(offset + 2, end));
      offset = end;
    }
    this.#rest = stream.slice(offset);
    return messages;
  }
}

/** Returns `message` with its length in front. */
export function frameMessage(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(message.length + 2);
  writeU16(framed, 0, message.length);
  framed.set(message, 2);
  return framed;
}

/** Queries a connection may have open at a time. */
const MAX_UNANSWERED = 64;
