/** The counters of devices and sockets as they are made: nothing has happened. The same on every system. */

import type { TunStats, UdpStats } from "./platform.ts";

/** Returns the counters of a TUN device that has just been opened. */
export function newTunStats(): TunStats {
  return {
    receivedPackets: 0,
    receivedBytes: 0,
    sentPackets: 0,
    sentBytes: 0,
    reads: 0,
    writes: 0,
    dropped: 0,
  };
}

/** Returns the counters of a UDP socket that has just been opened. */
export function newUdpStats(): UdpStats {
  return {
    receivedDatagrams: 0,
    receivedBytes: 0,
    sentDatagrams: 0,
    sentBytes: 0,
    sendErrors: new Map(),
    dropped: 0,
  };
}

/** Counts `by` datagrams that could not be sent because of the error called `name`. */
export function countSendErrors({ sendErrors }: Pick<UdpStats, "sendErrors">, name: string, by = 1): void {
  sendErrors.set(name, (sendErrors.get(name) ?? 0) + by);
}
