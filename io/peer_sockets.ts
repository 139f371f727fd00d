/** The UDP sockets by which a client or gateway reaches relays and peers: one of each family. */

import type { Platform, UdpSocket } from "../ffi/platform.ts";
import { IpAddress, SocketAddress } from "../lib/base/ip.ts";

/** The port that peers of Firezone listen on, where it is free. */
const LISTEN_PORT = 52_625;

/** Returns the sockets of the families that this machine has, maybe none; `mark` is put on what they send. */
export function bindPeerSockets(platform: Pick<Platform, "bindUdp">, mark?: number): UdpSocket[] {
  const sockets: UdpSocket[] = [];
  try {
    for (const any of ["0.0.0.0", "::"]) {
      const address = new SocketAddress(IpAddress.from(any), LISTEN_PORT);
      const socket = platform.bindUdp({ address, fallbackPort: 0, ...(mark === undefined ? {} : { mark }) });
      if (socket !== undefined) sockets.push(socket);
    }
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  return sockets;
}
