/** The UDP sockets by which a client or gateway reaches relays and peers: one of each family. */

import type { Platform, UdpSocket } from "../ffi/platform.ts";
import { IpAddress, SocketAddress } from "../lib/base/ip.ts";
import { type Log, silentLog } from "../lib/base/log.ts";

/** How they are bound. */
export interface PeerSocketOptions {
  /** Put on what they send. */
  readonly mark?: number;
  /** Any other is taken where this one is in use. Default: the port that peers of Firezone listen on. */
  readonly port?: number | undefined;
  readonly log?: Log;
}

const LISTEN_PORT = 52_625;

/** Returns the sockets of the families that this machine has, maybe none. */
export function bindPeerSockets(
  platform: Pick<Platform, "bindUdp">,
  { mark, port = LISTEN_PORT, log = silentLog }: PeerSocketOptions = {},
): UdpSocket[] {
  const sockets: UdpSocket[] = [];
  try {
    for (const any of ["0.0.0.0", "::"]) {
      const address = new SocketAddress(IpAddress.from(any), port);
      const socket = platform.bindUdp({ address, fallbackPort: 0, ...(mark === undefined ? {} : { mark }) });
      if (socket === undefined) continue;
      sockets.push(socket);
      if (socket.local.port !== port) {
        const fields = { family: socket.local.family, wanted: port, taken: socket.local.port };
        log.warn("the UDP port is in use by somebody else; taking another", fields);
      }
    }
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  return sockets;
}
