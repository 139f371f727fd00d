/** A TCP stream through the tunnel that runs while the network changes under it: one request, answered line by line. */

import assert from "node:assert/strict";
import type { LabProcess } from "../../../io/lab/process.ts";
import type { Network } from "./network.ts";
import { eventually } from "./on_network.ts";
import { PATIENCE_MS } from "./patience.ts";

/** Ten a second: longer than any test. */
const LINES = 100_000;

export class Stream {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  /**
   * Starts a stream and returns it when its first line has arrived. The receiver says nothing of its own accord, or asks
   * every four seconds whether anybody is there, and gives up after nine without an answer.
   */
  static async start(network: Network, { keepAlive = true } = {}): Promise<Stream> {
    const process = network.client.spawn([
      ...["curl", "-sS", "--fail", "--no-buffer", "--connect-timeout", "60"],
      ...(keepAlive ? ["--keepalive-time", "4"] : ["--no-keepalive"]),
      `http://172.20.0.10/slow/${LINES}`,
    ]);
    await process.waitFor(/line 1\n/);
    return new Stream(process);
  }

  /** Waits until `count` more lines than now have arrived. */
  async advance(count: number, timeoutMs = PATIENCE_MS): Promise<void> {
    const goal = this.#lines.length + count;
    await eventually(() => {
      const received = this.#lines.length;
      assert.ok(received >= goal, `${received} lines arrived, not ${goal}: ${this.#process.stderr}`);
    }, timeoutMs);
  }

  /** Ends the stream and asserts that up to here it was whole. */
  async finish(): Promise<void> {
    assert.ok(!this.#process.ended, `the stream ended: ${this.#process.describe()}`);
    await this.#process.stop();
    assert.deepEqual(this.#lines, this.#lines.map((_, index) => `line ${index + 1}`));
  }

  /** The complete lines that have arrived. */
  get #lines(): string[] {
    return this.#process.stdout.split("\n").slice(0, -1);
  }
}
