/** A program that looks one name up over and over, as applications do: by the C library and this host's own settings. */

import assert from "node:assert/strict";
import type { Host } from "../../../io/lab/host.ts";
import type { LabProcess } from "../../../io/lab/process.ts";
import { eventually } from "./on_network.ts";

const SCRIPT = `
while :; do
  tries=$2
  until found=$(getent ahosts "$1") || [ $((tries -= 1)) = 0 ]; do sleep 0.02; done
  if [ -n "$found" ]; then echo "found $found" | head -n 1; else echo "failed $?: $(tr '\\n' ' ' </etc/resolv.conf)"; fi
  sleep 0.05
done
`;

export class NameLoop {
  readonly #process: LabProcess;

  /** It has failed after `tries` in a row: other programs write resolv.conf piece by piece. */
  constructor(host: Host, name: string, tries = 1) {
    this.#process = host.spawn(["sh", "-c", SCRIPT, "loop", name, String(tries)]);
  }

  /** Waits until the name was found `count` more times. */
  async foundAgain(count = 3): Promise<void> {
    const before = this.#found;
    await eventually(() => assert.ok(this.#found >= before + count, this.#process.describe()));
  }

  /** Ends, and fails if the name was not found at any time. */
  async stop(): Promise<void> {
    await this.foundAgain(1);
    await this.#process.stop();
    const failures = this.#lines.filter((line) => line.startsWith("failed"));
    assert.deepEqual(failures, []);
  }

  get #lines(): string[] {
    return this.#process.stdout.split("\n").slice(0, -1);
  }

  get #found(): number {
    return this.#lines.filter((line) => line.startsWith("found")).length;
  }
}
