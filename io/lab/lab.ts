/**
 * A network of hosts on one machine, made of namespaces, for the end-to-end tests and `fz demo`. Works only inside
 * `runIsolated`, which takes everything down whatever happens.
 *
 * ```ts
 * Deno.test("curl: reaches a server across a router", () =>
 *   inLab(async (lab) => {
 *     const [client, router, server] = await Promise.all([lab.host("client"), lab.router("router"), lab.host("server")]);
 *     await lab.link([client, { v4: "10.0.1.2/24" }], [router, { v4: "10.0.1.1/24" }]);
 *     await lab.link([server, { v4: "10.0.2.2/24" }], [router, { v4: "10.0.2.1/24" }]);
 *     await client.setDefaultRoute("10.0.1.1");
 *     await server.setDefaultRoute("10.0.2.1");
 *     assert.equal((await client.run(["ping", "-c1", "10.0.2.2"])).code, 0);
 *   }));
 * ```
 *
 * Run such a file by `deno task e2e tests/e2e/that_test.ts`, or any command by
 * `deno run -A tools/isolated.ts COMMAND…`.
 */

import { Host, runTool } from "./host.ts";
import { type Interface, type LinkAddresses, linkHosts, Segment } from "./link.ts";
import { isIsolated } from "./isolation.ts";

export class Lab {
  readonly #hosts = new Map<string, Host>();
  readonly #segments: Segment[] = [];

  /** Makes a host that is connected to nothing. */
  async host(name: string): Promise<Host> {
    const host = await Host.create(name);
    this.#hosts.set(name, host);
    return host;
  }

  /** Makes a host that passes packets on. */
  async router(name: string): Promise<Host> {
    const router = await this.host(name);
    await router.enableForwarding();
    return router;
  }

  /** Makes a switch. */
  async segment(): Promise<Segment> {
    const segment = await Segment.create();
    this.#segments.push(segment);
    return segment;
  }

  /** Joins two hosts by a wire and returns the interface of each. */
  async link(
    left: readonly [Host, LinkAddresses],
    right: readonly [Host, LinkAddresses],
  ): Promise<[Interface, Interface]> {
    return await linkHosts(left, right);
  }

  /** The hosts made so far, by name. */
  get hosts(): ReadonlyMap<string, Host> {
    return this.#hosts;
  }

  /** Ends all hosts, their processes and links. */
  async close(): Promise<void> {
    await Promise.all([...this.#hosts.values()].map((host) => host.stopProcesses()));
    await Promise.all(this.#segments.map((segment) => segment.close()));
    await Promise.all([...this.#hosts.values()].map((host) => host.close()));
  }
}

/** Runs `body` with a new lab and takes the lab down after it. */
export async function inLab<T>(body: (lab: Lab) => Promise<T>): Promise<T> {
  if (!isIsolated()) {
    throw new Error(
      "The lab needs namespaces of its own: run this by `deno task e2e FILE` or tools/isolated.ts",
    );
  }
  const lab = new Lab();
  try {
    return await body(lab);
  } finally {
    await lab.close();
  }
}

/** Returns whether the tool `name` is installed. */
export async function hasTool(name: string): Promise<boolean> {
  return (await runTool(["sh", "-c", 'command -v "$1"', "has", name])).code === 0;
}
