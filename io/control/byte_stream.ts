/** A connection read as HTTP messages: a head, its body, the next head. Everything that is kept has a bound. */

import { concatBytes } from "../../lib/base/bytes.ts";
import { err, ok, type Result } from "../../lib/base/result.ts";
import {
  ChunkDecoder,
  findHeadEnd,
  type Framing,
  type Headers,
  type HttpReason,
} from "../../lib/wire/http.ts";

/** What a message is read from and written to. */
export type Connection = Pick<Deno.Conn, "read" | "write" | "close" | "closeWrite">;

/** Longest head of a message, in bytes. */
export const MAX_HEAD_BYTES = 16_384;

/** Why no message could be read: what was wrong with it, or how it stopped. */
export type ReadFailure = HttpReason | "too long" | "cut off";

/** A body that is no body. */
export class BodyError extends Error {
  override readonly name = "BodyError";
  readonly reason: ReadFailure;

  constructor(reason: ReadFailure) {
    super(`the body is not valid HTTP: ${reason}`);
    this.reason = reason;
  }
}

export class ByteStream {
  readonly #connection: Connection;
  /** Read, but not used. */
  #kept: Uint8Array = EMPTY;
  #isEnded = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Returns the next head with its empty line; undefined if the other end closed the connection before it. */
  async readHead(): Promise<Result<Uint8Array | undefined, ReadFailure>> {
    let scanned = 0;
    while (true) {
      // Empty lines before a message are skipped (RFC 9112 §2.2).
      if (scanned === 0) { while (this.#kept[0] === 13 && this.#kept[1] === 10) this.#take(2); }
      const end = findHeadEnd(this.#kept, scanned);
      if (!end.ok) return end;
      if (end.value !== undefined) {
        return end.value > MAX_HEAD_BYTES ? err("too long") : ok(this.#take(end.value));
      }
      if (this.#kept.length >= MAX_HEAD_BYTES) return err("too long");
      // A single byte may be half of an empty line.
      scanned = this.#kept.length === 1 ? 0 : this.#kept.length;
      if (!await this.#fill()) return this.#kept.length === 0 ? ok(undefined) : err("cut off");
    }
  }

  /** Returns a whole body of at most `limit` bytes. */
  async readBody(framing: Framing, limit: number): Promise<Result<Uint8Array, ReadFailure>> {
    if (framing.type === "length" && framing.length > limit) return err("too long");
    const parts: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const part of this.body(framing)) {
        length += part.length;
        if (length > limit) return err("too long");
        parts.push(part);
      }
    } catch (error) {
      if (error instanceof BodyError) return err(error.reason);
      throw error;
    }
    return ok(concatBytes(...parts));
  }

  /** Yields a body as it comes and returns its trailer. Throws `BodyError`. */
  async *body(framing: Framing): AsyncGenerator<Uint8Array, Headers> {
    switch (framing.type) {
      case "until-close":
        while (this.#kept.length > 0 || await this.#fill()) yield this.#take(this.#kept.length);
        return NO_HEADERS;
      case "length":
        for (let left = framing.length; left > 0;) {
          if (this.#kept.length === 0 && !await this.#fill()) throw new BodyError("cut off");
          const part = this.#take(Math.min(left, this.#kept.length));
          left -= part.length;
          yield part;
        }
        return NO_HEADERS;
      case "chunked": {
        const decoder = new ChunkDecoder();
        while (!decoder.isDone) {
          if (this.#kept.length === 0 && !await this.#fill()) throw new BodyError("cut off");
          const pushed = decoder.push(this.#kept);
          if (!pushed.ok) throw new BodyError(pushed.reason);
          this.#take(pushed.value.used);
          yield* pushed.value.data;
        }
        return decoder.trailer;
      }
    }
  }

  /** Resolves when the other end has closed the connection, or with false as soon as it says anything more. */
  async isGone(): Promise<boolean> {
    if (this.#kept.length > 0) return false;
    return !await this.#fill();
  }

  /** Reads on and throws away, at most `limit` bytes, until the other end closes the connection. */
  async drain(limit: number): Promise<void> {
    this.#kept = EMPTY;
    for (let left = limit; left > 0 && await this.#fill(); this.#kept = EMPTY) left -= this.#kept.length;
  }

  #take(count: number): Uint8Array {
    const taken = this.#kept.subarray(0, count);
    this.#kept = count === this.#kept.length ? EMPTY : this.#kept.subarray(count);
    return taken;
  }

  async #fill(): Promise<boolean> {
    if (this.#isEnded) return false;
    // A new buffer each time: what was handed out must stay as it is.
    const buffer = new Uint8Array(READ_BYTES);
    const count = await this.#connection.read(buffer);
    if (count === null) this.#isEnded = true;
    else {
      const read = count * 4 < READ_BYTES ? buffer.slice(0, count) : buffer.subarray(0, count);
      this.#kept = this.#kept.length === 0 ? read : concatBytes(this.#kept, read);
    }
    return count !== null;
  }
}

/** Writes all of `bytes`. */
export async function writeAll(connection: Connection, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

const EMPTY = new Uint8Array(0);
const NO_HEADERS: Headers = new Map();
/** Small for a request, which mostly fits; answers are read in as many steps as they need. */
const READ_BYTES = 16_384;
