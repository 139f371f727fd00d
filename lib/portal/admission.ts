/**
 * Decides whether a WebSocket upgrade is let in: path, rate, token, parameters. Refusals say why, as problem documents;
 * only truly bad tokens are 401, because peers give up for good on that. portal-protocol §1.1, §1.2, §1.8.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { fromBase64, toHex, utf8 } from "../base/bytes.ts";
import { IpAddress } from "../base/ip.ts";
import type { Duration, Instant } from "../base/time.ts";
import type { EndCause } from "../channel/ending.ts";
import { encodeProblem, PROBLEM_TYPE } from "../channel/problem.ts";
import type { SocketVersion } from "../wire/portal/common.ts";
import { isAccountable } from "./access.ts";
import type { Directory } from "./directory.ts";
import type { Token } from "./model.ts";
import { parseUserAgent } from "./user_agent.ts";

/** An HTTP request that wants to become a WebSocket. Header names are lower-case. */
export interface UpgradeRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly remoteIp: IpAddress | undefined;
}

/** How an upgrade is refused. */
export interface Refusal {
  readonly type: "refuse";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request that may come in, with its checked parameters. */
export type Admission =
  & { readonly type: "admit"; readonly token: Token; readonly version: SocketVersion }
  & (
    | {
      readonly role: "client" | "gateway";
      readonly externalId: string;
      readonly name: string;
      readonly publicKey: string;
    }
    | {
      readonly role: "relay";
      readonly name: string | undefined;
      readonly ipv4: IpAddress | undefined;
      readonly ipv6: IpAddress | undefined;
      readonly port: number;
    }
  );

/** Returns what becomes of `request`, its rate aside. */
export function admit(
  directory: Directory,
  request: UpgradeRequest,
  unixSeconds: number,
): Admission | Refusal {
  const route = ROUTES.get(request.path);
  if (route === undefined) return refusal(404, "Not Found", "not_found", "There is no socket at this path");
  const { role, version } = route;
  const token = judgeToken(directory, tokenText(request), role, unixSeconds);
  if ("type" in token) return token;
  return role === "relay" ? admitRelay(request, token) : admitDevice(request, token, role, version);
}

/** Returns the token whose text is `text` if it is one of a `role` and good now, else how to refuse it. */
export function judgeToken(
  directory: Directory,
  text: string | undefined,
  role: Token["kind"],
  unixSeconds: number,
): Token | Refusal {
  if (text === undefined) {
    return refusal(401, "Unauthorized", "missing_token", "The request carries no token");
  }
  const token = directory.tokenByText(text);
  if (token === undefined || token.kind !== role || !isAccountable(directory, token)) {
    return refusal(401, "Unauthorized", "invalid_token", "The token is unknown, disabled or of another kind");
  }
  if (token.expiresAt !== undefined && token.expiresAt <= unixSeconds) {
    return refusal(401, "Unauthorized", "invalid_token", "The token expired", {}, "expired");
  }
  return token;
}

/** Returns the token in the header that peers of the portal use. */
export function bearerOf(headers: UpgradeRequest["headers"]): string | undefined {
  return /^Bearer\s+(\S+)$/i.exec(headers["x-authorization"]?.trim() ?? "")?.[1];
}

/** Returns a refusal with a problem document. */
export function refusal(
  status: number,
  title: string,
  code: string,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
  cause?: EndCause,
): Refusal {
  return {
    type: "refuse",
    status,
    headers: { "content-type": `${PROBLEM_TYPE}; charset=utf-8`, ...headers },
    body: encodeProblem(status, title, code, detail, cause),
  };
}

/** Lets each pair of address and token connect once per interval. */
export class ConnectLimiter {
  readonly #interval: Duration;
  readonly #lastAt = new Map<string, Instant>();

  constructor(interval: Duration) {
    this.#interval = interval;
  }

  /** Returns a refusal if `request` comes too soon after another of its kind. */
  check(request: UpgradeRequest, now: Instant): Refusal | undefined {
    for (const [key, at] of this.#lastAt) {
      // Insertion order is the order of time; the bound keeps a flood from filling the memory.
      if (now - at < this.#interval && this.#lastAt.size < MAX_TRACKED) break;
      this.#lastAt.delete(key);
    }
    const key = `${request.remoteIp?.toString()} ${toHex(sha256(utf8(tokenText(request) ?? "")))}`;
    const last = this.#lastAt.get(key);
    if (last !== undefined && now - last < this.#interval) {
      // 503 and not 429, on which older peers give up.
      return refusal(503, "Service Unavailable", "rate_limit", "Too many connections with this token", {
        "retry-after": String(Math.max(1, Math.ceil(this.#interval / 1000))),
      });
    }
    this.#lastAt.set(key, now);
    return undefined;
  }
}

/** Returns the token of `request`, from its header or else from its query. */
function tokenText(request: UpgradeRequest): string | undefined {
  const text = bearerOf(request.headers) ?? request.query["token"]?.trim();
  return text === "" ? undefined : text;
}

function admitDevice(
  request: UpgradeRequest,
  token: Token,
  role: "client" | "gateway",
  version: SocketVersion,
): Admission | Refusal {
  const { query } = request;
  const externalId = query["external_id"] ?? query["firezone_id"] ?? "";
  const publicKey = query["public_key"] ?? "";
  const name = query["name"] ?? "";
  const problems: string[] = [];
  if (externalId === "") problems.push("external_id can't be blank");
  if (externalId.length > MAX_TEXT) problems.push("external_id should be at most 255 character(s)");
  if (name.length > MAX_TEXT) problems.push("name should be at most 255 character(s)");
  if (publicKey.length !== 44 || fromBase64(publicKey)?.length !== 32) problems.push("public_key is invalid");
  if (role === "client" && parseUserAgent(request.headers["user-agent"] ?? "") === undefined) {
    problems.push("user_agent is invalid");
  }
  if (problems.length > 0) return invalid(problems);
  return {
    type: "admit",
    role,
    version,
    token,
    externalId,
    publicKey,
    name: name === "" ? externalId : name,
  };
}

function admitRelay({ query }: UpgradeRequest, token: Token): Admission | Refusal {
  const ipv4 = IpAddress.parse(query["ipv4"] ?? "");
  const ipv6 = IpAddress.parse(query["ipv6"] ?? "");
  const portText = query["port"] ?? "3478";
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  const problems: string[] = [];
  if (ipv4?.family !== 4 && query["ipv4"] !== undefined) problems.push("ipv4 is invalid");
  if (ipv6?.family !== 6 && query["ipv6"] !== undefined) problems.push("ipv6 is invalid");
  if (ipv4 === undefined && ipv6 === undefined) problems.push("ipv4 or ipv6 must be present");
  if (port < 1 || port > 65535) problems.push("port is invalid");
  if (problems.length > 0) return invalid(problems);
  return {
    type: "admit",
    role: "relay",
    version: 1,
    token,
    name: query["name"]?.slice(0, MAX_TEXT),
    ipv4,
    ipv6,
    port,
  };
}

function invalid(problems: readonly string[]): Refusal {
  return refusal(400, "Bad Request", "invalid_connect_params", problems.join(", "));
}

const ROUTES: ReadonlyMap<
  string,
  { readonly role: "client" | "gateway" | "relay"; readonly version: SocketVersion }
> = new Map([
  ["/client/websocket", { role: "client", version: 1 }],
  ["/client/v2/websocket", { role: "client", version: 2 }],
  ["/gateway/websocket", { role: "gateway", version: 1 }],
  ["/gateway/v2/websocket", { role: "gateway", version: 2 }],
  ["/relay/websocket", { role: "relay", version: 1 }],
]);

const MAX_TEXT = 255;
const MAX_TRACKED = 10_000;
