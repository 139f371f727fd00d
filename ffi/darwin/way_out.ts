/**
 * Keeps sockets that must pass the tunnel by on the interface of the machine's default route. Without such a route they
 * are free, unless our Internet route would catch them: then they are bound to the loopback interface, where nothing
 * leaves, rather than run in a circle through our own tunnel. A table that cannot be read moves nobody.
 */

import type { Family } from "../../lib/base/ip.ts";
import { readTable } from "./host_network.ts";
import type { RouteKernel } from "./kernel.ts";
import type { RouteEntry } from "./route_message.ts";
import { defaultRoute, hasInternetRoute } from "./routing.ts";

/** A socket that can be bound. */
export interface BoundSocket {
  readonly family: Family;
  /** Binds it to the interface `index`; 0 frees it. */
  bindInterface(index: number): void;
}

export class WayOut {
  readonly #kernel: Pick<RouteKernel, "dumpRoutes" | "interfaceIndex">;
  readonly #sockets = new Map<BoundSocket, number>();

  constructor(kernel: Pick<RouteKernel, "dumpRoutes" | "interfaceIndex">) {
    this.#kernel = kernel;
  }

  /** Binds `socket`, and keeps it where it belongs until it is removed. */
  add(socket: BoundSocket): void {
    this.#sockets.set(socket, NEVER);
    this.#bind(readTable(this.#kernel), [socket]);
  }

  remove(socket: BoundSocket): void {
    this.#sockets.delete(socket);
  }

  /** Looks where the way out is, and moves the sockets that are elsewhere. */
  follow(): void {
    if (this.#sockets.size > 0) this.#bind(readTable(this.#kernel), [...this.#sockets.keys()]);
  }

  #bind(table: readonly RouteEntry[], sockets: readonly BoundSocket[]): void {
    for (const socket of sockets) {
      const before = this.#sockets.get(socket);
      // A family that is there has routes of its own.
      const isKnown = table.some(({ destination }) => destination.family === socket.family);
      if (before !== NEVER && !isKnown) continue;
      const index = this.#indexFor(table, socket.family);
      if (before === index) continue;
      socket.bindInterface(index);
      this.#sockets.set(socket, index);
    }
  }

  #indexFor(table: readonly RouteEntry[], family: Family): number {
    const index = defaultRoute(table, family, NO_DEVICE)?.index;
    if (index !== undefined) return index;
    return hasInternetRoute(table, family) ? this.#kernel.interfaceIndex("lo0") : 0;
  }
}

const NEVER = -1;
/** Routes of ours are told by their mark. */
const NO_DEVICE = 0;
