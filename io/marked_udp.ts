/**
 * DNS queries of our own over UDP, past the tunnel: sockets with the mark that policy routing looks for, one for each
 * query, so that each has a source port of its own (RFC 5452).
 */

import type { Platform, UdpSocket } from "../ffi/platform.ts";
import { IpAddress, SocketAddress } from "../lib/base/ip.ts";
import type { LocalPorts } from "./local_ports.ts";
import type { Loop } from "./loop.ts";
import type { UdpExchange } from "./upstream_dns.ts";

/** Returns an exchange whose sockets carry `mark`. They are read by `loop`; `ports` knows of them while they are open. */
export function markedUdp(
  platform: Pick<Platform, "bindUdp">,
  loop: Loop,
  mark: number,
  ports?: Pick<LocalPorts, "hold" | "release">,
): UdpExchange {
  return {
    async exchange(payload, remote, accept, signal) {
      const socket = open(platform, remote, mark);
      const { local } = socket;
      try {
        await ports?.hold(local);
        return await new Promise<Uint8Array>((resolve, reject) => {
          const abort = () => reject(new Error("aborted"));
          if (signal.aborted) return abort();
          signal.addEventListener("abort", abort, { once: true });
          loop.watch(socket, () => {
            // Bounded: a flood must not keep the loop from everything else.
            for (let count = 0; count < RECEIVES_PER_TURN; count++) {
              const received = socket.receive((_, from, bytes) => {
                if (!from.equals(remote)) return;
                const answer = bytes.slice();
                if (accept(answer)) resolve(answer);
              });
              if (!received) break;
            }
          });
          socket.send({ local: undefined, remote, payload });
          socket.flush();
          const [failure] = socket.stats.sendErrors.keys();
          if (failure !== undefined) reject(new Error(`cannot send: ${failure}`));
        });
      } finally {
        loop.unwatch(socket);
        socket.close();
        void ports?.release(local);
      }
    },
  };
}

function open(platform: Pick<Platform, "bindUdp">, remote: SocketAddress, mark: number): UdpSocket {
  const any = IpAddress.from(remote.family === 4 ? "0.0.0.0" : "::");
  const socket = platform.bindUdp({
    address: new SocketAddress(any, 0),
    mark,
    receiveBuffer: BUFFER_LENGTH,
    sendBuffer: BUFFER_LENGTH,
    offload: { segment: false, coalesce: false },
  });
  if (socket === undefined) throw new Error(`this machine has no IPv${remote.family}`);
  return socket;
}

const RECEIVES_PER_TURN = 8;
const BUFFER_LENGTH = 256 * 1024;
