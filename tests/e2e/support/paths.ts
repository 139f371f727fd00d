/** Which way packets go: what a role says, and what the kernel counted. */

import assert from "node:assert/strict";
import type { EventPath } from "../../../lib/control/event.ts";
import type { Events } from "./events.ts";
import type { Network } from "./network.ts";
import { eventually } from "./on_network.ts";

/** Returns the path that a client last reported, or undefined while it has none. */
export function currentPath(events: Events): EventPath | undefined {
  let path: EventPath | undefined;
  for (const event of events.all()) {
    if (event.event === "connected" || event.event === "path-changed") path = event.path;
    else if (event.event === "disconnected") path = undefined;
  }
  return path;
}

/** Waits until the client reports a path of `kind` and returns it. */
export async function waitForPath(
  events: Events,
  kind: EventPath["kind"],
): Promise<EventPath> {
  return await eventually(() => {
    const path = currentPath(events);
    assert.equal(path?.kind, kind, `the path is ${JSON.stringify(path)}`);
    return path!;
  });
}

/**
 * Bytes that `name` has carried in both directions, as the kernel counts them: on its way to the internet, or as a
 * router on all its links.
 */
async function carriedBytes(network: Network, name: string): Promise<number> {
  const command = ["ip", "-json", "-statistics", "link", "show"];
  const links: Link[] = name === "internet"
    ? JSON.parse(await network.host(name).must(command))
    : JSON.parse(await network.uplink(name).host.must([...command, "dev", network.uplink(name).name]));
  return links.filter(({ link_type }) => link_type === "ether")
    .reduce((sum, { stats64: { rx, tx } }) => sum + rx.bytes + tx.bytes, 0);
}

interface Link {
  readonly link_type: string;
  readonly stats64: { readonly rx: { readonly bytes: number }; readonly tx: { readonly bytes: number } };
}

/** Size of a body that stands out from checks, heartbeats and keepalives. */
const BULK_BYTES = 1_000_000;
/** What those may come to while a body is fetched. */
const NOISE_BYTES = BULK_BYTES / 4;

/** What is fetched from the site's web server. */
const BULK_URL = `http://172.20.0.10/bytes/${BULK_BYTES}`;

/**
 * Fetches much through the tunnel until those of `witnesses` (hosts) that carried it are `expected`: either end turns to a
 * better path on its own, when its own check was answered.
 */
export async function assertCarriers(
  network: Network,
  witnesses: readonly string[],
  expected: readonly string[],
): Promise<void> {
  await eventually(async () => assert.deepEqual(await carriersOf(network, witnesses), expected));
}

/** Returns those of `witnesses` that carried a fetch. */
async function carriersOf(network: Network, witnesses: readonly string[]): Promise<string[]> {
  const before = await Promise.all(witnesses.map((name) => carriedBytes(network, name)));
  const body = await network.client.must(
    ["curl", "-sS", "--fail", "--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}", BULK_URL],
  );
  assert.equal(Number(body), BULK_BYTES);
  const after = await Promise.all(witnesses.map((name) => carriedBytes(network, name)));
  return witnesses.filter((name, index) => {
    const carried = after[index]! - before[index]!;
    assert.ok(
      carried < NOISE_BYTES || carried > BULK_BYTES,
      `${name} carried ${carried} bytes: neither nothing nor all`,
    );
    return carried > BULK_BYTES;
  });
}
