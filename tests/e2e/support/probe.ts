/** What a program on the client sees of a target: an answer, a refusal, silence. */

import assert from "node:assert/strict";
import { dig } from "./dig.ts";
import type { Network } from "./network.ts";

/** curl's exit codes tell a refusal (7) from silence (28), which lasts as long as this. */
const SILENCE_SECONDS = 30;

/**
 * Asserts that a connection to `url` is refused, not met by silence. Asks for one address only: with several, curl
 * pauses between its attempts.
 */
export async function assertRefused(network: Network, url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const isName = /[a-z]$/i.test(hostname);
  const address = isName ? (await dig(network.client, hostname, "A")).data[0] : undefined;
  const resolved = address === undefined ? [] : ["--resolve", `${hostname}:${port || 80}:${address}`];
  const { code, stderr } = await network.client.run([
    ...["curl", "-sS", "--max-time", String(SILENCE_SECONDS), ...resolved, url],
  ]);
  assert.equal(code, 7, `curl ${url} ended with ${code}: ${stderr}`);
}

/** Sends one echo request; `args` as for `ping`. */
export function ping(network: Network, ...args: string[]) {
  return network.client.run(["ping", "-c1", "-W10", ...args]);
}

/** Sends `text` to the UDP echo service of `host` and returns what comes back; throws on silence. */
export async function udpEcho(network: Network, host: string, text: string): Promise<string> {
  const script = 'exec 3<>"/dev/udp/$1/7"; printf %s "$2" >&3; timeout 60 head -c "${#2}" <&3';
  return await network.client.must(["bash", "-c", script, "echo", host, text]);
}
