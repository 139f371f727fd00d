/** A client that fetches one URL over and over, and when which gateway let it through. */

import type { LabProcess } from "../../../io/lab/process.ts";
import type { Network } from "./network.ts";
import { PATIENCE_MS } from "./patience.ts";

/** One fetch; times are Unix times in milliseconds. */
export interface Attempt {
  readonly beganAt: number;
  readonly endedAt: number;
  /** The number of the gateway whose address the server saw; undefined if the fetch failed. */
  readonly gateway: number | undefined;
  readonly detail: string;
}

/** Gateways hide clients behind their own addresses, 172.20.0.N: the server tells the number. */
const SCRIPT = `
while :; do
  began=$(date +%s%3N)
  answer=$(curl -sS --fail --max-time 3 http://172.20.0.10/ 2>&1 | tr '\\n' ' ')
  echo "$began $(date +%s%3N) $answer"
  sleep 0.1
done
`;

export class CurlLoop {
  readonly #process: LabProcess;

  constructor(network: Network) {
    this.#process = network.client.spawn(["sh", "-c", SCRIPT]);
  }

  /** All fetches that have ended. */
  get attempts(): Attempt[] {
    return this.#process.stdout.split("\n").slice(0, -1).map((line) => {
      const [began, ended, ...answer] = line.split(" ");
      const detail = answer.join(" ");
      const gateway = /172\.20\.0\.([12])\b/.exec(detail)?.[1];
      return {
        beganAt: Number(began),
        endedAt: Number(ended),
        gateway: gateway === undefined || !detail.startsWith("hello") ? undefined : Number(gateway),
        detail,
      };
    });
  }

  /** Waits for the first fetch by `gateway` that began after `since`, and returns it. */
  async waitFor(gateway: number, since: number): Promise<Attempt> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = this.attempts.find((attempt) => attempt.gateway === gateway && attempt.beganAt >= since);
      if (found !== undefined) return found;
      if (performance.now() > deadline) {
        const last = this.attempts.slice(-20).map((attempt) => JSON.stringify(attempt)).join("\n");
        throw new Error(`no fetch by gateway ${gateway} within ${PATIENCE_MS} ms; the last were:\n${last}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }
}
