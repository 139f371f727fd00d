/**
 * The UDP sockets of a client through all networks that it comes to: replaced when the network changes, missing while
 * there is none, and what they could not send counted all the time.
 */

import type { UdpSocket } from "../ffi/platform.ts";
import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";

/** Where sockets come from, and who uses them. */
export interface ClientSocketsOptions {
  /** Returns one socket for each family that the machine has, maybe none. May throw a Fault. */
  readonly bind: () => UdpSocket[];
  /** Called before sockets are closed, without them, and after others are open. */
  readonly use: (sockets: readonly UdpSocket[]) => void;
  readonly log: Log;
}

export class ClientSockets {
  readonly #options: ClientSocketsOptions;
  /** Of sockets that are closed. */
  readonly #errors = new Map<string, number>();
  #sockets: readonly UdpSocket[] = [];

  constructor(options: ClientSocketsOptions) {
    this.#options = options;
  }

  get all(): readonly UdpSocket[] {
    return this.#sockets;
  }

  /** Datagrams that the kernel did not take, by its error, for example "ENETUNREACH". */
  get sendErrors(): Readonly<Record<string, number>> {
    const sum = new Map(this.#errors);
    for (const socket of this.#sockets) addTo(sum, socket.stats.sendErrors);
    return Object.fromEntries(sum);
  }

  /** Opens sockets; none where there is no IP. Throws a Fault for those that would send into the tunnel itself. */
  open(): void {
    const sockets = this.#options.bind();
    if (!sockets.every((socket) => socket.marked)) {
      for (const socket of sockets) socket.close();
      throw new Fault(
        "privilege",
        "Cannot keep our own packets out of the tunnel: marking them is not permitted",
        { next: "Run as root, or give the program the capability CAP_NET_ADMIN." },
      );
    }
    if (sockets.length === 0) this.#options.log.warn("no UDP socket can be opened: there is no IP network");
    this.#sockets = sockets;
    this.#options.use(sockets);
  }

  /** Opens others in their place. What fails is logged: `retry` tries again. */
  replace(): void {
    this.close();
    try {
      this.open();
    } catch (error) {
      this.#options.log.error("cannot open UDP sockets", { error });
    }
  }

  /** Tries again where there are no sockets; returns whether there are some of a sudden. */
  retry(): boolean {
    if (this.#sockets.length > 0) return false;
    this.replace();
    return this.#sockets.length > 0;
  }

  close(): void {
    const sockets = this.#sockets;
    // The same port can be had again only when the old sockets are closed.
    this.#options.use([]);
    this.#sockets = [];
    for (const socket of sockets) {
      socket.close();
      addTo(this.#errors, socket.stats.sendErrors);
    }
  }
}

function addTo(sum: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) sum.set(name, (sum.get(name) ?? 0) + count);
}
