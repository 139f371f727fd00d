/** Says what a client reports: a log line for people, an event document for programs. */

import type { ClientEvent } from "../lib/client/event.ts";
import type { Log } from "../lib/base/log.ts";
import type { EventSink } from "../lib/control/event.ts";
import type { ClientInit } from "../lib/wire/portal/client.ts";
import { eventPath } from "./event_path.ts";

/** Logs `event` and hands it to `sink` where programs want it. */
export function reportClientEvent(event: ClientEvent, log: Log, sink: EventSink): void {
  switch (event.type) {
    case "interface":
      // Reported when the machine is set up accordingly.
      return;
    case "resources-changed":
      log.debug("resources changed");
      return sink({ event: "resources-changed" });
    case "authorization-requested":
      log.info("asking for access", { resource: event.resourceId });
      return sink({ event: "access-requested", resourceId: event.resourceId });
    case "authorization-granted": {
      const { resourceId, gatewayId } = event;
      log.info("access granted", { resource: resourceId, gateway: gatewayId });
      return sink({ event: "access-granted", resourceId, gatewayId });
    }
    case "authorization-denied": {
      const { resourceId, reason, violatedProperties } = event;
      log.warn(`access denied: ${reason}`, { resource: resourceId, violatedProperties });
      return sink({ event: "access-denied", resourceId, reason });
    }
    case "site-offline":
      return log.warn("no gateway of the site is online", { site: event.siteId });
    case "gateway-connected": {
      const { gatewayId, path } = event;
      log.info("connected to gateway", { gateway: gatewayId, path: path.kind, rttMs: path.rttMs });
      return sink({ event: "connected", gatewayId, path: eventPath(path) });
    }
    case "gateway-path-changed": {
      const { gatewayId, path } = event;
      log.info("path changed", { gateway: gatewayId, path: path.kind, rttMs: path.rttMs });
      return sink({ event: "path-changed", gatewayId, path: eventPath(path) });
    }
    case "gateway-lost": {
      const { gatewayId, reason, detail } = event;
      log.info(`gateway lost: ${reason}`, {
        gateway: gatewayId,
        ...(detail === undefined ? {} : { detail }),
      });
      return sink({ event: "disconnected", gatewayId, reason });
    }
    case "filtered":
      return log.debug("packet refused by the resource's filters", { resource: event.resourceId });
    case "device-access-refused":
      return log.info("devices of other users cannot be reached yet", { resource: event.resourceId });
  }
}

/** Tells `sink` what the portal lets this client reach. */
export function reportSignedIn({ resources }: ClientInit, sink: EventSink): void {
  sink({
    event: "signed-in",
    resources: resources.map((resource) => ({
      id: resource.id,
      name: resource.name,
      type: resource.type,
      address: "address" in resource ? resource.address : "",
    })),
  });
}
