/** The address to dial and how to introduce oneself there. portal-protocol §1.1, §1.2, §9.3. */

import { Fault } from "../lib/base/fault.ts";
import type { ChannelTopic } from "../lib/channel/client.ts";

/** Returns the URL of the `role`'s socket below `base`, with `parameters` as its query (undefined ones left out). */
export function portalUrl(
  base: string,
  role: ChannelTopic,
  parameters: Readonly<Record<string, string | undefined>>,
): URL {
  const url = URL.parse(base);
  const scheme = url === null ? undefined : SCHEMES.get(url.protocol);
  if (url === null || scheme === undefined) {
    throw new Fault(
      "usage",
      `Cannot use "${base}" as portal URL: it must begin with wss://, ws://, https:// or http://`,
    );
  }
  // The scheme of a URL cannot be assigned across the special ones everywhere, so it is spelled anew.
  const port = url.port !== "" ? url.port : "443";
  const target = new URL(
    `${scheme}//${url.hostname}:${port}${url.pathname.replace(/\/$/, "")}${PATHS[role]}`,
  );
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined) target.searchParams.append(key, value);
  }
  return target;
}

/** Returns the port to dial; 443 where `url` names none. */
export function portOf(url: URL): number {
  return url.port !== "" ? Number(url.port) : 443;
}

/** Returns the User-Agent by which the portal decides what it offers: that of the upstream peer whose words we speak. */
export function userAgent(role: ChannelTopic): string {
  if (role === "relay") return "relay/0.1.0";
  const component = role === "client" ? "headless-client/1.5.12" : "gateway/1.6.1";
  const release = /^\d+\.\d+/.exec(Deno.osRelease())?.[0] ?? "0";
  return `${OS_NAMES[Deno.build.os] ?? "Linux"}/${release} ${component} (${Deno.build.arch})`;
}

const SCHEMES: ReadonlyMap<string, string> = new Map([
  ["ws:", "ws:"],
  ["wss:", "wss:"],
  ["http:", "ws:"],
  ["https:", "wss:"],
]);

const PATHS: Readonly<Record<ChannelTopic, string>> = {
  client: "/client/v2/websocket",
  gateway: "/gateway/v2/websocket",
  relay: "/relay/websocket",
};

const OS_NAMES: Readonly<Record<string, string>> = { linux: "Linux", darwin: "macOS", windows: "Windows" };
