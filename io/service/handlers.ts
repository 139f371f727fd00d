/** The control API of a session: one function a route, each composed of what the session and its helpers can do. */

import { utf8 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpNetwork } from "../../lib/base/ip.ts";
import { API_VERSION } from "../../lib/control/api.ts";
import { renderMetrics } from "../../lib/control/metrics.ts";
import { VERSION } from "../../lib/control/version.ts";
import { ON_LINK } from "../../lib/host/route_plan.ts";
import type { ControlHandlers } from "../control/handlers.ts";
import { logFilter } from "../log.ts";
import { captureSession } from "./capture.ts";
import { queryDns } from "./dns_query.ts";
import { dnsDocument, healthDocument } from "./documents.ts";
import { explainTarget } from "./explain.ts";
import { localNetworks, ownAddresses } from "../machine_networks.ts";
import { changeLogFilter, logLines } from "./log_lines.ts";
import type { Service } from "./service.ts";
import { ping, waitFor } from "./wait.ts";

const DONE = { schema: 1 } as const;

/** Returns what `service` does for each route. Throws nothing itself; its functions throw `Fault`s. */
export function serviceHandlers(service: Service): ControlHandlers {
  return {
    version: () => ({ schema: 1, api: [API_VERSION], version: VERSION }),
    status: () => service.status(),
    resources: () => ({ schema: 1, resources: service.status().resources }),
    health: () => healthDocument(service),
    async *metrics() {
      yield utf8(renderMetrics(service.status(), Date.now()));
    },
    events: (_request, signal) => service.follow(signal),
    log: (request, signal) => logLines(request, signal),
    dns: () => {
      const { engine } = service.facts();
      if (engine === undefined) throw notSignedIn(service);
      return dnsDocument(engine);
    },
    dnsQuery: (request) => {
      if (service.engine === undefined) throw notSignedIn(service);
      return queryDns(service.engine, request);
    },
    explain: async (request) => {
      if (service.engine === undefined) throw notSignedIn(service);
      const { excluded, bypass, lan, tunName } = service.engine.facts();
      const local = lan === "deny" ? [] : [...ON_LINK, ...await localNetworks(tunName)];
      return explainTarget(service.engine, request, { own: ownAddresses(), excluded, bypass, local });
    },
    wait: (request, signal) => waitFor(service, request, signal),
    ping: (request, signal) => ping(service, request, signal),
    credential: async ({ token }) => {
      await service.useCredential(token);
      return DONE;
    },
    stop: () => {
      // The answer must be out before the socket goes away.
      setTimeout(() => void service.stop(), 0);
      return DONE;
    },
    reset: () => {
      if (service.engine === undefined) throw notSignedIn(service);
      service.reset();
      return DONE;
    },
    setResource: async ({ resource, enabled }) => {
      if (service.engine === undefined) throw notSignedIn(service);
      const document = service.setResource(resource, enabled);
      await service.settled();
      return { schema: 1, resource: document };
    },
    setInternet: async ({ active, excluded, lan }) => {
      const networks = excluded?.map((text) => IpNetwork.from(text));
      await service.setRouting({
        ...(networks === undefined ? {} : { excluded: networks }),
        ...(lan === undefined ? {} : { lan }),
      });
      service.setInternet(active);
      await service.settled();
      const { internet, network } = service.status();
      return { schema: 1, internet, ...(network === undefined ? {} : { network }) };
    },
    logFilter: () => ({ schema: 1, filter: logFilter().toString() }),
    setLogFilter: (request) => changeLogFilter(request),
    capture: (request, signal) => {
      if (service.engine === undefined) throw notSignedIn(service);
      return captureSession(service.engine, request, signal);
    },
  };
}

/** Returns the Fault for what cannot be asked while nobody is signed in. */
export function notSignedIn({ problem }: Service): Fault {
  const { code = "rejected", message = "the session is starting", next } = problem ?? {};
  return new Fault(code, `Cannot ask the tunnel: ${message}`, next === undefined ? {} : { next });
}
