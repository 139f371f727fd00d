/** Messages between a relay and the portal: a join with the relay's secret, and an empty `init`. */

import * as v from "valibot";
import type { Result } from "../../base/result.ts";
import { decodeMessage, type DecodeReason, Empty, type MessageOf } from "./common.ts";

/** The payload of the relay's join: 32 random bytes as lower-case hexadecimal text, one for the process's lifetime. */
export const RelayJoin = v.object({ stamp_secret: v.pipe(v.string(), v.minLength(1), v.maxLength(255)) });

const INBOUND = { init: Empty } as const;

export type RelayJoin = v.InferOutput<typeof RelayJoin>;
/** A message from the portal to a relay. */
export type RelayInbound = MessageOf<typeof INBOUND>;

/** Returns the portal's message to a relay. */
export function decodeRelayInbound(event: string, payload: unknown): Result<RelayInbound, DecodeReason> {
  return decodeMessage(INBOUND, new Map(), event, payload);
}

/** Returns the payload of a relay's join, or undefined if it is not one. */
export function decodeRelayJoin(payload: unknown): RelayJoin | undefined {
  const parsed = v.safeParse(RelayJoin, payload);
  return parsed.success ? parsed.output : undefined;
}
