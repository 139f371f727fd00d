/** A host: addresses on networks, and one machine that is run by the rules of its contract. */

import type { Datagram } from "../../lib/base/datagram.ts";
import { type Family, type IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import type { Instant, Wake } from "../../lib/base/time.ts";
import type { Network } from "./network.ts";
import type { Simulation } from "./simulation.ts";

/** What a machine must offer to be run. */
export interface Machine {
  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void;
  handleTimeout(now: Instant): void;
  pollTimeout(): Wake | undefined;
  pollDatagram(): Datagram | undefined;
  /** Called when no datagram is left to poll: take events here. */
  drained?(now: Instant): void;
}

export class Host {
  readonly simulation: Simulation;
  /** A powered-off host neither receives nor wakes. */
  isOn = true;
  sent = 0;
  received = 0;
  readonly #ports: { readonly ip: IpAddress; readonly network: Network }[] = [];
  readonly #port: number;
  #machine: Machine | undefined;
  #armedAt: Instant | undefined;

  /** `port`: of the host's only socket, for datagrams that leave the choice to the kernel. */
  constructor(simulation: Simulation, port = 52625) {
    this.simulation = simulation;
    this.#port = port;
  }

  attach(network: Network, ip: IpAddress): this {
    this.#ports.push({ ip, network });
    network.attach(ip, (source, destination, payload) => this.#receive(source, destination, payload));
    return this;
  }

  detach(network: Network): void {
    for (const port of this.#ports.filter((port) => port.network === network)) {
      this.#ports.splice(this.#ports.indexOf(port), 1);
      network.detach(port.ip);
    }
  }

  address(family: Family = 4): SocketAddress | undefined {
    const port = this.#ports.find(({ ip }) => ip.family === family);
    return port && new SocketAddress(port.ip, this.#port);
  }

  run(machine: Machine): void {
    this.#machine = machine;
    this.drain();
  }

  /** To be called after every use of the machine from outside. */
  drain(): void {
    const machine = this.#machine;
    if (machine === undefined || !this.isOn) return;
    for (let count = 0;; count++) {
      if (count > 10_000) throw new Error("The machine never stops sending");
      const datagram = machine.pollDatagram();
      if (datagram === undefined) break;
      this.send(datagram);
    }
    machine.drained?.(this.simulation.now);
    this.#arm();
  }

  send({ local, remote, payload }: Datagram): void {
    const port = local === undefined || local.ip.isUnspecified
      ? this.#ports.find(({ ip }) => ip.family === remote.family)
      : this.#ports.find(({ ip }) => ip.equals(local.ip));
    if (port === undefined) return;
    this.sent++;
    const source = new SocketAddress(port.ip, local?.port ?? this.#port);
    port.network.send(source, remote, payload);
  }

  #receive(source: SocketAddress, destination: SocketAddress, payload: Uint8Array): void {
    if (!this.isOn) return;
    this.received++;
    this.#machine?.handleDatagram(destination, source, payload, this.simulation.now);
    this.drain();
  }

  #arm(): void {
    const wake = this.#machine?.pollTimeout();
    if (wake === undefined || this.#armedAt !== undefined && this.#armedAt <= wake.at) return;
    const at = Math.max(wake.at, this.simulation.now);
    this.#armedAt = at;
    this.simulation.scheduleAt(at, () => {
      if (this.#armedAt !== at) return;
      this.#armedAt = undefined;
      if (!this.isOn) return;
      this.#machine?.handleTimeout(this.simulation.now);
      this.drain();
    });
  }
}
