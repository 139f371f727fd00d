/** What a program on the client sees of a target: an answer, a refusal, silence. */

import assert from "node:assert/strict";
import { dig } from "./dig.ts";
import type { Network } from "./network.ts";

/**
 * What a refusal may take at most. Nobody waits for the network in it, so this only has to tell it from silence, which
 * lasts as long as curl's time-out.
 */
const REFUSAL_LIMIT_MS = 3000;
const SILENCE_SECONDS = 6;

/**
 * Asserts that a connection to `url` is refused, not met by silence. Asks for one address only: with several, curl
 * pauses between its attempts.
 */
export async function assertRefused(network: Network, url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const isName = /[a-z]$/i.test(hostname);
  const address = isName ? (await dig(network.client, hostname, "A")).data[0] : undefined;
  const resolved = address === undefined ? [] : ["--resolve", `${hostname}:${port || 80}:${address}`];
  const start = performance.now();
  const { code, stderr } = await network.client.run([
    ...["curl", "-sS", "--max-time", String(SILENCE_SECONDS), ...resolved, url],
  ]);
  const took = performance.now() - start;
  assert.equal(code, 7, `curl ${url} ended with ${code}: ${stderr}`);
  assert.ok(took < REFUSAL_LIMIT_MS, `the refusal of ${url} took ${took} ms`);
}

/** Sends one echo request; `args` as for `ping`. */
export function ping(network: Network, ...args: string[]) {
  return network.client.run(["ping", "-c1", "-W5", ...args]);
}

/** Sends `text` to the UDP echo service of `host` and returns what comes back; throws on silence. */
export async function udpEcho(network: Network, host: string, text: string): Promise<string> {
  const script = 'exec 3<>"/dev/udp/$1/7"; printf %s "$2" >&3; timeout 8 head -c "${#2}" <&3';
  return await network.client.must(["bash", "-c", script, "echo", host, text]);
}
