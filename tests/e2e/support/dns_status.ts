/** What a session says of DNS on its machine. */

import assert from "node:assert/strict";
import { fz } from "./fz.ts";
import type { Network, Role } from "./network.ts";

/** The part of `fz dns status --json` that tests look at. */
export interface DnsStatus {
  readonly systemResolvers: string[];
  readonly repairs: number;
  readonly problem?: string;
}

/** Asks the session of the client's host. */
export async function dnsStatus(network: Network): Promise<DnsStatus> {
  const { lines, stderr } = await fz(network, "dns", "status", "--json");
  assert.equal(lines.length, 1, stderr);
  return lines[0] as unknown as DnsStatus;
}

/** Ends `client` as a service manager does, and fails if it does not end well. */
export async function stop(client: Role): Promise<void> {
  client.process.kill("SIGTERM");
  const { code, stderr } = await client.process.outcome;
  assert.equal(code, 0, stderr);
}
