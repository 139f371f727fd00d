/** One request to a session and its answer, seen from the command line. A connection carries one of them. */

import * as v from "valibot";
import { concatBytes, fromUtf8, utf8 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { Problem, type Route } from "../../lib/control/api.ts";
import { VERSION } from "../../lib/control/version.ts";
import { answerFraming, decodeAnswerHead, encodeHead, type Framing } from "../../lib/wire/http.ts";
import { BodyError, ByteStream, type Connection, writeAll } from "./byte_stream.ts";
import { dial, type Endpoint, StuckFault } from "./endpoint.ts";
import { faultOf, PROBLEM_TRAILER } from "./problem.ts";

/** Longest document, and longest line of a stream: a status with ten thousand resources has about five million. */
const MAX_DOCUMENT_BYTES = 32 * 2 ** 20;

/** An answer whose head has come and said yes. */
export class Exchange {
  /** The version of the program that answers. */
  readonly version: string;
  readonly #connection: Connection;
  readonly #stream: ByteStream;
  readonly #framing: Framing;
  readonly #answerMs: number;
  #isClosed = false;

  private constructor(
    connection: Connection,
    stream: ByteStream,
    framing: Framing,
    version: string,
    answerMs: number,
  ) {
    this.#connection = connection;
    this.#stream = stream;
    this.#framing = framing;
    this.version = version;
    this.#answerMs = answerMs;
  }

  /** Asks. Throws the `Fault` that the session answers, "timeout" if it takes too long, and errors of the system. */
  static async open(endpoint: Endpoint, route: Route, request: unknown, answerMs: number): Promise<Exchange> {
    const connection = await dial(endpoint);
    const stream = new ByteStream(connection);
    const open = async () => {
      let writeError: unknown;
      try {
        await writeAll(connection, encodeRequest(endpoint, route, request));
      } catch (error) {
        // Who refuses before he has read all says why.
        writeError = error;
      }
      const head = await stream.readHead();
      if (!head.ok) throw strangeFault(head.reason);
      if (head.value === undefined) throw lostFault(writeError);
      const decoded = decodeAnswerHead(head.value);
      if (!decoded.ok) throw strangeFault(decoded.reason);
      const { status, headers } = decoded.value;
      const framing = answerFraming(headers);
      if (!framing.ok) throw strangeFault(framing.reason);
      const version = /^fz\/([\w.+-]{1,64})$/.exec(headers.get("server") ?? "")?.[1] ??
        "of an unknown version";
      const exchange = new Exchange(connection, stream, framing.value, version, answerMs);
      if (status === 200) return exchange;
      const body: unknown = parseJson(await exchange.#whole());
      throw problemIn(body) ?? strangeFault(`status ${status}`);
    };
    try {
      return await within(answerMs, open(), () => connection.close());
    } catch (error) {
      close(connection);
      throw error;
    }
  }

  /** Returns the whole answer, which is JSON. */
  async document(): Promise<unknown> {
    const text = await within(this.#answerMs, this.#whole(), () => this.close());
    const value = parseJson(text);
    if (value === undefined) throw strangeFault("no JSON");
    return value;
  }

  /** Yields the bytes of the answer as they come. Throws the `Fault` that ended them. */
  async *bytes(): AsyncGenerator<Uint8Array, void> {
    const body = this.#stream.body(this.#framing);
    try {
      while (true) {
        const step = await body.next();
        if (step.done) {
          const trailer = step.value.get(PROBLEM_TRAILER);
          const problem = trailer === undefined ? undefined : parseProblem(parseJson(trailer));
          if (problem !== undefined) throw faultOf(problem);
          return;
        }
        yield step.value;
      }
    } catch (error) {
      throw this.#isClosed || error instanceof Fault ? error : lostFault(error);
    }
  }

  /** Yields the documents of the answer, one a line. Throws the `Fault` that ended them. */
  async *documents(): AsyncGenerator<unknown, void> {
    let parts: Uint8Array[] = [];
    let length = 0;
    for await (let bytes of this.bytes()) {
      for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF)) {
        const line = concatBytes(...parts, bytes.subarray(0, end));
        bytes = bytes.subarray(end + 1);
        parts = [];
        length = 0;
        if (line.length === 0) continue;
        const value = parseJson(fromUtf8(line) ?? "");
        if (value === undefined) throw strangeFault("no JSON");
        const problem = problemIn(value);
        if (problem !== undefined) throw problem;
        yield value;
      }
      if (bytes.length > 0) parts.push(bytes);
      length += bytes.length;
      if (length > MAX_DOCUMENT_BYTES) throw strangeFault("a line without end");
    }
    if (length > 0) throw lostFault();
  }

  /** Closes the connection. May be called more than once, and while others read. */
  close(): void {
    this.#isClosed = true;
    close(this.#connection);
  }

  async #whole(): Promise<string> {
    const body = await this.#stream.readBody(this.#framing, MAX_DOCUMENT_BYTES);
    if (!body.ok) throw body.reason === "cut off" ? lostFault() : strangeFault(body.reason);
    return fromUtf8(body.value) ?? "";
  }
}

/** Returns the `Fault` for a session that went away. */
export function lostFault(cause?: unknown): Fault {
  return new Fault("not-running", "Lost the session: it closed the connection", {
    ...(cause === undefined || cause instanceof BodyError ? {} : { cause }),
    next: "See `fz status` whether it still runs.",
  });
}

const LF = 10;

function encodeRequest(endpoint: Endpoint, { method, path }: Route, request: unknown): Uint8Array {
  const body = method === "GET" ? new Uint8Array(0) : utf8(JSON.stringify(request));
  const head = encodeHead(`${method} ${path} HTTP/1.1`, {
    "host": endpoint.type === "unix" ? "fz" : `127.0.0.1:${endpoint.port}`,
    "user-agent": `fz/${VERSION}`,
    "connection": "close",
    ...(endpoint.type === "unix" ? {} : { "authorization": `Bearer ${endpoint.token}` }),
    ...(method === "GET" ? {} : { "content-type": "application/json", "content-length": body.length }),
  });
  return concatBytes(head, body);
}

async function within<T>(ms: number, work: Promise<T>, giveUp: () => void): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StuckFault(`answer within ${ms / 1000} s`));
      giveUp();
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // What comes of it after giving up interests nobody.
    work.catch(() => {});
  }
}

function close(connection: Connection): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}

function strangeFault(what: string): Fault {
  return new Fault("unexpected", `Cannot read the session's answer: ${what}`, {
    next: "See that the socket belongs to fz, and that FZ_RUNTIME_DIR is what you mean.",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemIn(value: unknown): Fault | undefined {
  if (typeof value !== "object" || value === null || !("error" in value)) return undefined;
  const problem = parseProblem(value.error);
  return problem === undefined ? undefined : faultOf(problem);
}

/** Also from a session whose codes are not all known here. */
function parseProblem(value: unknown): Problem | undefined {
  const parsed = v.safeParse(v.object({ ...Problem.entries, code: v.string() }), value);
  if (!parsed.success) return undefined;
  const known = v.safeParse(Problem.entries.code, parsed.output.code);
  return { ...parsed.output, code: known.success ? known.output : "unexpected" };
}
