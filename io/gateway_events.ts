/** Says what a gateway reports: a log line for people, an event document for programs. */

import type { Log } from "../lib/base/log.ts";
import type { EventSink } from "../lib/control/event.ts";
import type { GatewayEvent } from "../lib/gateway/event.ts";
import type { PathInfo } from "../lib/node/path.ts";
import { eventPath } from "./event_path.ts";

/** Logs `event` and hands it to `sink` where programs want it. */
export function reportGatewayEvent(event: GatewayEvent, log: Log, sink: EventSink): void {
  switch (event.type) {
    case "interface":
      // Reported when the device has the addresses.
      return;
    case "client-authorized": {
      const { clientId: client, resourceId: resource, resourceType: type, expiresAtMs } = event;
      const until = expiresAtMs === undefined ? "revoked" : new Date(expiresAtMs).toISOString();
      return log.info("client authorized", { client, resource, type, until });
    }
    case "authorization-refused":
      return log.warn(`client not authorized: ${REFUSALS[event.reason]}`, { client: event.clientId });
    case "access-revoked": {
      const { clientId: client, resourceId: resource, reason } = event;
      return log.info(`access revoked: ${reason}`, { client, resource });
    }
    case "filters-changed":
      return log.info("filters changed", { resource: event.resourceId, clients: event.clients });
    case "client-connected":
      log.info("client connected", {
        client: event.clientId,
        path: event.path.kind,
        rttMs: event.path.rttMs,
      });
      logPath(log, event.path);
      return sink({ event: "client-connected", clientId: event.clientId, path: eventPath(event.path) });
    case "client-path-changed":
      log.info("path changed", { client: event.clientId, path: event.path.kind, rttMs: event.path.rttMs });
      return logPath(log, event.path);
    case "client-disconnected":
      log.info(`client disconnected: ${event.reason}`, { client: event.clientId });
      return sink({ event: "client-removed", clientId: event.clientId, reason: event.reason });
    case "client-removed":
      log.info(`client removed: ${event.reason}`, { client: event.clientId });
      return sink({ event: "client-removed", clientId: event.clientId, reason: event.reason });
    case "domain-mapped":
      return log.debug(`name mapped: ${event.status}`, {
        client: event.clientId,
        resource: event.resourceId,
      });
    case "no-relays":
      return log.warn("no relay can be used; asking the portal");
  }
}

const REFUSALS = { full: "there is no room for more" } as const;

function logPath(log: Log, path: PathInfo): void {
  const { local, remote, localKind, remoteKind } = path;
  log.debug("path", { local, remote, localKind, remoteKind });
}
