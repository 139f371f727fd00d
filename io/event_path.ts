/** Paths in the words of the event stream. */

import type { EventPath } from "../lib/control/event.ts";
import type { PathInfo } from "../lib/node/path.ts";

/** Returns `path` as programs read it. */
export function eventPath(path: PathInfo): EventPath {
  return {
    kind: path.kind,
    local: path.local.toString(),
    remote: path.remote.toString(),
    localKind: KINDS[path.localKind],
    remoteKind: KINDS[path.remoteKind],
    rttMs: path.rttMs,
  };
}

/** RFC 8839 §5.1. */
const KINDS = { host: "host", serverReflexive: "srflx", peerReflexive: "prflx", relayed: "relay" } as const;
