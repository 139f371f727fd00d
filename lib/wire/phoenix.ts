/**
 * Phoenix channel framing, V1 JSON serializer: every WebSocket text frame is one object with `topic`, `event`,
 * `payload` and `ref`. Both ends share this file: `lib/channel/client.ts` and `lib/channel/server.ts` drive it.
 */

import { err, ok, type Result } from "../base/result.ts";
import { printable } from "../base/text.ts";

/** One frame. `ref` is undefined for pushes. */
export interface PhoenixFrame {
  readonly topic: string;
  readonly event: string;
  readonly payload: unknown;
  readonly ref: number | undefined;
}

/** The payload of a `phx_reply`. */
export type PhoenixReply =
  | { readonly status: "ok"; readonly response: unknown }
  | { readonly status: "error"; readonly reason: string };

/** Frames of the topic `phoenix` belong to the socket itself: heartbeats and their replies. */
export const SOCKET_TOPIC = "phoenix";

/** Event names that Phoenix itself defines. */
export const PhoenixEvent = {
  join: "phx_join",
  leave: "phx_leave",
  reply: "phx_reply",
  close: "phx_close",
  error: "phx_error",
  heartbeat: "heartbeat",
  disconnect: "disconnect",
} as const;

/**
 * Returns the frame in `text`. The reason "truncated" means JSON cut short, which counts as a broken connection;
 * "malformed" frames are to be dropped.
 */
export function decodeFrame(text: string): Result<PhoenixFrame, "truncated" | "malformed"> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return err(isCutShort(String(error), text.length) ? "truncated" : "malformed");
  }
  if (!isRecord(value)) return err("malformed");
  const { topic, event, payload, ref } = value;
  if (typeof topic !== "string" || typeof event !== "string") return err("malformed");
  if (ref === undefined || ref === null) return ok({ topic, event, payload, ref: undefined });
  if (typeof ref !== "number" || !Number.isSafeInteger(ref) || ref < 0) return err("malformed");
  return ok({ topic, event, payload, ref });
}

/** Returns the text of `frame`; all four keys are always present, as Phoenix demands. */
export function encodeFrame(frame: PhoenixFrame): string {
  return JSON.stringify({
    topic: frame.topic,
    event: frame.event,
    payload: frame.payload ?? null,
    ref: frame.ref ?? null,
  });
}

/** Returns the reply in the payload of a `phx_reply`, or undefined if it is none. The reason can be shown. */
export function decodeReply(payload: unknown): PhoenixReply | undefined {
  if (!isRecord(payload)) return undefined;
  if (payload.status === "ok") return { status: "ok", response: payload.response };
  if (payload.status !== "error") return undefined;
  const reason = isRecord(payload.response) ? payload.response.reason : undefined;
  return {
    status: "error",
    reason: typeof reason === "string" ? printable(reason, MAX_REASON_LENGTH) : "unknown",
  };
}

/** Returns the payload of a `phx_reply`. A plain success has the response `{}`, exactly: peers insist on it. */
export function encodeReply(reply: PhoenixReply): unknown {
  return reply.status === "ok"
    ? { status: "ok", response: reply.response ?? {} }
    : { status: "error", response: { reason: reply.reason } };
}

const MAX_REASON_LENGTH = 200;

// JSON.parse has no error codes: these are V8's words for input that ends too early.
function isCutShort(message: string, length: number): boolean {
  if (/Unexpected end|Unterminated/.test(message)) return true;
  return Number(/at position (\d+)/.exec(message)?.[1]) === length;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
