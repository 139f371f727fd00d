/**
 * An answer that goes on: documents one a line, or bytes. It is as fast as its reader; nothing is kept for him here. How
 * it ends badly is said in the last line, or for bytes in the trailer.
 */

import * as v from "valibot";
import { utf8 } from "../../lib/base/bytes.ts";
import { type Problem, type Route, type RouteName, ROUTES } from "../../lib/control/api.ts";
import { encodeChunk, encodeLastChunk } from "../../lib/wire/http.ts";
import { answerHead } from "./answer_head.ts";
import { PROBLEM_TRAILER, trailerText } from "./problem.ts";

/** How a stream is written. */
export interface AnswerStreamOptions {
  readonly name: RouteName;
  /** False for HTTP/1.0, where the end of the connection is the end of the body. */
  readonly isChunked: boolean;
  /** Check documents against the schema. */
  readonly check: boolean;
  /** How long the handler may take to end after `signal`, in milliseconds. */
  readonly graceMs: number;
  /** Aborts when the client has gone or the session stops. */
  readonly signal: AbortSignal;
  write(bytes: Uint8Array): Promise<void>;
  /** Answers with a problem instead, before anything was written. */
  refuse(problem: Problem): Promise<unknown>;
  problemOf(error: unknown): Problem;
}

export class AnswerStream {
  readonly #options: AnswerStreamOptions;
  readonly #route: Route;

  constructor(options: AnswerStreamOptions) {
    this.#options = options;
    this.#route = ROUTES[options.name];
  }

  /** Writes what `open` returns until it ends or the signal aborts. Rejects if the client does not take it. */
  async run(open: () => AsyncIterable<unknown>): Promise<void> {
    const { signal, refuse, problemOf } = this.#options;
    let items: AsyncIterator<unknown>;
    let first: IteratorResult<unknown> | undefined;
    try {
      items = open()[Symbol.asyncIterator]();
      // Bytes have no place for a problem of their own: what fails at once gets an answer of its own. Lines have, and
      // their first may be long in coming.
      first = this.#route.kind === "bytes" ? await this.#next(items) : undefined;
    } catch (error) {
      await refuse(problemOf(error));
      return;
    }
    try {
      await this.#writeHead();
      let problem: Problem | undefined;
      try {
        for (let step = first ?? await this.#next(items); !step.done; step = await this.#next(items)) {
          const bytes = this.#encode(step.value);
          if (bytes.length > 0) await this.#writePart(bytes);
        }
      } catch (error) {
        if (error instanceof WriteError) throw error;
        // A handler that throws because it was told to end has ended.
        problem = signal.aborted ? undefined : problemOf(error);
      }
      await this.#writeEnd(problem);
    } finally {
      // Not awaited: a handler that hangs must not hold the connection.
      items.return?.().catch(() => {});
    }
  }

  /** The next item; the end if the handler does not come to one in time after the signal. */
  async #next(items: AsyncIterator<unknown>): Promise<IteratorResult<unknown>> {
    const { signal, graceMs } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const { promise, resolve } = Promise.withResolvers<IteratorResult<unknown>>();
    const onAbort = () => {
      timer = setTimeout(() => resolve({ done: true, value: undefined }), graceMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const next = items.next();
    try {
      return await Promise.race([next, promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      next.catch(() => {});
    }
  }

  #encode(value: unknown): Uint8Array {
    const { answer, kind } = this.#route;
    if (kind === "bytes") return value as Uint8Array;
    const text = JSON.stringify(value);
    if (this.#options.check) v.parse(answer!, JSON.parse(text));
    return utf8(`${text}\n`);
  }

  async #writeHead(): Promise<void> {
    const { isChunked, name } = this.#options;
    await this.#write(answerHead(200, {
      "content-type": this.#route.kind === "lines" ? "application/x-ndjson" : CONTENT_TYPES[name] ?? BYTES,
      "connection": "close",
      ...(isChunked ? { "transfer-encoding": "chunked", "trailer": PROBLEM_TRAILER } : {}),
    }));
  }

  async #writePart(bytes: Uint8Array): Promise<void> {
    await this.#write(this.#options.isChunked ? encodeChunk(bytes) : bytes);
  }

  async #writeEnd(problem: Problem | undefined): Promise<void> {
    const isLines = this.#route.kind === "lines";
    if (problem !== undefined && isLines) {
      await this.#writePart(utf8(`${JSON.stringify({ error: problem })}\n`));
    }
    if (!this.#options.isChunked) return;
    const trailer = problem === undefined || isLines ? {} : { [PROBLEM_TRAILER]: trailerText(problem) };
    await this.#write(encodeLastChunk(trailer));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#options.write(bytes);
    } catch (cause) {
      throw new WriteError("the client is gone", { cause });
    }
  }
}

/** The client does not take what is written: not the handler's failure. */
class WriteError extends Error {
  override readonly name = "WriteError";
}

const BYTES = "application/octet-stream";

const CONTENT_TYPES: Partial<Record<RouteName, string>> = {
  metrics: "text/plain; version=0.0.4; charset=utf-8",
  capture: "application/vnd.tcpdump.pcap",
};
