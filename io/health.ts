/**
 * Health checks and metrics over HTTP: `/healthz` says that the process lives, `/readyz` whether it serves and else why
 * not, `/metrics` what there is to count.
 */

import { Fault } from "../lib/base/fault.ts";
import type { SocketAddress } from "../lib/base/ip.ts";
import { printable } from "../lib/base/text.ts";

/** A running health server. */
export interface HealthServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** What a health server is asked. */
export interface HealthFacts {
  /** Returns why the role does not serve its purpose; undefined if it does. */
  whyNotReady(): string | undefined;
  /** Returns metrics in Prometheus' text format. */
  metrics?(): string;
}

/** Serves at `address` (port 0: any free one). Throws a Fault if that is taken. */
export function serveHealth(address: SocketAddress, facts: HealthFacts): HealthServer {
  const answer = (status: number, text: string, type = "text/plain; charset=utf-8") =>
    new Response(text, { status, headers: { "content-type": type, "cache-control": "no-store" } });
  const handler = ({ url, method }: Request): Response => {
    if (method !== "GET" && method !== "HEAD") return answer(405, "method not allowed\n");
    switch (new URL(url).pathname) {
      case "/healthz":
        return answer(200, "ok\n");
      case "/readyz": {
        const reason = facts.whyNotReady();
        return reason === undefined
          ? answer(200, "ready\n")
          : answer(503, `not ready: ${printable(reason, MAX_REASON)}\n`);
      }
      case "/metrics":
        if (facts.metrics !== undefined) return answer(200, facts.metrics(), METRICS_TYPE);
        return answer(404, "not found\n");
      default:
        return answer(404, "not found\n");
    }
  };
  const options = {
    hostname: address.ip.toString(),
    port: address.port,
    onListen() {},
    onError: () => answer(500, "unexpected\n"),
  };
  try {
    const server = Deno.serve(options, handler);
    return {
      port: server.addr.port,
      // Clients that keep their connection must not hold up the end.
      async stop() {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<void>((resolve) => timer = setTimeout(resolve, GRACE_MS));
        await Promise.race([server.shutdown(), late]);
        clearTimeout(timer);
      },
    };
  } catch (cause) {
    throw new Fault("unexpected", `Cannot answer health checks on TCP ${address}`, {
      cause,
      next: "Choose another address for health checks, or end the program that uses this one.",
    });
  }
}

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const MAX_REASON = 500;
const GRACE_MS = 500;
