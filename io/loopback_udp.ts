/**
 * DNS queries to a resolver on this machine itself. That nobody is there the kernel tells to connected sockets alone, and
 * the runtime has none: who does not answer at once is looked for among the machine's sockets.
 */

import type { Duration } from "../lib/base/time.ts";
import { plainUdp, type UdpExchange } from "./upstream_dns.ts";

/** Fails soon where no socket of this machine receives at the port; asks without a mark, for no rule leads elsewhere. */
export const loopbackUdp: UdpExchange = {
  async exchange(payload, remote, accept, signal) {
    const refused = new AbortController();
    const look = async () => {
      if (!await hasUdpListener(remote.port)) refused.abort();
    };
    const timer = setTimeout(() => void look(), PATIENCE);
    try {
      return await plainUdp.exchange(payload, remote, accept, AbortSignal.any([signal, refused.signal]));
    } catch (error) {
      throw refused.signal.aborted ? new Error("connection refused") : error;
    } finally {
      clearTimeout(timer);
    }
  },
};

/** Returns whether `text`, that of /proc/net/udp or udp6 (proc_pid_net(5)), has a socket at the local port. */
export function namesUdpPort(text: string, port: number): boolean {
  const digits = port.toString(16).toUpperCase().padStart(4, "0");
  return new RegExp(`^ *\\d+: (?:[0-9A-F]{8}|[0-9A-F]{32}):${digits} `, "m").test(text);
}

/** Returns true, too, where the machine does not tell. */
async function hasUdpListener(port: number): Promise<boolean> {
  let isTold = false;
  for (const file of ["/proc/self/net/udp", "/proc/self/net/udp6"]) {
    const text = await Deno.readTextFile(file).catch(() => undefined);
    if (text === undefined) continue;
    isTold = true;
    if (namesUdpPort(text, port)) return true;
  }
  return !isTold;
}

/** Whoever is there answers by then from its cache, or is waited for. */
const PATIENCE: Duration = 50;
