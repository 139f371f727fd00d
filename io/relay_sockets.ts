/**
 * The sockets of a relay: the listening one of each family, and those of the allocation ports, which come and go. Runs
 * the TURN server on them, on one thread, in bounded turns.
 */

import type { Platform, Poller, UdpSocket } from "../ffi/platform.ts";
import type { Datagram } from "../lib/base/datagram.ts";
import { Fault } from "../lib/base/fault.ts";
import { type Family, IpAddress, SocketAddress } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import type { TurnServer, TurnServerEvent } from "../lib/turn/server.ts";
import { monotonicNow } from "./clock.ts";

/** Which sockets a relay has. */
export interface RelaySocketsOptions {
  readonly server: TurnServer;
  readonly platform: Pick<Platform, "bindUdp" | "createPoller">;
  /** The families to serve. */
  readonly families: readonly Family[];
  /** What peers see: data to them leaves from there, if the machine has the address itself. */
  readonly publicAddress: { readonly 4?: IpAddress | undefined; readonly 6?: IpAddress | undefined };
  /** Addresses to bind; if absent, all of the machine, and for allocation ports the public address. */
  readonly bindAddress: { readonly 4?: IpAddress | undefined; readonly 6?: IpAddress | undefined };
  readonly listenPort: number;
  readonly log: Log;
}

export class RelaySockets {
  readonly #options: RelaySocketsOptions;
  readonly #poller: Poller;
  readonly #listening = new Map<Family, UdpSocket>();
  readonly #allocated = new Map<number, Map<Family, UdpSocket>>();
  /** Whether the public address is an address of this machine; behind a NAT it is not. */
  readonly #hasPublic: { 4?: boolean; 6?: boolean } = {};
  #now = monotonicNow();
  #lastUsed: UdpSocket | undefined;
  #isRunning = true;

  /** Binds the listening sockets. Throws a Fault if one cannot be had; then none is left open. */
  constructor(options: RelaySocketsOptions) {
    this.#options = options;
    this.#poller = options.platform.createPoller();
    try {
      for (const family of options.families) this.#listen(family);
    } catch (error) {
      void this.#closeAll();
      throw error;
    }
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    const { server } = this.#options;
    let hasMore = false;
    while (this.#isRunning) {
      const wake = server.pollTimeout();
      const timeout = wake === undefined
        ? MAX_WAIT_MS
        : Math.min(Math.max(wake.at - monotonicNow(), 0), MAX_WAIT_MS);
      const ready = await this.#poller.wait(hasMore ? 0 : timeout);
      if (!this.#isRunning) return;
      this.#now = monotonicNow();
      hasMore = this.#receive(ready as readonly UdpSocket[]);
      server.handleTimeout(this.#now);
      this.#drain();
    }
  }

  /** Ends all allocations, closes all sockets. */
  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#options.server.close();
    this.#drain();
    await this.#closeAll();
  }

  #listen(family: Family): void {
    const { listenPort, platform } = this.#options;
    const address = new SocketAddress(this.#bindIp(family), listenPort);
    const socket = platform.bindUdp({ address });
    if (socket === undefined) {
      throw new Fault("unexpected", `Cannot relay over IPv${family}: this machine has no IPv${family}`, {
        next: `Start the relay without a public IPv${family} address.`,
      });
    }
    this.#listening.set(family, socket);
    this.#poller.add(socket);
  }

  #bindIp(family: Family): IpAddress {
    return this.#options.bindAddress[family] ?? ANY[family];
  }

  /** Peers know us by the public address: data must not come from another of this machine's. */
  #relayIp(family: Family): IpAddress {
    const { bindAddress, publicAddress, platform } = this.#options;
    const own = publicAddress[family];
    if (bindAddress[family] !== undefined || own === undefined) return this.#bindIp(family);
    this.#hasPublic[family] ??= canBind(platform, own);
    return this.#hasPublic[family] ? own : ANY[family];
  }

  /** Returns whether sockets may hold more. */
  #receive(ready: readonly UdpSocket[]): boolean {
    let hasMore = false;
    for (const socket of ready) {
      let count = 0;
      while (count < RECEIVES_PER_TURN && socket.receive(this.#onDatagram)) count++;
      if (count === RECEIVES_PER_TURN) hasMore = true;
    }
    return hasMore;
  }

  readonly #onDatagram = (local: SocketAddress, remote: SocketAddress, payload: Uint8Array): void => {
    const out = this.#options.server.handleDatagram(local, remote, payload, this.#now);
    if (out !== undefined) this.#send(out);
  };

  #drain(): void {
    const { server } = this.#options;
    for (let event = server.pollEvent(); event !== undefined; event = server.pollEvent()) {
      this.#handleEvent(event);
    }
    for (let out = server.pollDatagram(); out !== undefined; out = server.pollDatagram()) this.#send(out);
    this.#lastUsed?.flush();
  }

  #send(datagram: Datagram): void {
    const { local, remote } = datagram;
    const port = local?.port ?? this.#options.listenPort;
    const socket = port === this.#options.listenPort
      ? this.#listening.get(remote.family)
      : this.#allocated.get(port)?.get(remote.family);
    if (socket === undefined) return;
    if (socket !== this.#lastUsed) this.#lastUsed?.flush();
    this.#lastUsed = socket;
    socket.send(datagram);
  }

  #handleEvent(event: TurnServerEvent): void {
    switch (event.type) {
      case "open-port":
        return this.#options.server.handlePortOpened(
          event.port,
          this.#open(event.port, event.families),
          this.#now,
        );
      case "close-port":
        return this.#close(event.port);
    }
  }

  #open(port: number, families: readonly Family[]): boolean {
    const sockets = new Map<Family, UdpSocket>();
    this.#allocated.set(port, sockets);
    try {
      for (const family of families) {
        const address = new SocketAddress(this.#relayIp(family), port);
        const socket = this.#options.platform.bindUdp({ address, ...ALLOCATION_BUFFERS });
        if (socket === undefined) {
          throw new Fault("unexpected", `Cannot listen on UDP ${address}: no such family`);
        }
        sockets.set(family, socket);
        this.#poller.add(socket);
      }
      return true;
    } catch (error) {
      this.#close(port);
      this.#options.log.debug("relay cannot open a port", { port, error });
      return false;
    }
  }

  #close(port: number): void {
    for (const socket of this.#allocated.get(port)?.values() ?? []) this.#closeSocket(socket);
    this.#allocated.delete(port);
  }

  #closeSocket(socket: UdpSocket): void {
    this.#poller.remove(socket);
    socket.close();
    if (socket === this.#lastUsed) this.#lastUsed = undefined;
  }

  async #closeAll(): Promise<void> {
    for (const port of [...this.#allocated.keys()]) this.#close(port);
    for (const socket of this.#listening.values()) this.#closeSocket(socket);
    this.#listening.clear();
    await this.#poller.close();
  }
}

function canBind(platform: RelaySocketsOptions["platform"], ip: IpAddress): boolean {
  try {
    const socket = platform.bindUdp({ address: new SocketAddress(ip, 0) });
    socket?.close();
    return socket !== undefined;
  } catch {
    return false;
  }
}

const ANY = { 4: IpAddress.from("0.0.0.0"), 6: IpAddress.from("::") };
/** One receive takes up to 64 datagrams of one sender. */
const RECEIVES_PER_TURN = 32;
/** A sleeping computer does not count down: look at the clock every now and then. */
const MAX_WAIT_MS = 10_000;
/** There may be thousands of allocation ports, each the mouth of one peer's traffic only. */
const ALLOCATION_BUFFERS = { receiveBuffer: 2 * 2 ** 20, sendBuffer: 2 ** 20 };
