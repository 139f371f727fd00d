/** An `Allocation` on real sockets, for tests against relays. */

import { platform } from "../../ffi/mod.ts";
import type { Poller, UdpSocket } from "../../ffi/platform.ts";
import { monotonicNow } from "../../io/clock.ts";
import { systemRng } from "../../io/rng.ts";
import type { SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { AllocationEvent } from "../../lib/turn/allocation_event.ts";
import { Allocation, type AllocationOptions, type Relay } from "../../lib/turn/client.ts";
import { PATIENCE_MS } from "./support/patience.ts";

export interface Arrival {
  readonly local: SocketAddress;
  readonly peer: SocketAddress;
  readonly payload: Uint8Array;
}

export class TurnClient {
  readonly allocation: Allocation;
  readonly events: AllocationEvent[] = [];
  readonly arrivals: Arrival[] = [];
  readonly #sockets: readonly UdpSocket[];
  readonly #poller: Poller;
  #running = true;
  #done: Promise<void> = Promise.resolve();

  private constructor(allocation: Allocation, sockets: readonly UdpSocket[], poller: Poller) {
    this.allocation = allocation;
    this.#sockets = sockets;
    this.#poller = poller;
    for (const socket of sockets) poller.add(socket);
    this.#done = this.#run();
  }

  /** Starts at once; `locals` are the addresses to bind, one of each family in use. */
  static async start(
    relay: Relay,
    locals: readonly SocketAddress[],
    options: Partial<AllocationOptions> = {},
  ): Promise<TurnClient> {
    const { bindUdp, createPoller } = await platform();
    const sockets = locals.map((address) => bindUdp({ address })!);
    const allocation = new Allocation({
      relay,
      rng: systemRng,
      now: monotonicNow(),
      log: silentLog,
      ...options,
    });
    return new TurnClient(allocation, sockets, createPoller());
  }

  /** Sends data through the relay; returns whether there was a channel. */
  send(peer: SocketAddress, data: Uint8Array): boolean {
    const frame = new Uint8Array(4 + data.length);
    frame.set(data, 4);
    const path = this.allocation.wrapHeader(peer, data.length, frame, 0, monotonicNow());
    if (path !== undefined) this.#send(path.remote, frame);
    this.#drain();
    return path !== undefined;
  }

  /** Waits until `condition` holds; throws if it never does. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!condition()) {
      if (Date.now() > deadline) {
        throw new Error(`${what}: ${JSON.stringify(this.events)} in state ${this.allocation.state}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async allocated(): Promise<this> {
    await this.until(() => this.allocation.state === "allocated", "no allocation");
    return this;
  }

  async close(): Promise<void> {
    this.allocation.close(monotonicNow());
    this.#drain();
    this.#running = false;
    this.#poller.wake();
    await this.#done;
    await this.#poller.close();
    for (const socket of this.#sockets) socket.close();
  }

  async #run(): Promise<void> {
    while (this.#running) {
      this.#drain();
      const wake = this.allocation.pollTimeout();
      await this.#poller.wait(Math.min(50, Math.max(0, (wake?.at ?? Infinity) - monotonicNow())));
      for (const socket of this.#sockets) {
        while (
          socket.receive((local, remote, payload) => {
            const input = this.allocation.handleDatagram(local, remote, payload, monotonicNow());
            if (input?.type === "data") this.arrivals.push({ ...input, payload: input.payload.slice() });
          })
        );
      }
      this.allocation.handleTimeout(monotonicNow());
    }
  }

  #drain(): void {
    for (let event = this.allocation.pollEvent(); event; event = this.allocation.pollEvent()) {
      this.events.push(event);
    }
    for (let out = this.allocation.pollDatagram(); out; out = this.allocation.pollDatagram()) {
      this.#send(out.remote, out.payload);
    }
  }

  #send(remote: SocketAddress, payload: Uint8Array): void {
    const socket = this.#sockets.find(({ local }) => local.family === remote.family);
    socket?.send({ local: undefined, remote, payload });
    socket?.flush();
  }
}
