/** Health checks over HTTP: `/healthz` says that the process lives, `/readyz` whether it serves. */

import { Fault } from "../lib/base/fault.ts";
import type { SocketAddress } from "../lib/base/ip.ts";

/** A running health server. */
export interface HealthServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** Serves at `address` (port 0: any free one). Throws a Fault if that is taken. */
export function serveHealth(address: SocketAddress, isReady: () => boolean): HealthServer {
  const answer = (status: number, text: string) =>
    new Response(`${text}\n`, { status, headers: { "content-type": "text/plain" } });
  const handler = ({ url, method }: Request): Response => {
    if (method !== "GET" && method !== "HEAD") return answer(405, "method not allowed");
    switch (new URL(url).pathname) {
      case "/healthz":
        return answer(200, "ok");
      case "/readyz":
        return isReady() ? answer(200, "ready") : answer(503, "not ready");
      default:
        return answer(404, "not found");
    }
  };
  const options = { hostname: address.ip.toString(), port: address.port, onListen() {} };
  try {
    const server = Deno.serve(options, handler);
    return { port: server.addr.port, stop: () => server.shutdown() };
  } catch (cause) {
    throw new Fault("unexpected", `Cannot answer health checks on TCP ${address}`, {
      cause,
      next: "Choose another address for health checks, or end the program that uses this one.",
    });
  }
}
