/** What the network under the tunnel does not give a session, in sentences for `fz status`. */

import type { ClientStatus } from "../../lib/client/status.ts";
import type { ClientUnderlay } from "../client_facts.ts";

/** What is judged. */
export interface UnderlayView {
  readonly status: Pick<ClientStatus, "isPortalJoined" | "relays">;
  readonly underlay: ClientUnderlay;
}

/** Returns what is missing; nothing where all is well, and where there is no network at all. */
export function underlayLimits(view: UnderlayView): string[] {
  return [...portLimits(view.underlay), ...udpLimits(view)];
}

/** Returns whether there are relays, and each was tried in vain. */
export function areAllSilent(relays: ClientStatus["relays"]): boolean {
  return relays.length > 0 && relays.every(({ isSilent }) => isSilent);
}

function portLimits({ sockets, wantedPort }: ClientUnderlay): string[] {
  if (wantedPort === undefined || wantedPort === 0) return [];
  return sockets.filter(({ port }) => port !== wantedPort).map(({ family, port }) =>
    `UDP port ${wantedPort} of IPv${family} is in use by another program: the session uses port ${port}`
  );
}

/** The portal is reached by TCP: where it answers and no relay does, UDP is what does not get through. */
function udpLimits({ status: { isPortalJoined, relays }, underlay: { hasPath, sendErrors } }: UnderlayView) {
  if (!isPortalJoined || !hasPath || !areAllSilent(relays)) return [];
  const refused = sendErrors.EPERM ?? 0;
  // What a rule of netfilter drops on its way out is not permitted (nft(8)).
  const seen = refused > 0
    ? `the kernel refused ${refused} datagrams (EPERM), as a firewall of this machine does`
    : "a firewall may block it";
  return [`No relay answers by UDP: ${seen}; see \`fz netcheck\``];
}
