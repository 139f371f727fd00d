/** What the network lets through, judged from what was measured: for `fz netcheck`. */

import type { SocketAddress } from "../base/ip.ts";
import type { Duration } from "../base/time.ts";
import type { FaultCode } from "../base/fault.ts";

/** Which portal is asked, and as whom where no session runs. */
export interface NetcheckRequest {
  readonly apiUrl: string;
  readonly token: string | undefined;
  readonly name: string | undefined;
  readonly id: string | undefined;
}

/** How the portal was reached, step by step; what is undefined was not reached. */
export interface PortalFacts {
  readonly url: string;
  readonly lookupMs: Duration | undefined;
  /** Families of the addresses that were found. */
  readonly families: readonly (4 | 6)[];
  readonly connectMs: Duration | undefined;
  /** Undefined also where the portal is asked without TLS. */
  readonly tlsMs: Duration | undefined;
  readonly answerMs: Duration | undefined;
  /** How far this machine's clock is ahead. */
  readonly clockSkewMs: Duration | undefined;
  /** What went wrong, as the end of a sentence. */
  readonly failure: string | undefined;
}

/** One relay that was asked over one family. */
export interface RelayFacts {
  readonly relay: SocketAddress;
  /** The port it was asked from. */
  readonly localPort: number;
  readonly rttMs: Duration | undefined;
  /** The address that the relay saw. */
  readonly mapped: SocketAddress | undefined;
  /** Whether that is an address of this machine itself. */
  readonly isLocal: boolean;
}

/** What was measured. */
export interface NetcheckFacts {
  readonly portal: PortalFacts;
  readonly relays: readonly RelayFacts[];
  /** Where the relays were learned. */
  readonly relaySource: "session" | "portal" | "none";
  /** Why no relays are known. */
  readonly relayFailure: string | undefined;
}

/**
 * How a NAT gives out ports. "none": there is none. "endpoint-independent": one port for all peers (RFC 4787), direct
 * paths work. "symmetric": another one for each peer, direct paths are rare. "unknown": one answer does not tell.
 */
export type NatKind = "none" | "endpoint-independent" | "symmetric" | "unknown";

/** One family in words. */
export interface FamilyReport {
  readonly family: 4 | 6;
  readonly asked: number;
  readonly answered: number;
  readonly nat: NatKind;
}

/** What it means. */
export interface NetcheckReport {
  readonly families: readonly FamilyReport[];
  readonly udp: "works" | "partly" | "blocked" | "unknown";
  readonly verdict: string;
  /** Undefined if connections can be made. */
  readonly problem: FaultCode | undefined;
}

/** From here on a clock is so wrong that certificates and tokens may not be believed. */
export const MAX_CLOCK_SKEW_MS = 60_000;

/** Returns what `facts` mean. */
export function judgeNetwork(facts: NetcheckFacts): NetcheckReport {
  const families = ([4, 6] as const).map((family) => judgeFamily(family, facts.relays));
  const answered = families.reduce((sum, one) => sum + one.answered, 0);
  const asked = facts.relays.length;
  // A relay often has addresses of a family that this machine has not.
  const isComplete = families.every((one) => one.answered === one.asked || one.answered === 0);
  const udp = asked === 0 ? "unknown" : answered === 0 ? "blocked" : isComplete ? "works" : "partly";
  const report = { families, udp } as const;
  const { failure, clockSkewMs } = facts.portal;
  if (failure !== undefined) {
    return { ...report, problem: "unreachable", verdict: `The portal cannot be reached: ${failure}.` };
  }
  if (udp === "blocked") {
    return {
      ...report,
      problem: "unreachable",
      verdict:
        "UDP is blocked: no relay answers, so neither direct nor relayed connections can be made from here.",
    };
  }
  if (Math.abs(clockSkewMs ?? 0) > MAX_CLOCK_SKEW_MS) {
    return {
      ...report,
      problem: undefined,
      verdict: "The clock of this machine is wrong: certificates and tokens may not be believed.",
    };
  }
  return { ...report, problem: undefined, verdict: describe(udp, families) };
}

/** Returns both as `fz netcheck --json` prints them. */
export function netcheckDocumentOf(facts: NetcheckFacts, report: NetcheckReport): Record<string, unknown> {
  return {
    ok: report.problem === undefined,
    verdict: report.verdict,
    udp: report.udp,
    portal: facts.portal,
    families: report.families,
    relaySource: facts.relaySource,
    relayFailure: facts.relayFailure,
    relays: facts.relays.map(({ relay, mapped, rttMs, localPort, isLocal }) => ({
      address: relay.toString(),
      family: relay.family,
      rttMs,
      mapped: mapped?.toString(),
      localPort,
      isLocal,
    })),
  };
}

function judgeFamily(family: 4 | 6, all: readonly RelayFacts[]): FamilyReport {
  const relays = all.filter(({ relay }) => relay.family === family);
  const seen = relays.filter(({ mapped }) => mapped !== undefined);
  return { family, asked: relays.length, answered: seen.length, nat: natOf(seen) };
}

function natOf(seen: readonly RelayFacts[]): NatKind {
  if (seen.length === 0) return "unknown";
  if (seen.every(({ isLocal, mapped, localPort }) => isLocal && mapped?.port === localPort)) return "none";
  if (new Set(seen.map(({ relay }) => relay.key)).size < 2) return "unknown";
  return new Set(seen.map(({ mapped }) => mapped?.key)).size === 1 ? "endpoint-independent" : "symmetric";
}

function describe(udp: NetcheckReport["udp"], families: readonly FamilyReport[]): string {
  if (udp === "unknown") {
    return "The portal can be reached; whether UDP works is unknown, for no relay is known.";
  }
  const kinds = families.filter(({ answered }) => answered > 0).map(({ nat }) => nat);
  const start = udp === "partly" ? "UDP works with some relays only" : "UDP works";
  if (kinds.includes("none")) return `${start}: direct connections are likely, there is no NAT.`;
  if (kinds.includes("endpoint-independent")) {
    return `${start}: direct connections are likely, the NAT is friendly.`;
  }
  if (kinds.includes("symmetric")) {
    return `${start}: the NAT is symmetric, so connections are relayed unless the other side is open.`;
  }
  return `${start}: what kind of NAT there is cannot be told from one relay.`;
}
