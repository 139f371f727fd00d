/** Captures of a session's packets: joins `io/capture.ts` with the engine that runs. */

import { Fault } from "../../lib/base/fault.ts";
import type { AddressKey, IpAddress } from "../../lib/base/ip.ts";
import type { RequestOf } from "../../lib/control/api.ts";
import { capturePackets } from "../capture.ts";
import type { Client } from "../client.ts";

/** Captures at a time; each may hold some megabytes for its reader. */
const MAX_CAPTURES = 4;
/** Addresses whose resource is remembered, so that not each packet is looked up. */
const MAX_REMEMBERED = 1024;
/** How long that is believed: resources change. */
const BELIEVED_MS = 2000;

let captures = 0;

/**
 * Returns a capture of the packets of `engine`; it ends with the engine, too. Throws a Fault ("usage") for a filter that
 * cannot be read, or when there are too many captures.
 */
export function captureSession(
  engine: Client,
  request: RequestOf<"capture">,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (captures >= MAX_CAPTURES) {
    throw new Fault("usage", `Cannot capture: there are ${MAX_CAPTURES} captures already`, {
      next: "End one of them.",
    });
  }
  const ending = new AbortController();
  const end = () => ending.abort();
  engine.done.then(end, end);
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return capturePackets({
    ...request,
    interfaceName: engine.facts().tunName,
    addTap: (tap) => {
      const remove = engine.addTap(tap);
      captures++;
      return () => {
        captures--;
        remove();
      };
    },
    findResource: (text) => findResource(engine, text),
  }, ending.signal);
}

function findResource(engine: Client, text: string): ((remote: IpAddress) => boolean) | undefined {
  const wanted = text.toLowerCase();
  const ids = new Set(
    engine.status().resources
      .filter(({ id, name, address }) =>
        id === text || [name, address].some((one) => one?.toLowerCase() === wanted)
      )
      .map(({ id }) => id),
  );
  if (ids.size === 0) return undefined;
  const remembered = new Map<AddressKey, boolean>();
  let until = -Infinity;
  return (remote) => {
    const now = performance.now();
    if (now > until || remembered.size >= MAX_REMEMBERED) {
      remembered.clear();
      until = now + BELIEVED_MS;
    }
    let isOfResource = remembered.get(remote.key);
    if (isOfResource === undefined) {
      isOfResource = engine.questions.explain(remote.toString()).resources.some(({ id }) => ids.has(id));
      remembered.set(remote.key, isOfResource);
    }
    return isOfResource;
  };
}
