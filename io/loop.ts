/**
 * The event loop of a role with packets: waits for the TUN device, the UDP sockets and the machine's clock, feeds the
 * machine, and drains it. One thread; every turn is bounded, so that timers, the portal and control connections get
 * theirs. Client and gateway share it; a relay has it without a TUN device.
 */

import type { Datagram } from "../lib/base/datagram.ts";
import type { SocketAddress } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import type { Instant, Wake } from "../lib/base/time.ts";
import type { DatagramHandler, PacketHandler, Pollable, Poller, Tun, UdpSocket } from "../ffi/platform.ts";
import { type Clock, systemClock } from "./clock.ts";

/** What the loop needs of a machine; `ClientSession` and `GatewaySession` are such. */
export interface PacketMachine {
  /** One packet from the TUN device; returns a datagram to send at once. */
  handlePacket?(packet: Uint8Array, now: Instant): Datagram | undefined;
  /** One datagram; returns a packet for the TUN device. */
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): Uint8Array | undefined;
  handleTimeout(now: Instant): void;
  pollTimeout(): Wake | undefined;
  pollDatagram(): Datagram | undefined;
  pollPacket?(): Uint8Array | undefined;
}

/** Sees each packet inside the tunnel: "out" comes from this machine, "in" is for it. Valid until it returns. */
export type PacketTap = (packet: Uint8Array, direction: "in" | "out") => void;

/** What a loop carries between. */
export interface LoopOptions {
  readonly machine: PacketMachine;
  readonly poller: Poller;
  /** Default: the process's one clock. */
  readonly clock?: Clock;
  readonly log: Log;
  /** Called at the end of every turn in which the machine was given something: drains what the loop does not know. */
  readonly onTurn?: (now: Instant) => void;
  /** Called once when the TUN device was deleted by somebody. */
  readonly onTunGone?: () => void;
}

/** Runs until `stop`. Sources can come and go meanwhile. */
export class Loop {
  readonly #machine: PacketMachine;
  readonly #poller: Poller;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onTurn: (now: Instant) => void;
  readonly #onTunGone: () => void;
  readonly #onPacket: PacketHandler;
  readonly #onDatagram: DatagramHandler;
  #sockets: readonly UdpSocket[] = [];
  #tun: Tun | undefined;
  /** Undefined while nobody captures: one comparison a packet. */
  #tap: PacketTap | undefined;
  readonly #taps = new Set<PacketTap>();
  #now: Instant;
  /** The instant at which the pending wait ends by itself. */
  #armedFor = Infinity;
  #isRunning = true;
  #isDraining = false;
  #isPoked = false;
  readonly #watched = new Map<Pollable, () => void>();
  #unroutable = 0;

  constructor({ machine, poller, clock = systemClock, log, onTurn, onTunGone }: LoopOptions) {
    this.#machine = machine;
    this.#poller = poller;
    this.#clock = clock;
    this.#log = log;
    this.#onTurn = onTurn ?? (() => {});
    this.#onTunGone = onTunGone ?? (() => {});
    this.#now = clock.now();
    this.#onPacket = (packet) => {
      // Before the machine translates it in place.
      this.#tap?.(packet, "out");
      const datagram = machine.handlePacket?.(packet, this.#now);
      if (datagram !== undefined) this.#send(datagram);
    };
    this.#onDatagram = (local, remote, payload) => {
      const packet = machine.handleDatagram(local, remote, payload, this.#now);
      if (packet !== undefined) this.#deliver(packet);
    };
  }

  /** Datagrams that had no socket of their family. */
  get unroutable(): number {
    return this.#unroutable;
  }

  /** Replaces the TUN device; the old one is not closed. */
  setTun(tun: Tun | undefined): void {
    if (this.#tun !== undefined) this.#poller.remove(this.#tun);
    this.#tun = tun;
    if (tun !== undefined) this.#poller.add(tun);
  }

  /** Replaces the sockets; the old ones are not closed. At most one of each family is used to send. */
  setSockets(sockets: readonly UdpSocket[]): void {
    for (const socket of this.#sockets) this.#poller.remove(socket);
    this.#sockets = sockets;
    for (const socket of sockets) this.#poller.add(socket);
  }

  /** Shows `tap` each packet inside the tunnel until the returned function is called. */
  addTap(tap: PacketTap): () => void {
    this.#taps.add(tap);
    this.#chooseTap();
    return () => {
      this.#taps.delete(tap);
      this.#chooseTap();
    };
  }

  /** Calls `onReadable` whenever `source`, which is not the machine's, can be read. */
  watch(source: Pollable, onReadable: () => void): void {
    this.#watched.set(source, onReadable);
    this.#poller.add(source);
  }

  /** To be called before `source` is closed. */
  unwatch(source: Pollable): void {
    if (this.#watched.delete(source)) this.#poller.remove(source);
  }

  /** Runs the machine until `stop`. */
  async run(): Promise<void> {
    let hasMore = false;
    let isDry = false;
    let lastInput = -Infinity;
    let lastTurnOfOthers = this.#clock.now();
    while (this.#isRunning) {
      const isBusy = hasMore || this.#now - lastInput <= PATIENCE_MS;
      const isOnSpot: boolean = isBusy && !isDry && this.#now - lastTurnOfOthers <= MAX_BURST_MS;
      const timeout = hasMore ? 0 : this.#timeout();
      // Only a wait on another thread lets the runtime look at its own sockets: a turn of the event loop does not.
      const ready: readonly Pollable[] = isOnSpot
        ? this.#poller.poll(Math.min(Math.ceil(timeout), SLICE_MS))
        : await this.#poller.wait(isBusy ? Math.min(timeout, TURN_MS) : timeout);
      if (!isOnSpot) lastTurnOfOthers = this.#clock.now();
      this.#armedFor = Infinity;
      if (!this.#isRunning) return;
      const tunReady = this.#tun !== undefined && ready.includes(this.#tun);
      if (this.#watched.size > 0) { for (const source of ready) this.#watched.get(source)?.(); }
      const hasInput = hasMore || ready.length > 0;
      hasMore = this.#turn(hasInput, hasMore || tunReady);
      // After others had their turn, the next packet is waited for on the spot again.
      isDry = isOnSpot && !hasInput;
      if (hasInput) lastInput = this.#now;
    }
  }

  /**
   * Drains the machine after something outside the loop gave it an input: sends what it has to send and arms its
   * timer anew. May be called from `onTurn`.
   */
  poke(): void {
    this.#isPoked = true;
    if (!this.#isRunning || this.#isDraining) return;
    this.#now = this.#clock.now();
    this.#drain();
    const wake = this.#machine.pollTimeout();
    if (wake !== undefined && wake.at < this.#armedFor) this.#poller.wake();
  }

  /** Ends `run` soon. What the machine has to send should have been drained by `poke` before. */
  stop(): void {
    this.#isRunning = false;
    this.#poller.wake();
  }

  #timeout(): number {
    const now = this.#clock.now();
    const wake = this.#machine.pollTimeout();
    // A sleeping computer does not count down: look at the clock every now and then.
    const at = Math.min(wake?.at ?? Infinity, now + MAX_WAIT_MS);
    this.#armedFor = at;
    return Math.max(at - now, 0);
  }

  /** Returns whether sources may hold more. */
  #turn(hasInput: boolean, tunReady: boolean): boolean {
    this.#now = this.#clock.now();
    let hasMore = false;
    if (hasInput) hasMore = this.#receive(tunReady);
    const wake = this.#machine.pollTimeout();
    if (wake !== undefined && wake.at <= this.#now) {
      this.#log.trace("timeout", { reason: wake.reason });
      this.#machine.handleTimeout(this.#now);
    }
    this.#drain();
    return hasMore;
  }

  #receive(tunReady: boolean): boolean {
    let hasMore = true;
    for (let round = 0; round < ROUNDS && hasMore; round++) {
      hasMore = false;
      for (const socket of this.#sockets) {
        let count = 0;
        while (count < UDP_RECEIVES && socket.receive(this.#onDatagram)) count++;
        if (count === UDP_RECEIVES) hasMore = true;
      }
      this.#tun?.flush();
      if (this.#tun === undefined || !(tunReady || round > 0)) continue;
      let count = 0;
      while (count < TUN_READS && this.#tun.receive(this.#onPacket)) count++;
      if (count === TUN_READS) hasMore = true;
      for (const socket of this.#sockets) socket.flush();
      if (this.#tun.isGone) {
        this.setTun(undefined);
        this.#onTunGone();
      }
    }
    return hasMore;
  }

  #drain(): void {
    this.#isDraining = true;
    try {
      for (let pass = 0; pass < DRAIN_PASSES; pass++) {
        this.#isPoked = false;
        this.#drainPackets();
        this.#onTurn(this.#now);
        if (!this.#isPoked) break;
      }
      // What the owner did in its turn may have produced more.
      this.#drainPackets();
    } finally {
      this.#isDraining = false;
    }
  }

  #drainPackets(): void {
    const machine = this.#machine;
    for (let datagram = machine.pollDatagram(); datagram !== undefined; datagram = machine.pollDatagram()) {
      this.#send(datagram);
    }
    for (let packet = machine.pollPacket?.(); packet !== undefined; packet = machine.pollPacket?.()) {
      this.#deliver(packet);
    }
    for (const socket of this.#sockets) socket.flush();
    this.#tun?.flush();
  }

  #deliver(packet: Uint8Array): void {
    this.#tap?.(packet, "in");
    this.#tun?.send(packet);
  }

  #chooseTap(): void {
    const taps = [...this.#taps];
    this.#tap = taps.length < 2 ? taps[0] : (packet, direction) => {
      for (const tap of taps) tap(packet, direction);
    };
  }

  #send(datagram: Datagram): void {
    const family = datagram.remote.family;
    for (const socket of this.#sockets) {
      if (socket.local.family === family) {
        socket.send(datagram);
        return;
      }
    }
    this.#unroutable++;
  }
}

const ROUNDS = 8;
const DRAIN_PASSES = 4;
const UDP_RECEIVES = 8;
const TUN_READS = 64;
const MAX_WAIT_MS = 10_000;
/** After a packet the next one is waited for on the spot, for so long: a thread switch costs more than a packet. */
const PATIENCE_MS = 50;
/** So long at most may waiting on the spot, and so long may packets, keep the rest of the program from its turn. */
const SLICE_MS = 2;
const MAX_BURST_MS = 8;
/** So long is the turn of the rest of the program, unless a packet comes. */
const TURN_MS = 1;
