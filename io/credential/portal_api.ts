/**
 * What portals of this program tell by plain HTTP about a token: `GET /v1/whoami` and `POST /v1/sign-out`. Others know
 * neither, which is an answer, too.
 */

import http from "node:http";
import https from "node:https";
import * as v from "valibot";
import { Fault } from "../../lib/base/fault.ts";
import type { Revocation, SignIn } from "../../lib/control/credential.ts";
import { decodeProblem } from "../../lib/channel/problem.ts";
import { portalUrl, portOf, userAgent } from "../portal_url.ts";

const LIMIT_MS = 5000;
const MAX_BODY_BYTES = 64 * 1024;

const Text = v.optional(v.pipe(v.string(), v.maxLength(1024)));

const WhoAmI = v.object({
  account: v.object({ slug: Text, name: Text }),
  actor: v.object({ name: Text, email: Text, type: Text }),
  token: v.optional(v.object({ expiresAt: Text })),
});

/** Returns whom the portal knows `token` as; undefined if it does not tell. Throws "rejected" or "expired". */
export async function askPortal(apiUrl: string, token: string): Promise<SignIn | undefined> {
  let answer: Answer;
  try {
    answer = await call("GET", apiUrl, "whoami", token);
  } catch (error) {
    if (error instanceof Fault) throw error;
    return undefined;
  }
  throwIfDead(answer);
  if (answer.status !== 200) return undefined;
  const parsed = v.safeParse(WhoAmI, parseJson(answer.body));
  if (!parsed.success) return undefined;
  const { account, actor, token: facts } = parsed.output;
  // A portal that describes the token and names no end says that there is none.
  return { account, actor, ...(facts === undefined ? {} : { expiresAt: facts.expiresAt ?? null }) };
}

/** Asks the portal to forget `token`. */
export async function revokeAtPortal(apiUrl: string, token: string): Promise<Revocation> {
  try {
    const answer = await call("POST", apiUrl, "sign-out", token);
    throwIfDead(answer);
    return { type: answer.status === 204 ? "revoked" : "not-offered" };
  } catch (error) {
    if (error instanceof Fault && error.code !== "usage") return { type: "dead" };
    return { type: "failed", reason: error instanceof Error ? error.message : String(error) };
  }
}

interface Answer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: string;
}

function throwIfDead({ status, contentType, body }: Answer): void {
  if (status !== 401) return;
  const problem = decodeProblem(contentType, body);
  if (problem?.code !== "invalid_token") return;
  const isExpired = problem.cause === "expired";
  throw new Fault(
    isExpired ? "expired" : "rejected",
    `The portal does not accept the token: ${
      isExpired ? "the token expired" : "it is unknown or was revoked"
    }`,
    { next: "Sign in again with `fz sign-in`." },
  );
}

function call(method: "GET" | "POST", apiUrl: string, noun: string, token: string): Promise<Answer> {
  // The same host, port and folder as the sockets'.
  const socket = portalUrl(apiUrl, "client", {});
  const isSecure = socket.protocol === "wss:";
  const path = `${socket.pathname.replace(/\/client\/v2\/websocket$/, "")}/v1/${noun}`;
  return new Promise((resolve, reject) => {
    const request = (isSecure ? https : http).request({
      method,
      host: socket.hostname.replace(/^\[|\]$/g, ""),
      port: portOf(socket),
      path,
      headers: {
        accept: "application/json",
        "user-agent": userAgent("client"),
        "x-authorization": `Bearer ${token}`,
        ...(method === "POST" ? { "content-length": "0" } : {}),
      },
      agent: false,
      signal: AbortSignal.timeout(LIMIT_MS),
    }, (response) => {
      const decoder = new TextDecoder();
      let body = "";
      let length = 0;
      response.on("data", (chunk: Uint8Array) => {
        length += chunk.length;
        if (length <= MAX_BODY_BYTES) body += decoder.decode(chunk, { stream: true });
        else response.destroy(new Error("the answer is too long"));
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          contentType: response.headers["content-type"],
          body,
        }));
    });
    request.on("error", reject);
    request.end();
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
