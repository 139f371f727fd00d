/** What a peer's User-Agent says. portal-protocol §1.2, §9.3. */

/** What a peer says it is. */
export interface PeerSoftware {
  readonly component: string;
  /** Three-part semantic version, without suffix. */
  readonly version: string;
  readonly osName: string | undefined;
  readonly osVersion: string | undefined;
}

/** Returns what `text` says, or undefined if it names no component that the portal knows. */
export function parseUserAgent(text: string): PeerSoftware | undefined {
  const words = text.slice(0, 255).split(" ");
  for (const word of words) {
    const match = /^([a-z-]+)\/(\d{1,6}\.\d{1,6}\.\d{1,6})/.exec(word);
    if (match === null || !COMPONENTS.has(match[1]!)) continue;
    const os = /^([^/]+)\/(\S+)$/.exec(words[0]!);
    const named = os !== null && words[0] !== word;
    return {
      component: match[1]!,
      version: match[2]!,
      osName: named ? os[1] : undefined,
      osVersion: named ? os[2] : undefined,
    };
  }
  return undefined;
}

const COMPONENTS: ReadonlySet<string> = new Set([
  "relay",
  "connlib",
  "headless-client",
  "gui-client",
  "apple-client",
  "android-client",
  "gateway",
]);
