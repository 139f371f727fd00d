/**
 * ICE candidates (RFC 8445 §5.1) and their text on the wire: the candidate attribute of RFC 8839 §5.1 in the exact
 * form that positional parsers accept: `candidate:F 1 udp P IP PORT typ T[ raddr A rport N][ ufrag U]`.
 */

import { IpAddress, SocketAddress } from "../base/ip.ts";
import { err, ok, type Result } from "../base/result.ts";

/** Where an address comes from (RFC 8445 §5.1.1). */
export type CandidateKind = "host" | "serverReflexive" | "peerReflexive" | "relayed";

/** An address at which an agent may be reached. */
export interface Candidate {
  readonly kind: CandidateKind;
  readonly address: SocketAddress;
  /** For own candidates the address that packets leave from; host, relayed and remote ones are their own base. */
  readonly base: SocketAddress;
  readonly priority: number;
  readonly foundation: string;
  /** The ufrag of the agent that offered it, if it was given. */
  readonly ufrag: string | undefined;
}

/** Returns the candidate that `text` denotes. Extension attributes are skipped. */
export function parseCandidate(text: string): Result<Candidate> {
  if (text.length > MAX_TEXT_LENGTH) return err("too long");
  const tokens = text.trim().split(/\s+/);
  const [
    prefixed = "",
    component,
    transport = "",
    priorityText = "",
    ipText = "",
    portText = "",
    typ,
    kindText,
  ] = tokens;
  const foundation = /^(?:a=)?candidate:(\S+)$/.exec(prefixed)?.[1];
  if (foundation === undefined || typ !== "typ") return err("not a candidate");
  if (component !== "1") return err("component is not 1");
  if (transport.toLowerCase() !== "udp") return err("transport is not UDP");
  const priority = parseUnsigned(priorityText, 0xffffffff);
  const ip = IpAddress.parse(ipText);
  const port = parseUnsigned(portText, 0xffff);
  const kind = KINDS.find(([, word]) => word === kindText)?.[0];
  if (priority === undefined) return err("bad priority");
  if (ip === undefined || port === undefined || port === 0) return err("bad address");
  if (kind === undefined) return err("unknown kind");
  const address = new SocketAddress(ip, port);
  if (!isUsableAddress(address)) return err("unusable address");
  const ufragAt = tokens.indexOf("ufrag", 8);
  const ufrag = ufragAt < 0 ? undefined : tokens[ufragAt + 1];
  return ok({ kind, address, base: address, priority, foundation, ufrag });
}

/** Returns the text of `candidate`. Related addresses are blanked: they would only leak our network's layout. */
export function formatCandidate(candidate: Candidate): string {
  const { address, kind, ufrag } = candidate;
  const word = KINDS.find(([known]) => known === kind)![1];
  const blank = address.family === 4 ? "0.0.0.0" : "::";
  const related = kind === "serverReflexive" || kind === "relayed" ? ` raddr ${blank} rport 0` : "";
  const suffix = ufrag === undefined ? "" : ` ufrag ${ufrag}`;
  return `candidate:${candidate.foundation} 1 udp ${candidate.priority} ${address.ip} ${address.port} ` +
    `typ ${word}${related}${suffix}`;
}

/** Returns whether `address` can be a candidate. Loopback can: it serves development on one machine. */
export function isUsableAddress(address: SocketAddress): boolean {
  const { ip, port } = address;
  if (port === 0 || ip.isUnspecified || ip.isMulticast) return false;
  return ip.family === 6 || (!ip.isLinkLocal && ip.key !== BROADCAST_KEY);
}

/** Returns the foundation (RFC 8445 §5.1.1.3) of an own candidate: equal for equal kinds on equal base addresses. */
export function foundationOf(kind: CandidateKind, base: IpAddress): string {
  // FNV-1a: the value is opaque, it only has to be stable and short.
  let hash = 0x811c9dc5;
  for (const character of `${kind}/${base}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}

const MAX_TEXT_LENGTH = 512;
const BROADCAST_KEY = 0xffffffff;
const KINDS: readonly (readonly [CandidateKind, string])[] = [
  ["host", "host"],
  ["serverReflexive", "srflx"],
  ["peerReflexive", "prflx"],
  ["relayed", "relay"],
];

function parseUnsigned(text: string, max: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
