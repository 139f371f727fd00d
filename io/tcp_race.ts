/** Connects to several addresses at once; the first TCP connection wins and the others are given up. */

import net from "node:net";
import type { IpAddress } from "../lib/base/ip.ts";

/**
 * Returns a connected socket to one of `addresses`. Rejects with the reason of the last failure if none answers within
 * `limitMs`, or when `signal` is aborted.
 */
export function connectFirst(
  addresses: readonly IpAddress[],
  port: number,
  limitMs: number,
  signal: AbortSignal,
): Promise<net.Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>();
  if (addresses.length === 0) {
    reject(new Error("the portal's name has no address"));
    return promise;
  }
  const attempts = new Set<net.Socket>();
  const finish = (winner: net.Socket | undefined, failure?: Error) => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    for (const socket of attempts) if (socket !== winner) socket.destroy();
    attempts.clear();
    if (winner !== undefined) resolve(winner);
    else reject(failure);
  };
  const abort = () => finish(undefined, new Error("dialling was given up"));
  const timer = setTimeout(() => finish(undefined, new Error("TCP connection timed out")), limitMs);
  signal.addEventListener("abort", abort);
  for (const address of addresses) {
    const socket = net.connect({ host: address.toString(), port, noDelay: true });
    attempts.add(socket);
    socket.once("connect", () => attempts.has(socket) && finish(socket));
    // Stays attached: an error of a loser, or of the winner before its new owner listens, must not stop the program.
    socket.on("error", (error) => {
      if (attempts.delete(socket) && attempts.size === 0) finish(undefined, new Error(describe(error)));
    });
  }
  return promise;
}

/** Returns what went wrong in words, without the address. */
export function describe(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  return CODES.get(code) ?? (error instanceof Error ? error.message : String(error));
}

const CODES: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "connection refused"],
  ["ECONNRESET", "connection reset"],
  ["ENETUNREACH", "network unreachable"],
  ["EHOSTUNREACH", "host unreachable"],
  ["ETIMEDOUT", "TCP connection timed out"],
]);
