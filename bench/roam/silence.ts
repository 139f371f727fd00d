/** The longest silence that traffic through a tunnel meets while its client changes the network. */

import type { LabProcess } from "../../io/lab/process.ts";
import type { Network } from "../../tests/e2e/support/network.ts";

/** Milliseconds of silence; undefined if it did not end within the limit. */
export interface Silence {
  readonly pingMs: number | undefined;
  readonly tcpMs: number | undefined;
}

const SERVER = "172.20.0.10";
const LINES = 1_000_000;
/** Traffic of so long must follow for a silence to be over. */
const STEADY_MS = 2000;

/** A download that sends ten lines a second, and an echo request every 20 ms. */
export class Traffic {
  readonly #ping: LabProcess;
  readonly #download: LabProcess;
  readonly #arrivals: number[] = [];
  #length = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  private constructor(ping: LabProcess, download: LabProcess) {
    this.#ping = ping;
    this.#download = download;
    this.#timer = setInterval(() => {
      const { length } = download.stdout;
      if (length !== this.#length) this.#arrivals.push(Date.now());
      this.#length = length;
    }, 5);
  }

  static async start(network: Network): Promise<Traffic> {
    const download = network.client.spawn([
      ...["curl", "-sS", "--fail", "--no-buffer", "--no-keepalive", "--connect-timeout", "20"],
      `http://${SERVER}/slow/${LINES}`,
    ]);
    await download.waitFor(/line 1\n/, 30_000);
    const ping = network.client.spawn(["ping", "-n", "-D", "-i", "0.02", SERVER]);
    await ping.waitFor(/bytes from/, 30_000);
    return new Traffic(ping, download);
  }

  /** Does `roam` and returns the silences around it, when all is steady again or `limitMs` has passed. */
  async measure(roam: () => Promise<void>, leastMs: number, limitMs: number): Promise<Silence> {
    const since = Date.now();
    await roam();
    const begun = Date.now();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const waited = Date.now() - begun;
      const pings = this.#replies().filter((at) => at >= since - 100);
      const lines = this.#arrivals.filter((at) => at >= since - 200);
      const isOver = waited >= limitMs;
      if (!isOver && (waited < leastMs || !isSteady(pings) || !isSteady(lines))) continue;
      return {
        pingMs: isSteady(pings) ? longestGap(pings) : undefined,
        tcpMs: isSteady(lines) ? longestGap(lines) : undefined,
      };
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([this.#ping.stop(), this.#download.stop()]);
  }

  #replies(): number[] {
    return this.#ping.stdout.split("\n").flatMap((line) => {
      const at = /^\[([\d.]+)\] \d+ bytes from/.exec(line)?.[1];
      return at === undefined ? [] : [Number(at) * 1000];
    });
  }
}

/** Whether there was something to the very end, for long enough. */
function isSteady(times: readonly number[]): boolean {
  const now = Date.now();
  const recent = times.filter((at) => at >= now - STEADY_MS);
  return recent.length >= 10 && longestGap([now - STEADY_MS, ...recent, now]) < 600;
}

function longestGap(times: readonly number[]): number {
  return Math.max(0, ...times.slice(1).map((at, index) => at - times[index]!));
}
