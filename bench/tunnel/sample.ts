/** What is measured of a tunnel: TCP by iperf3, round trips by ping, CPU time and memory from /proc. */

import type { Host } from "../../io/lab/host.ts";
import type { TunnelUnderTest } from "./peers.ts";

/** One round of measurements of one tunnel. */
export interface Sample {
  /** TCP goodput of one stream, Gbit/s. */
  readonly gbits: number;
  /** CPU seconds of both ends' processes for each gigabyte (10⁹ bytes) of goodput, kernel time on their behalf included. */
  readonly cpuPerGb: number;
  /** Round trips in milliseconds, without other traffic and during a TCP stream. */
  readonly idle: readonly number[];
  readonly loaded: readonly number[];
  /** Resident MiB of the larger end, at rest and at the end of a TCP stream. */
  readonly idleMib: number;
  readonly loadedMib: number;
}

export interface SampleOptions {
  readonly client: Host;
  readonly server: Host;
  /** Length of a TCP stream, whole seconds. */
  readonly seconds: number;
  readonly pings: number;
}

/** Measures `tunnel` once. */
export async function sample(tunnel: TunnelUnderTest, options: SampleOptions): Promise<Sample> {
  const { client, server, seconds, pings } = options;
  const idleMib = residentMib(tunnel.pids);
  const idle = await roundTrips(client, tunnel.target, pings);
  const before = cpuSeconds(tunnel.pids);
  const { bytes, bitsPerSecond } = await stream(client, server, tunnel.target, seconds);
  const used = cpuSeconds(tunnel.pids) - before;
  // Begins before the pings and outlasts them.
  const loading = stream(client, server, tunnel.target, pings * PING_INTERVAL * 1.3 + 1.5);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const loaded = await roundTrips(client, tunnel.target, pings);
  const loadedMib = residentMib(tunnel.pids);
  await loading;
  return { gbits: bitsPerSecond / 1e9, cpuPerGb: used / (bytes / 1e9), idle, loaded, idleMib, loadedMib };
}

/** Sends one TCP stream to `target`; returns what arrived. */
async function stream(
  client: Host,
  server: Host,
  target: string,
  seconds: number,
): Promise<{ bytes: number; bitsPerSecond: number }> {
  const serving = server.spawn(["iperf3", "-s", "-1", "--forceflush", "-B", target]);
  try {
    await serving.waitFor(/listening/i);
    const report = await client.must(
      ["iperf3", "-J", "-c", target, "-t", String(Math.ceil(seconds)), "--connect-timeout", "5000"],
    );
    const { sum_received: received } = JSON.parse(report).end;
    return { bytes: received.bytes, bitsPerSecond: received.bits_per_second };
  } finally {
    await serving.stop(200);
  }
}

/** Returns the round trips of `count` pings in milliseconds; lost ones are left out. */
async function roundTrips(client: Host, target: string, count: number): Promise<number[]> {
  const { stdout } = await client.run(
    ["ping", "-n", "-c", String(count), "-i", String(PING_INTERVAL), "-W", "1", target],
  );
  return [...stdout.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
}

/** Returns the CPU seconds that the processes have used so far, their own and the kernel's for them (proc(5)). */
function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Returns the resident memory of the largest of the processes. */
function residentMib(pids: readonly number[]): number {
  return Math.max(...pids.map((pid) => {
    const match = /^VmRSS:\s*(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
    return Number(match?.[1]) / 1024;
  }));
}

const PING_INTERVAL = 0.01;
/** `sysconf(_SC_CLK_TCK)`: 100 on every Linux that there is. */
const TICKS_PER_SECOND = 100;
