/** The portal's admin API on a local Unix socket: HTTP and JSON. Whoever can open the socket is an administrator. */

import http from "node:http";
import { Fault } from "../lib/base/fault.ts";
import { type AdminAnswer, type AdminContext, handleAdmin } from "../lib/portal/admin.ts";
import { monotonicNow } from "./clock.ts";

/** A running admin API. */
export interface AdminServer {
  stop(): Promise<void>;
}

/** Serves at `path`. `pump` carries changes to the peers; `shutdown` ends the portal. */
export function serveAdmin(
  path: string,
  context: AdminContext,
  pump: () => void,
  shutdown: () => Promise<void>,
): AdminServer {
  const answer = async (request: Request): Promise<Response> => {
    const route = decodeURIComponent(new URL(request.url).pathname);
    if (route === "/v1/shutdown" && request.method === "POST") {
      // After the answer is out.
      setTimeout(() => void shutdown(), 50);
      return Response.json({ stopping: true });
    }
    const text = await readBody(request);
    if (text === undefined) return Response.json({ error: "the body is too long" }, { status: 413 });
    let body: unknown;
    try {
      body = text === "" ? undefined : JSON.parse(text);
    } catch {
      return Response.json({ error: "the body is no JSON" }, { status: 400 });
    }
    const outcome = handleAdmin(context, { method: request.method, path: route, body }, monotonicNow());
    pump();
    return Response.json(outcome.body, { status: outcome.status });
  };
  removeStale(path);
  // The socket must never exist with wider permissions, not even for a moment.
  const umask = Deno.build.os === "windows" ? undefined : Deno.umask(0o177);
  try {
    const server = Deno.serve({
      path,
      onListen: () => {},
      onError: () => Response.json({ error: "the request could not be handled" }, { status: 400 }),
    }, answer);
    return {
      async stop() {
        await Promise.race([server.shutdown(), new Promise((resolve) => setTimeout(resolve, 500))]);
        removeStale(path);
      },
    };
  } catch (cause) {
    throw new Fault(
      "usage",
      `Cannot listen on "${path}": ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  } finally {
    if (umask !== undefined) Deno.umask(umask);
  }
}

/** Returns the body of `request`, or undefined if it is longer than the limit. */
async function readBody(request: Request): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Returns the answer of the admin API at `socketPath`; throws a `Fault` if nobody serves there. */
export function callAdmin(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(
        new Fault("not-running", `Cannot reach the portal at "${socketPath}": ${cause.message}`, {
          cause,
          next: "Start it with `fz portal`.",
        }),
      );
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      "content-type": "application/json",
      "content-length": new TextEncoder().encode(text).length,
    };
    const request = http.request({ socketPath, method, path: encodeURI(path), headers }, (response) => {
      let answer = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => answer += chunk);
      response.on("error", fail);
      response.on("end", () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(answer) });
        } catch (cause) {
          fail(cause as Error);
        }
      });
    });
    request.on("error", fail);
    request.end(text);
  });
}

const MAX_BODY_BYTES = 2 ** 20;

function removeStale(path: string): void {
  try {
    if (Deno.lstatSync(path).isSocket) Deno.removeSync(path);
  } catch {
    // There is nothing to remove.
  }
}
