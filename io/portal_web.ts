/** Plain HTTP at the portal: carries requests to `lib/portal/web.ts`, and checks passwords off the main thread. */

import { scrypt } from "node:crypto";
import type http from "node:http";
import type https from "node:https";
import { equalBytes } from "../lib/base/bytes.ts";
import { remoteAddress } from "../lib/portal/conditions.ts";
import { MAX_FORM_LENGTH } from "../lib/portal/form.ts";
import { messagePage, type WebAnswer } from "../lib/portal/pages.ts";
import { PASSWORD_HASH_BYTES, passwordBytes, readPassword } from "../lib/portal/password.ts";
import type { PortalWeb } from "../lib/portal/web.ts";
import { monotonicNow } from "./clock.ts";

/** Answers requests to `server` by `web`. `pump` carries changes to the peers. */
export function serveWeb(server: http.Server | https.Server, web: PortalWeb, pump: () => void): void {
  const checks = new PasswordChecks();
  const isSecure = "setSecureContext" in server;
  server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
    const end = (answer: WebAnswer) => {
      const body = new TextEncoder().encode(answer.body);
      const length = answer.status === 204 ? {} : { "content-length": String(body.length) };
      response.writeHead(answer.status, { ...answer.headers, ...length });
      response.end(body);
    };
    request.on("error", () => response.destroy());
    response.on("error", () => response.destroy());
    answer(request, web, checks, isSecure).then(end, () => response.destroy()).finally(pump);
  });
}

/** Returns the headers of `request`; of a repeated one the first. */
export function headersOf(request: http.IncomingMessage): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    headers[name.toLowerCase()] = Array.isArray(value) ? value[0] : value;
  }
  return headers;
}

async function answer(
  request: http.IncomingMessage,
  web: PortalWeb,
  checks: PasswordChecks,
  isSecure: boolean,
): Promise<WebAnswer> {
  const url = request.url ?? "/";
  const at = url.indexOf("?");
  const body = request.method === "POST" ? await readBody(request) : "";
  const outcome = web.handle({
    method: request.method ?? "GET",
    path: at < 0 ? url : url.slice(0, at),
    query: at < 0 ? "" : url.slice(at + 1),
    headers: headersOf(request),
    body,
    remoteIp: remoteAddress(request.socket.remoteAddress ?? ""),
    isSecure,
  }, monotonicNow());
  if (outcome.type === "answer") return outcome;
  const isRight = await checks.check(outcome.password, outcome.kept);
  if (isRight !== undefined) return outcome.finish(isRight, monotonicNow());
  return messagePage(
    503,
    "Too busy",
    "Too many people are signing in right now. Try again in a moment.",
    undefined,
    {
      "retry-after": "5",
    },
  );
}

/** Returns the body of `request`, or undefined if it is longer than the limit. Rejects if it does not come. */
function readBody(request: http.IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const decoder = new TextDecoder();
    let text = "";
    let length = 0;
    const timer = setTimeout(() => reject(new Error("the body does not come")), BODY_LIMIT_MS);
    request.on("data", (chunk: Uint8Array) => {
      length += chunk.length;
      // The rest is read and dropped, so that the answer can be read.
      if (length <= MAX_FORM_LENGTH) text += decoder.decode(chunk, { stream: true });
      else if (length > MAX_DROPPED_BYTES) reject(new Error("the body does not end"));
    });
    request.on("end", () => {
      clearTimeout(timer);
      resolve(length > MAX_FORM_LENGTH ? undefined : text + decoder.decode());
    });
    request.on("close", () => {
      clearTimeout(timer);
      reject(new Error("the browser went away"));
    });
  });
}

/** Checks passwords, few at a time: each takes a processor and 32 MiB. */
class PasswordChecks {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** Returns whether `password` is the one that `kept` was made of, or undefined if too many are waiting. */
  async check(password: string, kept: string): Promise<boolean | undefined> {
    if (this.#running >= MAX_RUNNING_CHECKS) {
      if (this.#waiting.length >= MAX_WAITING_CHECKS) return undefined;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      return await isPassword(password, kept);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

function isPassword(password: string, kept: string): Promise<boolean> {
  const parts = readPassword(kept);
  if (parts === undefined) return Promise.resolve(false);
  const { cost: { logN, r, p }, salt, hash } = parts;
  const cost = { N: 2 ** logN, r, p, maxmem: 256 * r * 2 ** logN };
  return new Promise((resolve, reject) => {
    scrypt(passwordBytes(password), salt, PASSWORD_HASH_BYTES, cost, (error, derived) => {
      if (error === null) resolve(equalBytes(new Uint8Array(derived), hash));
      else reject(error);
    });
  });
}

const BODY_LIMIT_MS = 10_000;
const MAX_DROPPED_BYTES = 2 ** 20;
const MAX_RUNNING_CHECKS = 2;
const MAX_WAITING_CHECKS = 32;
