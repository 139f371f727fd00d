/**
 * Control messages that peers send each other inside the tunnel: IPv6 packets `::` to `::` with next header 255
 * (data-plane reference §5.1). Unknown kinds are a value of their own, so that new ones never break old peers.
 */

import { fromUtf8, utf8, writeU16 } from "../base/bytes.ts";
import { IpAddress } from "../base/ip.ts";
import type { Result } from "../base/result.ts";
import { err, ok } from "../base/result.ts";
import * as v from "valibot";
import { isEncodableName } from "./dns_name.ts";
import type { IpPacket } from "./ip.ts";

/** A control message. */
export type ControlMessage = AssignedIps | DomainStatus | { readonly type: "goodbye" };

/** Client to gateway: `domain` of the DNS resource `resourceId` is reached at these proxy addresses (4 or 8). */
export interface AssignedIps {
  readonly type: "assigned-ips";
  readonly resourceId: string;
  readonly domain: string;
  readonly proxyIps: readonly IpAddress[];
}

/** Gateway to client: whether the mapping of `domain` is in place. */
export interface DomainStatus {
  readonly type: "domain-status";
  readonly resourceId: string;
  readonly domain: string;
  readonly status: "active" | "inactive";
}

/** Returns the message as a whole IP packet. */
export function encodeControl(message: ControlMessage): Uint8Array {
  switch (message.type) {
    case "assigned-ips":
      return frame(EventType.assignedIps, {
        resource: message.resourceId,
        domain: message.domain,
        proxy_ips: message.proxyIps.map(String),
      });
    case "domain-status":
      return frame(EventType.domainStatus, {
        resource: message.resourceId,
        domain: message.domain,
        status: message.status === "active" ? "Active" : "Inactive",
      });
    case "goodbye":
      return frame(EventType.goodbye, undefined);
  }
}

/** Returns the message in `packet`, for which `packet.isControl` holds. */
export function decodeControl(packet: IpPacket): Result<ControlMessage> {
  const { bytes, transportOffset } = packet;
  if (bytes.length < transportOffset + 8) return err("truncated");
  const payload = bytes.subarray(transportOffset + 8);
  switch (bytes[transportOffset]) {
    case EventType.assignedIps:
      return decodeAssignedIps(payload);
    case EventType.domainStatus:
      return decodeDomainStatus(payload);
    case EventType.goodbye:
      return ok({ type: "goodbye" });
    default:
      return err("unknown-event");
  }
}

const EventType = { assignedIps: 0, domainStatus: 1, goodbye: 2 } as const;

const MAX_PROXY_IPS = 8;

const AssignedIpsSchema = v.object({
  resource: v.string(),
  domain: v.string(),
  proxy_ips: v.pipe(v.array(v.string()), v.maxLength(MAX_PROXY_IPS)),
});

const DomainStatusSchema = v.object({ resource: v.string(), domain: v.string(), status: v.string() });

function decodeAssignedIps(payload: Uint8Array): Result<ControlMessage> {
  const parsed = v.safeParse(AssignedIpsSchema, parseJson(payload));
  if (!parsed.success) return err("bad-payload");
  const proxyIps: IpAddress[] = [];
  for (const text of parsed.output.proxy_ips) {
    const address = IpAddress.parse(text);
    if (address === undefined) return err("bad-address");
    proxyIps.push(address);
  }
  const { resource } = parsed.output;
  const domain = withoutTrailingDot(parsed.output.domain);
  // It is given to the host's resolver.
  if (domain === "" || !isEncodableName(domain)) return err("bad-domain");
  return ok({ type: "assigned-ips", resourceId: resource.toLowerCase(), domain, proxyIps });
}

function decodeDomainStatus(payload: Uint8Array): Result<ControlMessage> {
  const parsed = v.safeParse(DomainStatusSchema, parseJson(payload));
  if (!parsed.success) return err("bad-payload");
  const { resource, domain, status } = parsed.output;
  return ok({
    type: "domain-status",
    resourceId: resource.toLowerCase(),
    domain: withoutTrailingDot(domain),
    status: status === "Active" ? "active" : "inactive",
  });
}

function parseJson(payload: Uint8Array): unknown {
  const text = fromUtf8(payload);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function withoutTrailingDot(domain: string): string {
  return domain.endsWith(".") ? domain.slice(0, -1) : domain;
}

function frame(eventType: number, payload: unknown): Uint8Array {
  const json = payload === undefined ? new Uint8Array(0) : utf8(JSON.stringify(payload));
  const bytes = new Uint8Array(48 + json.length);
  bytes[0] = 0x60;
  writeU16(bytes, 4, 8 + json.length);
  bytes[6] = 0xff;
  bytes[40] = eventType;
  bytes.set(json, 48);
  return bytes;
}
