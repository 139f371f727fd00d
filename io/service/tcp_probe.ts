/** Whether a TCP port answers: a handshake and a refusal both come from the other side. */

import type { IpAddress } from "../../lib/base/ip.ts";
import type { Duration } from "../../lib/base/time.ts";

/** What came of knocking. */
export type TcpOutcome =
  | {
    readonly type: "reply";
    readonly rttMs: Duration;
    /** The host is there, but nothing listens at the port. */
    readonly isRefused?: boolean;
  }
  | { readonly type: "prohibited" }
  | { readonly type: "unreachable" }
  | { readonly type: "silent" };

/** Connects to `port` of `address` like any program of this machine, thus through the tunnel, and hangs up. */
export async function connectTcp(
  address: IpAddress,
  port: number,
  limit: Duration,
  signal: AbortSignal,
): Promise<TcpOutcome> {
  const deadline = AbortSignal.timeout(Math.max(1, Math.ceil(limit)));
  const start = performance.now();
  const reply = (isRefused: boolean): TcpOutcome => ({
    type: "reply",
    rttMs: performance.now() - start,
    isRefused,
  });
  try {
    const connection = await Deno.connect({
      hostname: address.toString(),
      port,
      signal: AbortSignal.any([signal, deadline]),
    });
    connection.close();
    return reply(false);
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.ConnectionReset) {
      return reply(true);
    }
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return { type: UNREACHABLE.has(code) ? "unreachable" : "silent" };
  }
}

const UNREACHABLE: ReadonlySet<string> = new Set(["EHOSTUNREACH", "ENETUNREACH", "EACCES"]);
