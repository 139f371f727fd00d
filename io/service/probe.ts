/**
 * One target looked at step by step: what it is, whether it may be reached, whether its gateway is connected, and at
 * last whether it answers. A step asks for what is missing and says what is in the way; it never waits for it.
 */

import type { IpAddress } from "../../lib/base/ip.ts";
import { type Duration, type Instant, seconds } from "../../lib/base/time.ts";
import type { AccessStatus, ClientStatus, ResourceStatus } from "../../lib/client/status.ts";
import {
  describeFilters,
  type Host,
  nearestResource,
  parseTarget,
  planProbe,
  type ProbeMethod,
  type Target,
} from "../../lib/client/target.ts";
import type { ProbeEvent, Problem, SessionState } from "../../lib/control/api.ts";
import * as obstacles from "../../lib/control/obstacle.ts";
import type { Obstacle } from "../../lib/control/obstacle.ts";
import { encodeDnsQuery, RecordType } from "../../lib/wire/dns.ts";
import type { Questions } from "../questions.ts";
import { connectTcp, type TcpOutcome } from "./tcp_probe.ts";

/** What probes need of a session. */
export interface ProbeSession {
  /** Undefined while nobody is signed in. */
  readonly engine: ProbeEngine | undefined;
  readonly state: SessionState;
  /** Why it is not connected. */
  readonly problem: Problem | undefined;
}

/** What probes need of the engine. */
export interface ProbeEngine {
  readonly questions: Pick<Questions, "explain" | "accessStatus" | "requestAccess" | "echo" | "askDns">;
  status(): ClientStatus;
}

/** What probes take from the world; tests bring their own. */
export interface ProbeWorld {
  now(): Instant;
  connectTcp(address: IpAddress, port: number, limit: Duration, signal: AbortSignal): Promise<TcpOutcome>;
}

/** How far a target has come. */
export type Stage = Extract<ProbeEvent, { event: "stage" }>["stage"];

/** Where a step ended: at an obstacle, or ready to ask for an answer. */
export interface Step {
  /** The stages that are behind. */
  readonly reached: readonly { readonly stage: Stage; readonly detail?: string }[];
  readonly obstacle?: Obstacle;
  readonly ready?: Ready;
}

/** Whom to ask, and how. */
export interface Ready {
  readonly method: ProbeMethod;
  /** Each stands for the target; the first that answers will do. */
  readonly addresses: readonly IpAddress[];
  /** The name that the addresses stand for. */
  readonly name: string | undefined;
  readonly access: AccessStatus;
}

/** What came of asking. */
export type Attempt =
  | {
    readonly type: "reply";
    readonly method: "icmp" | "tcp" | "gateway";
    readonly address: IpAddress;
    readonly rttMs: Duration;
    /** The host is there, but refuses the port that the target names. */
    readonly isRefused: boolean;
  }
  | { readonly type: "obstacle"; readonly obstacle: Obstacle };

/** A target of one session. */
export class Probe {
  readonly #text: string;
  readonly #session: ProbeSession;
  readonly #world: ProbeWorld;
  readonly #startedAt: Instant;
  #askedAt: Instant | undefined;
  #namedAt: Instant | undefined;
  #wasGranted = false;
  #isPortNamed = false;
  #lastFound: { readonly at: Instant; readonly found: Found | Obstacle } | undefined;
  /** The family that answered or has not failed yet. */
  #preferred = 0;

  constructor(text: string, session: ProbeSession, world: ProbeWorld = REAL_WORLD) {
    this.#text = text;
    this.#session = session;
    this.#world = world;
    this.#startedAt = world.now();
  }

  /** Looks how far the target has come, and asks for what is missing. */
  step(): Step {
    const { engine, state, problem } = this.#session;
    if (state === "signed-out") return { reached: [], obstacle: obstacles.notSignedIn(problem) };
    if (engine === undefined || state === "connecting" || state === "stopping") {
      const isAway = problem?.code === "unreachable";
      return {
        reached: [],
        obstacle: isAway ? obstacles.portalUnreachable(problem) : obstacles.connecting(),
      };
    }
    const reached: { stage: Stage; detail?: string }[] = [{ stage: "signed-in" }];
    const found = this.#found(engine);
    if ("cause" in found) return { reached, obstacle: found };
    const { resource, host, method } = found;
    reached.push({ stage: "known", detail: resource?.name ?? "gateway" });
    const access = resource === undefined
      ? gatewayAccess(engine, found.gatewayId)
      : engine.questions.accessStatus(resource.id);
    if (access.gateway !== undefined) {
      this.#wasGranted = true;
      reached.push({ stage: "authorised", detail: access.gateway.id });
    }
    const isConnected = access.gateway?.path !== undefined &&
      (resource === undefined || access.resource?.access === "connected");
    if (!isConnected) return { reached, obstacle: this.#ask(engine, resource, access) };
    reached.push({ stage: "connected", detail: access.gateway.path.kind });
    if (method.type === "gateway") {
      return { reached, ready: { method, addresses: [access.gateway.ipv4], name: undefined, access } };
    }
    if (host?.type !== "name") {
      const hosts = host === undefined ? [] : [host.address];
      return { reached, ready: { method, addresses: hosts, name: undefined, access } };
    }
    const { addresses, obstacle } = this.#map(engine, host.name, resource!);
    if (obstacle !== undefined) return { reached, obstacle };
    reached.push({ stage: "named", detail: host.name });
    return { reached, ready: { method, addresses, name: host.name, access } };
  }

  /** Asks for an answer, for at most `limit`. */
  async attempt({ method, addresses, name }: Ready, limit: Duration, signal: AbortSignal): Promise<Attempt> {
    const words = method.type === "tcp" ? `tcp/${method.port}` : "icmp";
    const deadline = this.#world.now() + limit;
    let isUnreachable = false;
    for (let turn = 0; turn < addresses.length; turn++) {
      const index = (this.#preferred + turn) % addresses.length;
      const address = addresses[index]!;
      const left = deadline - this.#world.now();
      if (left <= 0) break;
      const outcome = method.type === "tcp"
        ? await this.#world.connectTcp(address, method.port, left, signal)
        : await this.#echo(address, left);
      switch (outcome.type) {
        case "reply":
          this.#preferred = index;
          return {
            type: "reply",
            method: method.type,
            address,
            rttMs: outcome.rttMs,
            isRefused: outcome.isRefused === true && this.#isPortNamed,
          };
        case "prohibited":
          return { type: "obstacle", obstacle: obstacles.refusedByGateway(this.#text) };
        case "unreachable":
          // A name without an address of this family may have one of the other.
          isUnreachable = true;
          continue;
        case "silent":
          this.#preferred = index + 1;
          return { type: "obstacle", obstacle: obstacles.noAnswer(this.#text, words, false) };
      }
    }
    // Gateways answer so for names that they know no address of, too.
    const obstacle = isUnreachable && name !== undefined
      ? obstacles.nameFailed(this.#text, name)
      : obstacles.noAnswer(this.#text, words, isUnreachable);
    return { type: "obstacle", obstacle };
  }

  async #echo(address: IpAddress, limit: Duration): Promise<TcpOutcome> {
    const result = await this.#session.engine?.questions.echo(address, limit);
    switch (result?.type) {
      case "reply":
        return result;
      case "refused":
        return { type: result.reason === "prohibited" ? "prohibited" : "unreachable" };
      case "timeout":
      case undefined:
        return { type: "silent" };
    }
  }

  /** Looks through all resources once in a while only: there may be many. */
  #found(engine: ProbeEngine): Found | Obstacle {
    const now = this.#world.now();
    if (this.#lastFound === undefined || now - this.#lastFound.at >= FIND_INTERVAL) {
      this.#lastFound = { at: now, found: this.#find(engine) };
    }
    return this.#lastFound.found;
  }

  /** Returns what the target is, or why it is nothing that can be reached. */
  #find(engine: ProbeEngine): Found | Obstacle {
    const { resources } = engine.status();
    const target = parseTarget(this.#text, resources);
    this.#isPortNamed = target.port !== undefined;
    const candidates = this.#candidates(engine, target, resources);
    if ("cause" in candidates) return candidates;
    if (candidates.gatewayId !== undefined) {
      const { gatewayId } = candidates;
      return { resource: undefined, host: target.host, method: { type: "icmp" }, gatewayId };
    }
    const plan = planProbe(candidates.resources, target.host, target.port);
    const first = candidates.resources[0]!;
    if (plan === undefined) {
      const allowed = describeFilters(first.filters);
      return obstacles.filtered(this.#text, `tcp/${target.port}`, first.name, allowed);
    }
    return { ...plan, host: target.host, gatewayId: undefined };
  }

  #candidates(
    engine: ProbeEngine,
    target: Target,
    resources: readonly ResourceStatus[],
  ): Candidates | Obstacle {
    if (target.type === "resource") {
      const resource = resources.find(({ id }) => id === target.resourceId)!;
      return this.#usable([resource]);
    }
    const { host } = target;
    const { questions } = engine;
    const explanation = questions.explain(host.type === "name" ? host.name : String(host.address));
    if (explanation.gatewayId !== undefined) {
      return { resources: [], gatewayId: explanation.gatewayId };
    }
    if (explanation.resources.length > 0) return this.#usable(explanation.resources);
    const [off] = explanation.disabled;
    if (off !== undefined) return obstacles.disabled(this.#text, off);
    const internet = resources.find(({ type, isActive }) => type === "internet" && !isActive);
    if (internet !== undefined && host.type === "address" && explanation.verdict === "not-tunnelled") {
      return obstacles.disabled(this.#text, internet);
    }
    return obstacles.unknownResource(this.#text, nearestResource(this.#text, resources));
  }

  #usable(resources: readonly ResourceStatus[]): Candidates | Obstacle {
    const [first] = resources;
    if (first === undefined) return obstacles.unknownResource(this.#text, undefined);
    if (!first.isActive) return obstacles.disabled(this.#text, first);
    if (first.type === "static-device-pool" || first.type === "dynamic-device-pool") {
      return obstacles.unsupported(this.#text, first.name);
    }
    return { resources, gatewayId: undefined };
  }

  /** Asks for access, not too often, and says what it waits for. */
  #ask(engine: ProbeEngine, resource: ResourceStatus | undefined, access: AccessStatus): Obstacle {
    const now = this.#world.now();
    if (access.gateway !== undefined) return obstacles.gatewayConnecting(this.#text, "gateway");
    if (resource === undefined) return obstacles.pathLost(this.#text);
    if (this.#askedAt === undefined || now - this.#askedAt >= ASK_INTERVAL) {
      this.#askedAt = now;
      engine.questions.requestAccess(resource.id);
    }
    const denial = access.resource?.denial;
    // What was refused before anybody asked now may be granted this time.
    if (denial !== undefined && now - denial.agoMs >= this.#startedAt) {
      return denial.reason === "offline"
        ? obstacles.siteOffline(this.#text, resource.sites.map(({ name }) => name))
        : obstacles.denied(this.#text, resource.name, denial);
    }
    if (!access.isPortalJoined) return obstacles.portalUnreachable(this.#session.problem);
    if (!access.hasRelay) return obstacles.noRelays(this.#text);
    return this.#wasGranted
      ? obstacles.pathLost(this.#text)
      : obstacles.gatewayConnecting(this.#text, "portal");
  }

  /** Makes the gateway look the name up, and says what came of it. */
  #map(
    engine: ProbeEngine,
    name: string,
    resource: ResourceStatus,
  ): { readonly addresses: readonly IpAddress[]; readonly obstacle?: Obstacle } {
    const now = this.#world.now();
    const { proxyIps, mappings } = engine.questions.explain(name);
    const mapping = mappings[resource.id];
    const isOld = this.#namedAt === undefined || now - this.#namedAt >= ASK_INTERVAL;
    if (mapping !== "confirmed" && isOld) {
      const type = resource.ipStack === "ipv6-only" ? RecordType.aaaa : RecordType.a;
      const query = encodeDnsQuery(0, name, type);
      if (query === undefined) {
        return { addresses: [], obstacle: obstacles.unknownResource(this.#text, undefined) };
      }
      this.#namedAt = now;
      void engine.questions.askDns(query);
      return { addresses: [], obstacle: waiting(mapping, this.#text, name) };
    }
    if (mapping !== "confirmed") return { addresses: [], obstacle: waiting(mapping, this.#text, name) };
    const families = resource.ipStack === "ipv6-only" ? [6] : resource.ipStack === "ipv4-only" ? [4] : [4, 6];
    return {
      addresses: families.flatMap((family) => proxyIps.find((address) => address.family === family) ?? []),
    };
  }
}

interface Found {
  /** Undefined if the target is a gateway itself. */
  readonly resource: ResourceStatus | undefined;
  readonly host: Host | undefined;
  readonly method: ProbeMethod;
  readonly gatewayId: string | undefined;
}

interface Candidates {
  readonly resources: readonly ResourceStatus[];
  readonly gatewayId: string | undefined;
}

/** How often a probe asks the portal for access, and the gateway for a name, at most. */
const ASK_INTERVAL = seconds(2);
const FIND_INTERVAL: Duration = 500;

const REAL_WORLD: ProbeWorld = { now: () => performance.now(), connectTcp };

function waiting(mapping: "pending" | "failed" | undefined, text: string, name: string): Obstacle {
  return mapping === "failed"
    ? obstacles.nameFailed(text, name)
    : obstacles.gatewayConnecting(text, "gateway");
}

function gatewayAccess(engine: ProbeEngine, id: string | undefined): AccessStatus {
  const { isPortalJoined, gateways } = engine.status();
  return {
    isPortalJoined,
    hasRelay: true,
    resource: undefined,
    gateway: gateways.find((gateway) => gateway.id === id),
  };
}
