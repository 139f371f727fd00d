/** Priorities of candidates (RFC 8445 §5.1.2) and of pairs (§6.1.2.3). */

import type { Family } from "../base/ip.ts";
import type { CandidateKind } from "./candidate.ts";

/** Returns the priority of a candidate of component 1. `localPreference`: 0–65535. */
export function candidatePriority(kind: CandidateKind, localPreference: number): number {
  return TYPE_PREFERENCE[kind] * 2 ** 24 + localPreference * 2 ** 8 + 255;
}

/**
 * Returns the local preference of an own candidate: IPv6 first, earlier before later. `sameKindAndFamily` is how many
 * such candidates exist already; `crossFamily` is for a relayed address of another family than its relay is reached
 * over: the detour costs the relay a translation.
 */
export function localPreference(
  kind: CandidateKind,
  family: Family,
  sameKindAndFamily: number,
  crossFamily: boolean,
): number {
  const penalty = (family === 4 ? 1 : 0) + 2 * sameKindAndFamily + (crossFamily ? 1000 : 0);
  return Math.max(0, PREFERENCE_BASE[kind] - penalty);
}

/** Returns the PRIORITY that a check from a candidate of `priority` carries: the same, were it peer-reflexive. */
export function checkPriority(priority: number): number {
  return TYPE_PREFERENCE.peerReflexive * 2 ** 24 + priority % 2 ** 24;
}

/** Returns the priority of a pair of a candidate of the controlling and one of the controlled agent. */
export function pairPriority(controlling: number, controlled: number): bigint {
  const lower = BigInt(Math.min(controlling, controlled));
  const higher = BigInt(Math.max(controlling, controlled));
  return (lower << 32n) + 2n * higher + (controlling > controlled ? 1n : 0n);
}

const TYPE_PREFERENCE: Readonly<Record<CandidateKind, number>> = {
  host: 126,
  peerReflexive: 110,
  serverReflexive: 100,
  relayed: 2,
};

const PREFERENCE_BASE: Readonly<Record<CandidateKind, number>> = {
  host: 65535,
  peerReflexive: 49151,
  serverReflexive: 32767,
  relayed: 16383,
};
