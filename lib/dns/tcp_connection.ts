/**
 * One TCP connection in user space, just enough for DNS over TCP inside the tunnel (RFC 9293): in-order data, one
 * retransmission timer (RFC 6298 without measurement), a fixed receive window, no options but MSS. Segments out of
 * order are dropped and acknowledged again; the sender repeats them. Driven by `TcpEndpoint`.
 */

import type { SocketAddress } from "../base/ip.ts";
import { type Duration, type Instant, seconds, type Wake } from "../base/time.ts";
import { concatBytes } from "../base/bytes.ts";
import { ipHeaderLength, type IpPacket, MAX_PACKET_LENGTH } from "../wire/ip.ts";
import {
  buildTcp,
  tcpAcknowledgment,
  TcpFlag,
  tcpFlags,
  tcpMaximumSegmentSize,
  tcpPayload,
  tcpSequence,
  tcpWindow,
} from "../wire/tcp.ts";

/** Why a connection is over. */
export type TcpCloseReason = "finished" | "reset" | "timeout";

type State = "syn-sent" | "syn-received" | "established" | "closed";

/** A connection between `local`, our side, and `remote`. */
export class TcpConnection {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  #state: State;
  #closeReason: TcpCloseReason | undefined;
  /** Oldest sequence number not acknowledged, next one to send (SND.UNA, SND.NXT). */
  #unacknowledged: number;
  #nextToSend: number;
  #sendWindow = 0;
  #segmentSize: number;
  /** Next sequence number expected (RCV.NXT). */
  #expected = 0;
  /** Data from `#unacknowledged` on, sent or not; SYN and FIN are not in it. */
  #outgoing: Uint8Array = NOTHING;
  #incoming: Uint8Array[] = [];
  #closing = false;
  #finAcknowledged = false;
  #remoteFinished = false;
  #acknowledge = false;
  #packets: Uint8Array[] = [];
  #attempts = 0;
  #sentAt: Instant;
  #activeAt: Instant;

  private constructor(
    local: SocketAddress,
    remote: SocketAddress,
    state: State,
    initial: number,
    now: Instant,
  ) {
    this.local = local;
    this.remote = remote;
    this.#state = state;
    this.#unacknowledged = initial;
    this.#nextToSend = initial;
    this.#segmentSize = DEFAULT_SEGMENT_SIZE;
    this.#sentAt = now;
    this.#activeAt = now;
  }

  /** Opens a connection; `initial` is a random initial sequence number. */
  static connect(local: SocketAddress, remote: SocketAddress, initial: number, now: Instant): TcpConnection {
    const connection = new TcpConnection(local, remote, "syn-sent", initial, now);
    connection.#sendSyn(now);
    return connection;
  }

  /** Accepts the connection that `syn` asks for. */
  static accept(
    local: SocketAddress,
    remote: SocketAddress,
    syn: IpPacket,
    initial: number,
    now: Instant,
  ): TcpConnection {
    const connection = new TcpConnection(local, remote, "syn-received", initial, now);
    connection.#learnSyn(syn);
    connection.#sendSyn(now);
    return connection;
  }

  get isEstablished(): boolean {
    return this.#state === "established";
  }

  /** Set once the connection is over; poll the last packets, then forget it. */
  get closeReason(): TcpCloseReason | undefined {
    return this.#closeReason;
  }

  /** Whether the peer will send nothing more. */
  get remoteFinished(): boolean {
    return this.#remoteFinished;
  }

  /** When data last moved. */
  get activeAt(): Instant {
    return this.#activeAt;
  }

  /** Takes a segment of this connection. */
  handleSegment(packet: IpPacket, now: Instant): void {
    if (this.#state === "closed") return;
    if (this.#state === "syn-sent") this.#handleInSynSent(packet, now);
    else this.#handleSynchronized(packet, now);
    this.#flush(now);
  }

  /** Queues `bytes` and returns true, or returns false if that would be too much; the bytes are copied. */
  send(bytes: Uint8Array, now: Instant): boolean {
    if (this.#state === "closed" || this.#closing) return false;
    if (this.#outgoing.length + bytes.length > MAX_SEND_BUFFER) return false;
    this.#outgoing = concatBytes(this.#outgoing, bytes);
    this.#flush(now);
    return true;
  }

  /** Ends our side once everything queued is sent. */
  close(now: Instant): void {
    this.#closing = true;
    this.#flush(now);
  }

  /** Ends the connection at once with a reset. */
  abort(): void {
    if (this.#state === "closed") return;
    if (this.#state !== "syn-sent") this.#emit(TcpFlag.rst | TcpFlag.ack, this.#nextToSend);
    this.#end("reset");
  }

  /** Returns data received in order, or undefined if there is no more now. */
  receive(): Uint8Array | undefined {
    return this.#incoming.shift();
  }

  /** Returns the next packet to send. */
  pollPacket(): Uint8Array | undefined {
    const packet = this.#packets.shift();
    if (packet !== undefined || !this.#acknowledge || this.#state === "closed") return packet;
    this.#emit(TcpFlag.ack, this.#nextToSend);
    return this.#packets.shift();
  }

  pollTimeout(): Wake | undefined {
    if (this.#state === "closed") return undefined;
    if (this.#isWaiting) return { at: this.#sentAt + this.#retransmitAfter, reason: "tcp retransmission" };
    return { at: this.#activeAt + this.#idleAfter, reason: "tcp idle" };
  }

  handleTimeout(now: Instant): void {
    const wake = this.pollTimeout();
    if (wake === undefined || now < wake.at) return;
    if (!this.#isWaiting) return this.#giveUp();
    this.#attempts++;
    if (this.#attempts > MAX_ATTEMPTS) return this.#giveUp();
    this.#sentAt = now;
    if (this.#state !== "established") return this.#sendSyn(now);
    this.#nextToSend = this.#unacknowledged;
    this.#flush(now, true);
  }

  get #idleAfter(): Duration {
    return this.#finAcknowledged ? LINGER : IDLE_TIMEOUT;
  }

  get #retransmitAfter(): Duration {
    return Math.min(RETRANSMIT_AFTER * 2 ** this.#attempts, MAX_RETRANSMIT_AFTER);
  }

  /** Whether something is in flight, or held back by a closed window. */
  get #isWaiting(): boolean {
    return this.#nextToSend !== this.#unacknowledged || this.#outgoing.length > 0 ||
      (this.#closing && !this.#finAcknowledged);
  }

  #handleInSynSent(packet: IpPacket, now: Instant): void {
    const flags = tcpFlags(packet);
    const acknowledgesSyn = (flags & TcpFlag.ack) !== 0 && tcpAcknowledgment(packet) === this.#nextToSend;
    if (!acknowledgesSyn) return;
    if ((flags & TcpFlag.rst) !== 0) return this.#end("reset");
    if ((flags & TcpFlag.syn) === 0) return;
    this.#learnSyn(packet);
    this.#establish(now);
    this.#acknowledge = true;
  }

  #handleSynchronized(packet: IpPacket, now: Instant): void {
    const flags = tcpFlags(packet);
    const sequence = tcpSequence(packet);
    if ((flags & TcpFlag.rst) !== 0) {
      // Exactly the next byte expected, or a forger's guess: RFC 5961 §3.2.
      if (sequence === this.#expected) this.#end("reset");
      return;
    }
    if ((flags & TcpFlag.syn) !== 0) {
      if (this.#state === "syn-received" && sequence === ((this.#expected - 1) >>> 0)) this.#sendSyn(now);
      else this.#acknowledge = true;
      return;
    }
    if ((flags & TcpFlag.ack) === 0) return;
    const acknowledgment = tcpAcknowledgment(packet);
    if (difference(acknowledgment, this.#highestSent) > 0) {
      this.#acknowledge = true;
      return;
    }
    this.#handleAcknowledgment(acknowledgment, now);
    if (this.#state !== "established") return;
    if (difference(sequence, this.#expected) <= 0) this.#sendWindow = tcpWindow(packet);
    this.#handleData(packet, sequence, (flags & TcpFlag.fin) !== 0, now);
    if (this.#remoteFinished && this.#finAcknowledged) this.#end("finished");
  }

  /** After a timeout `#nextToSend` is wound back, yet older copies may still be acknowledged. */
  get #highestSent(): number {
    const queued = this.#state === "established" ? this.#outgoing.length + (this.#closing ? 1 : 0) : 1;
    return (this.#unacknowledged + queued) >>> 0;
  }

  #handleAcknowledgment(acknowledgment: number, now: Instant): void {
    let count = difference(acknowledgment, this.#unacknowledged);
    if (count <= 0) return;
    this.#unacknowledged = acknowledgment;
    if (difference(this.#nextToSend, acknowledgment) < 0) this.#nextToSend = acknowledgment;
    this.#attempts = 0;
    this.#sentAt = now;
    this.#activeAt = now;
    if (this.#state === "syn-received") {
      count -= 1;
      this.#state = "established";
    }
    const data = Math.min(count, this.#outgoing.length);
    this.#outgoing = data === this.#outgoing.length ? NOTHING : this.#outgoing.subarray(data);
    if (count > data) this.#finAcknowledged = true;
  }

  #handleData(packet: IpPacket, sequence: number, fin: boolean, now: Instant): void {
    const payload = tcpPayload(packet);
    if (payload.length === 0 && !fin) {
      // A probe with an old sequence number wants an answer (keep-alive, RFC 9293 §3.8.4).
      if (sequence !== this.#expected) this.#acknowledge = true;
      return;
    }
    this.#acknowledge = true;
    const known = difference(this.#expected, sequence);
    if (known < 0 || known > payload.length || this.#remoteFinished) return;
    const fresh = payload.subarray(known);
    if (fresh.length > 0) {
      this.#incoming.push(fresh.slice());
      this.#expected = (this.#expected + fresh.length) >>> 0;
      this.#activeAt = now;
    }
    if (!fin) return;
    this.#expected = (this.#expected + 1) >>> 0;
    this.#remoteFinished = true;
  }

  #learnSyn(packet: IpPacket): void {
    this.#expected = (tcpSequence(packet) + 1) >>> 0;
    this.#sendWindow = tcpWindow(packet);
    const theirs = tcpMaximumSegmentSize(packet) ?? DEFAULT_SEGMENT_SIZE;
    this.#segmentSize = Math.max(MIN_SEGMENT_SIZE, Math.min(theirs, this.#ownSegmentSize));
  }

  #establish(now: Instant): void {
    this.#state = "established";
    this.#unacknowledged = this.#nextToSend;
    this.#attempts = 0;
    this.#activeAt = now;
  }

  get #ownSegmentSize(): number {
    return MAX_PACKET_LENGTH - ipHeaderLength(this.local.family) - 20;
  }

  #sendSyn(now: Instant): void {
    const flags = this.#state === "syn-sent" ? TcpFlag.syn : TcpFlag.syn | TcpFlag.ack;
    this.#emit(flags, this.#unacknowledged, NOTHING, this.#ownSegmentSize);
    this.#nextToSend = (this.#unacknowledged + 1) >>> 0;
    this.#sentAt = now;
  }

  /** Sends what the window allows; `probe` sends one byte into a closed one. */
  #flush(now: Instant, probe = false): void {
    if (this.#state !== "established" || this.#closeReason !== undefined) return;
    const window = Math.min(Math.max(this.#sendWindow, probe ? 1 : 0), MAX_IN_FLIGHT);
    while (true) {
      const sent = difference(this.#nextToSend, this.#unacknowledged);
      const length = Math.min(this.#outgoing.length - sent, window - sent, this.#segmentSize);
      if (length <= 0) break;
      this.#transmit(TcpFlag.ack | TcpFlag.psh, this.#outgoing.subarray(sent, sent + length), length, now);
    }
    const sent = difference(this.#nextToSend, this.#unacknowledged);
    if (this.#closing && !this.#finAcknowledged && sent === this.#outgoing.length) {
      this.#transmit(TcpFlag.ack | TcpFlag.fin, NOTHING, 1, now);
    }
  }

  #transmit(flags: number, payload: Uint8Array, length: number, now: Instant): void {
    if (this.#nextToSend === this.#unacknowledged) this.#sentAt = now;
    this.#emit(flags, this.#nextToSend, payload);
    this.#nextToSend = (this.#nextToSend + length) >>> 0;
  }

  #emit(flags: number, sequence: number, payload: Uint8Array = NOTHING, maximumSegmentSize?: number): void {
    this.#acknowledge = false;
    this.#packets.push(buildTcp({
      source: this.local.ip,
      destination: this.remote.ip,
      sourcePort: this.local.port,
      destinationPort: this.remote.port,
      sequence,
      acknowledgment: (flags & TcpFlag.ack) !== 0 ? this.#expected : 0,
      flags,
      window: RECEIVE_WINDOW,
      payload,
      ...(maximumSegmentSize === undefined ? {} : { maximumSegmentSize }),
    }));
  }

  #giveUp(): void {
    this.abort();
    this.#closeReason = "timeout";
  }

  #end(reason: TcpCloseReason): void {
    // The last acknowledgment must still leave before the state that would make it is gone.
    if (this.#acknowledge) this.#emit(TcpFlag.ack, this.#nextToSend);
    this.#state = "closed";
    this.#closeReason = reason;
    this.#outgoing = NOTHING;
  }
}

const NOTHING = new Uint8Array(0);
/** RFC 9293 §3.7.1. */
const DEFAULT_SEGMENT_SIZE = 536;
/** A peer that announces less would make us send a packet for every few bytes. */
const MIN_SEGMENT_SIZE = 64;
const RECEIVE_WINDOW = 16_384;
/** No congestion control: the path is this machine or one tunnel, and answers are small. */
const MAX_IN_FLIGHT = 16_384;
const MAX_SEND_BUFFER = 262_144;
const RETRANSMIT_AFTER = seconds(1);
const MAX_RETRANSMIT_AFTER = seconds(8);
const MAX_ATTEMPTS = 5;
/** RFC 7766 §6.2.3 wants seconds, not minutes. */
const IDLE_TIMEOUT = seconds(30);
const LINGER = seconds(5);

/** Returns `a - b` on the circle of sequence numbers, −2^31 ≤ it < 2^31. */
function difference(a: number, b: number): number {
  return (a - b) | 0;
}
