/** The portal's admin API on a local Unix socket: HTTP and JSON. Whoever can open the socket is an administrator. */

import http from "node:http";
import { Fault } from "../lib/base/fault.ts";
import { sessionPaths } from "../lib/control/paths.ts";
import { type AdminAnswer, type AdminContext, type AdminRequest, handleAdmin } from "../lib/portal/admin.ts";
import { monotonicNow } from "./clock.ts";
import { pathContext } from "./path_context.ts";

/** A running admin API. */
export interface AdminServer {
  stop(): Promise<void>;
}

/** Serves at `path`. `pump` carries changes to the peers; `shutdown` ends the portal. */
export async function serveAdmin(
  path: string,
  context: AdminContext,
  pump: () => void,
  shutdown: () => Promise<void>,
): Promise<AdminServer> {
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
  if (await isServed(path)) {
    throw new Fault("usage", `Cannot listen on "${path}": another portal serves there`, {
      next: "Choose another socket with --admin-socket.",
    });
  }
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
    const fail = (cause: Error) => reject(unreachable(socketPath, cause));
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      "content-type": "application/json",
      "content-length": new TextEncoder().encode(text).length,
    };
    const request = http.request({ socketPath, method, path: encodePath(path), headers }, (response) => {
      let answer = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        answer += chunk;
        if (answer.length > MAX_ANSWER_LENGTH) response.destroy(new Error("the answer is too long"));
      });
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

/**
 * Returns the answer of the portal on this machine that the user means: the one at `socketPath`, else at this user's usual
 * place or at root's.
 */
export async function askPortal(socketPath: string | undefined, request: AdminRequest): Promise<AdminAnswer> {
  const usual = sessionPaths(pathContext()).map((paths) => paths.portalAdminSocket);
  const candidates = socketPath === undefined ? usual : [socketPath];
  const path = candidates.find(exists) ?? candidates[0]!;
  return await callAdmin(path, request.method, request.path, request.body);
}

function unreachable(path: string, cause: Error): Fault {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "EACCES" || code === "EPERM") {
    return new Fault("privilege", `Cannot ask the portal at "${path}": it belongs to another user`, {
      next: "Run this as the user that runs the portal, such as root by sudo.",
    });
  }
  const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
  const state = isAbsent ? "no portal serves there" : cause.message;
  return new Fault("not-running", `Cannot ask the portal at "${path}": ${state}`, {
    ...(isAbsent ? {} : { cause }),
    next: "Start it with `fz portal`, or say where its admin socket is with --admin-socket.",
  });
}

/** Returns whether somebody serves at the Unix socket `path`. */
export function isServed(path: string): Promise<boolean> {
  return Deno.connect({ transport: "unix", path }).then((connection) => {
    connection.close();
    return true;
  }, () => false);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    // What may not be looked at may well be there.
    return !(error instanceof Deno.errors.NotFound);
  }
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

const MAX_BODY_BYTES = 2 ** 20;
const MAX_ANSWER_LENGTH = 2 ** 26;

function removeStale(path: string): void {
  try {
    if (Deno.lstatSync(path).isSocket) Deno.removeSync(path);
  } catch {
    // There is nothing to remove.
  }
}
