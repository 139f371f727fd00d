/**
 * A client of the control API, from its connection to its end: requests one after the other, each answered by the
 * session's handler. Whatever the client sends or leaves unsent, it costs one connection for a bounded time.
 */

import * as v from "valibot";
import { concatBytes, equalBytes, utf8 } from "../../lib/base/bytes.ts";
import type { Log } from "../../lib/base/log.ts";
import { type Problem, type Route, type RouteName, ROUTES } from "../../lib/control/api.ts";
import { Fault } from "../../lib/base/fault.ts";
import { decodeRequestHead, requestFraming, type RequestHead } from "../../lib/wire/http.ts";
import { answerHead } from "./answer_head.ts";
import { AnswerStream } from "./answer_stream.ts";
import { ByteStream, type Connection, MAX_HEAD_BYTES, type ReadFailure, writeAll } from "./byte_stream.ts";
import type { ControlHandlers } from "./handlers.ts";
import { problemOf, statusOf } from "./problem.ts";
import { findRoute, readRequest } from "./router.ts";

/** Bounds of one way into the session. Times in milliseconds. */
export interface ControlLimits {
  /** Open connections. */
  readonly connections: number;
  /** Streams among them. */
  readonly streams: number;
  /** From the connection, or the last answer, to the end of the next head. */
  readonly headMs: number;
  /** For the body after it. */
  readonly bodyMs: number;
  /** For the client to take what is written. */
  readonly writeMs: number;
  /** For what is under way when the session stops. */
  readonly graceMs: number;
}

/** Longest body of a request, in bytes. */
export const MAX_BODY_BYTES = 65_536;

/** What a connection needs from the server. */
export interface Desk {
  readonly handlers: ControlHandlers;
  readonly log: Log;
  readonly limits: ControlLimits;
  /** Check answers against the schema, too. */
  readonly checkAnswers: boolean;
  /** What whoever connects here may do. */
  readonly guard: Guard;
  /** Aborts when the session stops. */
  readonly stopping: AbortSignal;
  /** Takes one of the places for streams, if there is one. */
  takeStream(): boolean;
  releaseStream(): void;
}

/** Who may come in: by the socket's permissions, or by a token. */
export type Guard =
  | { readonly type: "socket"; readonly authority: "read" | "change" }
  | { readonly type: "tokens"; readonly port: number; readonly change: string; readonly read: string };

/** How the answer to a request ends. */
type Outcome = "keep" | "close";

export class ServerConnection {
  readonly #connection: Connection;
  readonly #desk: Desk;
  readonly #stream: ByteStream;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isIdle = true;

  constructor(connection: Connection, desk: Desk) {
    this.#connection = connection;
    this.#desk = desk;
    this.#stream = new ByteStream(connection);
  }

  /** Whether it waits for a request, so that nothing is lost if it is closed. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  /** Serves until the client leaves, breaks a rule, or is closed. Never rejects. */
  async serve(): Promise<void> {
    try {
      while (await this.#serveOne() === "keep");
    } catch {
      // The client is gone, or was too slow and is closed: there is nobody to tell.
    } finally {
      this.close();
    }
  }

  /** Ends it at once. May be called more than once. */
  close(): void {
    clearTimeout(this.#timer);
    try {
      this.#connection.close();
    } catch {
      // It is closed already.
    }
  }

  async #serveOne(): Promise<Outcome> {
    const { limits, stopping } = this.#desk;
    this.#isIdle = true;
    if (stopping.aborted) return "close";
    const bytes = await this.#timed(limits.headMs, () => this.#stream.readHead());
    if (!bytes.ok) return await this.#refuseMessage(bytes.reason, "head");
    if (bytes.value === undefined) return "close";
    this.#isIdle = false;
    const head = decodeRequestHead(bytes.value);
    if (!head.ok) return await this.#refuseMessage(head.reason, "head");
    const framing = requestFraming(head.value.headers);
    if (!framing.ok) return await this.#refuseMessage(framing.reason, "head");
    const { headers, minor, method, target } = head.value;
    const expects = headers.get("expect");
    if (expects !== undefined && expects.toLowerCase() !== "100-continue") {
      return await this.#refuse(417, usage("it expects what is not done here"));
    }
    const isTooLong = framing.value.type === "length" && framing.value.length > MAX_BODY_BYTES;
    if (expects !== undefined && !isTooLong) {
      await this.#write(utf8("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    const body = await this.#timed(limits.bodyMs, () => this.#stream.readBody(framing.value, MAX_BODY_BYTES));
    if (!body.ok) return await this.#refuseMessage(body.reason, "body");

    const wantsMore = minor === 1 && !/\bclose\b/i.test(headers.get("connection") ?? "");
    const outcome = wantsMore && !stopping.aborted ? "keep" : "close";
    const authority = this.#authorityOf(head.value);
    if (typeof authority !== "string") {
      const more: Record<string, string> = authority.status === 401 ? { "www-authenticate": "Bearer" } : {};
      return await this.#answerProblem(authority.status, authority.problem, outcome, more);
    }
    const route = findRoute(method, target, authority);
    if (!route.ok) {
      const { status, problem, headers } = route.reason;
      return await this.#answerProblem(status, problem, outcome, headers);
    }
    const request = readRequest(route.value, body.value);
    if (!request.ok) return await this.#answerProblem(request.reason.status, request.reason.problem, outcome);
    this.#desk.log.debug("control request", { route: route.value });
    return await this.#answer(route.value, request.value, minor, outcome);
  }

  async #answer(name: RouteName, request: unknown, minor: 0 | 1, outcome: Outcome): Promise<Outcome> {
    const route: Route = ROUTES[name];
    if (route.kind !== "json") return await this.#answerStream(name, request, minor);
    let text: string;
    try {
      // The table of handlers is keyed by route: the types of request and answer fit, but only name by name.
      const handle = this.#desk.handlers[name] as (request: unknown) => unknown;
      const answer = await handle(request);
      if (this.#desk.checkAnswers) v.parse(route.answer!, JSON.parse(JSON.stringify(answer)));
      text = JSON.stringify(answer);
    } catch (error) {
      const problem = this.#problemOf(name, error);
      return await this.#answerProblem(statusOf(problem), problem, outcome);
    }
    return await this.#answerText(200, `${text}\n`, outcome);
  }

  async #answerStream(name: RouteName, request: unknown, minor: 0 | 1): Promise<Outcome> {
    if (!this.#desk.takeStream()) {
      return await this.#answerProblem(503, {
        code: "unexpected",
        message: `Cannot follow the session: ${this.#desk.limits.streams} streams are open already`,
        next: "End one of the others, or try again later.",
      }, "close");
    }
    const ending = new AbortController();
    const end = () => ending.abort();
    this.#desk.stopping.addEventListener("abort", end);
    // Ends the stream when the client closes; what it says meanwhile is left unread.
    this.#stream.isGone().then((gone) => gone && end(), end);
    try {
      const stream = new AnswerStream({
        name,
        isChunked: minor === 1,
        write: (bytes) => this.#write(bytes),
        refuse: (problem) => this.#answerProblem(statusOf(problem), problem, "close"),
        problemOf: (error) => this.#problemOf(name, error),
        check: this.#desk.checkAnswers,
        graceMs: this.#desk.limits.graceMs,
        signal: ending.signal,
      });
      const handle = this.#desk.handlers[name] as (
        request: unknown,
        signal: AbortSignal,
      ) => AsyncIterable<unknown>;
      await stream.run(() => handle(request, ending.signal));
    } finally {
      ending.abort();
      this.#desk.stopping.removeEventListener("abort", end);
      this.#desk.releaseStream();
    }
    return "close";
  }

  /** Returns what may be told of a failure of the session's own, and logs it if it is a bug. */
  #problemOf(name: RouteName, error: unknown): Problem {
    if (!(error instanceof Fault)) {
      const { log } = this.#desk;
      log.error("control request failed", {
        route: name,
        error: error instanceof Error ? error.name : typeof error,
      });
      // Its message may name users' things.
      log.debug("control request failed", {
        route: name,
        error: error instanceof Error ? error.stack : error,
      });
    }
    return problemOf(error);
  }

  #authorityOf(
    head: RequestHead,
  ): "read" | "change" | { readonly status: number; readonly problem: Problem } {
    const { guard } = this.#desk;
    if (guard.type === "socket") return guard.authority;
    const host = head.headers.get("host");
    const isOurs = host === `127.0.0.1:${guard.port}` || host === `localhost:${guard.port}`;
    // A browser that was led here by a name of somebody else's, or by a page (DNS rebinding).
    if (!isOurs || head.headers.has("origin")) {
      return { status: 403, problem: denied("the request comes from a web page, or by another name") };
    }
    const token = /^Bearer +(\S+)$/i.exec(head.headers.get("authorization") ?? "")?.[1];
    const given = utf8(token ?? "");
    if (equalBytes(given, utf8(guard.change))) return "change";
    if (equalBytes(given, utf8(guard.read))) return "read";
    return { status: 401, problem: denied("its token is missing or not that of this session") };
  }

  async #refuseMessage(reason: ReadFailure, part: "head" | "body"): Promise<Outcome> {
    switch (reason) {
      case "cut off":
        return "close";
      case "too long": {
        const limit = part === "head" ? MAX_HEAD_BYTES : MAX_BODY_BYTES;
        return await this.#refuse(
          part === "head" ? 431 : 413,
          usage(`its ${part} is longer than ${limit} bytes`),
        );
      }
      case "version":
        return await this.#refuse(505, usage("only HTTP/1.1 is spoken here"));
      default:
        return await this.#refuse(400, usage(`its ${part} is not valid HTTP: ${reason}`));
    }
  }

  /** Answers a request that was not read to its end. */
  async #refuse(status: number, problem: Problem): Promise<Outcome> {
    await this.#answerProblem(status, problem, "close");
    // With unread bytes a close would be a reset, and the client might lose the answer.
    await this.#connection.closeWrite();
    await this.#timed(LINGER_MS, () => this.#stream.drain(LINGER_BYTES));
    return "close";
  }

  async #answerProblem(
    status: number,
    problem: Problem,
    outcome: Outcome,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Outcome> {
    return await this.#answerText(status, `${JSON.stringify({ error: problem })}\n`, outcome, headers);
  }

  async #answerText(
    status: number,
    text: string,
    outcome: Outcome,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Outcome> {
    const body = utf8(text);
    const head = answerHead(status, {
      "content-type": "application/json",
      "content-length": body.length,
      ...(outcome === "close" ? { "connection": "close" } : {}),
      ...headers,
    });
    await this.#write(concatBytes(head, body));
    return outcome;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#timed(this.#desk.limits.writeMs, () => writeAll(this.#connection, bytes));
  }

  /** Closes the connection, which makes `work` fail, if that takes longer than `ms`. */
  async #timed<T>(ms: number, work: () => Promise<T>): Promise<T> {
    this.#timer = setTimeout(() => this.close(), ms);
    try {
      return await work();
    } finally {
      clearTimeout(this.#timer);
    }
  }
}

const LINGER_MS = 500;
const LINGER_BYTES = 2 ** 20;

function usage(what: string): Problem {
  return { code: "usage", message: `Cannot read the request: ${what}` };
}

function denied(why: string): Problem {
  return { code: "privilege", message: `Cannot answer: ${why}` };
}
