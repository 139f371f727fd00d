/**
 * Guessed candidates: a router that keeps a host's port when it translates, or forwards it for good, is reachable at
 * its public IPv4 address and the host's own port, even if the peer never saw that combination.
 */

import { SocketAddress } from "../base/ip.ts";
import type { Candidate } from "./candidate.ts";

/** Returns up to two addresses worth trying now that `added` has joined `known` (the peer's candidates). */
export function optimisticAddresses(added: Candidate, known: readonly Candidate[]): SocketAddress[] {
  if (added.address.family !== 4) return [];
  const ofKind = (kind: Candidate["kind"]) =>
    known.filter((candidate) => candidate.kind === kind && candidate.address.family === 4);
  const guesses = new Map<unknown, SocketAddress>();
  const guess = (reflexive: Candidate, host: Candidate) => {
    const address = new SocketAddress(reflexive.address.ip, host.address.port);
    if (!address.equals(reflexive.address)) guesses.set(address.key, address);
  };
  if (added.kind === "serverReflexive") { for (const host of ofKind("host")) guess(added, host); }
  if (added.kind === "host") { for (const reflexive of ofKind("serverReflexive")) guess(reflexive, added); }
  return [...guesses.values()].slice(0, MAX_GUESSES);
}

const MAX_GUESSES = 2;
