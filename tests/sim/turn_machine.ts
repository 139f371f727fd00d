/** A TURN server as a host's machine: every port that it wants is opened at once. */

import type { Datagram } from "../../lib/base/datagram.ts";
import type { SocketAddress } from "../../lib/base/ip.ts";
import type { Instant, Wake } from "../../lib/base/time.ts";
import type { TurnServer } from "../../lib/turn/server.ts";
import type { Machine } from "./host.ts";

export class TurnMachine implements Machine {
  /** Asked at each call: a relay that restarts has another one. */
  readonly #server: () => TurnServer;
  readonly #datagrams: Datagram[] = [];

  constructor(server: () => TurnServer) {
    this.#server = server;
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const server = this.#server();
    const forwarded = server.handleDatagram(local, remote, payload, now);
    if (forwarded !== undefined) this.#datagrams.push({ ...forwarded, payload: forwarded.payload.slice() });
    for (let event = server.pollEvent(); event !== undefined; event = server.pollEvent()) {
      if (event.type === "open-port") server.handlePortOpened(event.port, true, now);
    }
  }

  handleTimeout(now: Instant): void {
    this.#server().handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.#server().pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.#datagrams.shift() ?? this.#server().pollDatagram();
  }
}
