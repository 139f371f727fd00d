/** The requests a TURN client makes (RFC 8656 §7, §8, §12), as values and on the wire. */

import { Attribute, Method, StunWriter } from "../wire/stun.ts";
import { addAdditionalIpv6, addChannelNumber, addRequestedTransport } from "../wire/turn.ts";
import type { Channel } from "./channels.ts";

/** Something that we want from a relay. */
export type Request =
  /** Unauthenticated. Repeated with the same `id`: nothing in it can change. A sounding may stay without an answer. */
  | { readonly type: "binding"; readonly id: Uint8Array; readonly isSounding?: true }
  | { readonly type: "allocate" }
  /** `lifetime` 0 gives the allocation back. */
  | { readonly type: "refresh"; readonly lifetime?: 0 }
  | { readonly type: "channel-bind"; readonly channel: Channel };

/** What signs a request (RFC 8489 §9.2). */
export interface Credentials {
  readonly username: string;
  readonly realm: string;
  /** See `longTermKey`. */
  readonly key: Uint8Array;
}

/** Returns the STUN method of a request. */
export function methodOf({ type }: Request): number {
  switch (type) {
    case "binding":
      return Method.Binding;
    case "allocate":
      return Method.Allocate;
    case "refresh":
      return Method.Refresh;
    case "channel-bind":
      return Method.ChannelBind;
  }
}

/** Returns the message for `request`; without credentials or a `nonce` the relay will answer with a challenge. */
export function encodeRequest(
  request: Request,
  id: Uint8Array,
  credentials: Credentials | undefined,
  nonce: string | undefined,
): Uint8Array {
  const writer = new StunWriter(methodOf(request), "request", id);
  switch (request.type) {
    case "binding":
      return writer.addText(Attribute.Software, SOFTWARE).finish();
    case "allocate":
      addAdditionalIpv6(addRequestedTransport(writer));
      break;
    case "refresh":
      if (request.lifetime !== undefined) writer.addU32(Attribute.Lifetime, request.lifetime);
      break;
    case "channel-bind":
      writer.addXorAddress(Attribute.XorPeerAddress, request.channel.peer);
      addChannelNumber(writer, request.channel.number);
      break;
  }
  writer.addText(Attribute.Software, SOFTWARE);
  if (credentials === undefined) return writer.finish();
  const { username, realm, key } = credentials;
  writer.addText(Attribute.Username, username).addText(Attribute.Realm, realm);
  if (nonce !== undefined) writer.addText(Attribute.Nonce, nonce);
  return writer.addIntegrity(key).finish();
}

/** Never interpreted by a relay; it helps whoever reads a packet capture. */
const SOFTWARE = "fz";
