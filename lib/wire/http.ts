/**
 * HTTP/1.1 between two programs of ours (RFC 9112): heads of requests and answers, how long a body is, and chunks. Takes
 * less than the RFC lets servers take: no folded lines, no bare line feeds, no header twice that says where a body ends.
 */

import { err, ok, type Result } from "../base/result.ts";

/** Names in lower case. */
export type Headers = ReadonlyMap<string, string>;

/** What stands before the body of a request. */
export interface RequestHead {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  /** The x of HTTP/1.x. */
  readonly minor: 0 | 1;
  readonly headers: Headers;
}

/** What stands before the body of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Headers;
}

/** Where a body ends. */
export type Framing =
  | { readonly type: "length"; readonly length: number }
  | { readonly type: "chunked" }
  | { readonly type: "until-close" };

/** Why bytes are no message. */
export type HttpReason =
  | "bare line feed"
  | "control character"
  | "request line"
  | "status line"
  | "version"
  | "header"
  | "repeated header"
  | "missing host"
  | "length"
  | "transfer coding"
  | "chunk"
  | "trailer";

const CR = 13;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const DELETE = 127;

/**
 * Returns where the head ends (past its empty line), undefined if there is more to come, or what cannot be in a head.
 * `from`: how much of `bytes` was looked at before.
 */
export function findHeadEnd(bytes: Uint8Array, from = 0): Result<number | undefined, HttpReason> {
  for (let index = from; index < bytes.length; index++) {
    const byte = bytes[index]!;
    if (byte === LF) {
      if (bytes[index - 1] !== CR) return err("bare line feed");
      if (bytes[index - 2] === LF && bytes[index - 3] === CR) return ok(index + 1);
    } else if (byte === DELETE || (byte < SPACE && byte !== CR && byte !== TAB)) {
      return err("control character");
    }
  }
  return ok(undefined);
}

/** Reads the head of a request; `bytes` ends with its empty line. */
export function decodeRequestHead(bytes: Uint8Array): Result<RequestHead, HttpReason> {
  const [first = "", ...lines] = linesOf(bytes);
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP\/(\d)\.(\d)$/.exec(first);
  if (match === null) return err("request line");
  const [, method, target, major, minor] = match;
  if (major !== "1") return err("version");
  const headers = decodeHeaders(lines);
  if (!headers.ok) return headers;
  if (minor !== "0" && !headers.value.has("host")) return err("missing host");
  return ok({ method: method!, target: target!, minor: minor === "0" ? 0 : 1, headers: headers.value });
}

/** Reads the head of an answer; `bytes` ends with its empty line. */
export function decodeAnswerHead(bytes: Uint8Array): Result<AnswerHead, HttpReason> {
  const [first = "", ...lines] = linesOf(bytes);
  const match = /^HTTP\/1\.\d ([1-5]\d\d)(?: .*)?$/.exec(first);
  if (match === null) return err("status line");
  const headers = decodeHeaders(lines);
  return headers.ok ? ok({ status: Number(match[1]), headers: headers.value }) : headers;
}

/** Returns where the body of a request ends: without a word about it, at once. */
export function requestFraming(headers: Headers): Result<Framing, HttpReason> {
  return framing(headers, { type: "length", length: 0 });
}

/** Returns where the body of an answer ends: without a word about it, with the connection. */
export function answerFraming(headers: Headers): Result<Framing, HttpReason> {
  return framing(headers, { type: "until-close" });
}

/** Returns `first` (a request line or status line) and `headers` as the head of a message. */
export function encodeHead(first: string, headers: Readonly<Record<string, string | number>>): Uint8Array {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return ENCODER.encode(`${first}\r\n${lines.join("")}\r\n`);
}

/** Returns `data`, which is not empty, as a chunk. */
export function encodeChunk(data: Uint8Array): Uint8Array {
  const size = ENCODER.encode(`${data.length.toString(16)}\r\n`);
  const chunk = new Uint8Array(size.length + data.length + 2);
  chunk.set(size);
  chunk.set(data, size.length);
  chunk.set([CR, LF], size.length + data.length);
  return chunk;
}

/** Returns the end of a chunked body; `trailer` is what is known only now. */
export function encodeLastChunk(trailer: Readonly<Record<string, string>> = {}): Uint8Array {
  return encodeHead("0", trailer);
}

/** Longest line before a chunk, and longest trailer, in bytes. */
const MAX_CHUNK_LINE = 256;
const MAX_TRAILER = 32_768;

/** Takes a chunked body (RFC 9112 §7.1) apart as it comes. */
export class ChunkDecoder {
  /** Of a chunk's data. */
  #left = 0;
  #line: number[] = [];
  #state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  #trailer: Headers = new Map();

  /** Whether the last chunk and the trailer have come. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  /** What came after the last chunk. */
  get trailer(): Headers {
    return this.#trailer;
  }

  /** Takes `bytes`; returns data, and how many bytes belonged to this body. */
  push(bytes: Uint8Array): Result<{ readonly data: Uint8Array[]; readonly used: number }, HttpReason> {
    const data: Uint8Array[] = [];
    let index = 0;
    while (index < bytes.length && this.#state !== "done") {
      if (this.#state === "data") {
        const piece = bytes.subarray(index, index + this.#left);
        data.push(piece);
        index += piece.length;
        this.#left -= piece.length;
        if (this.#left === 0) this.#state = "data-end";
        continue;
      }
      const byte = bytes[index++]!;
      this.#line.push(byte);
      const limit = this.#state === "trailer" ? MAX_TRAILER : MAX_CHUNK_LINE;
      if (this.#line.length > limit) return err(this.#state === "trailer" ? "trailer" : "chunk");
      if (byte !== LF) continue;
      const reason = this.#endLine();
      if (reason !== undefined) return err(reason);
    }
    return ok({ data, used: index });
  }

  #endLine(): HttpReason | undefined {
    const line = Uint8Array.from(this.#line);
    if (line.at(-2) !== CR) return "bare line feed";
    if (this.#state === "trailer") {
      // All lines of the trailer are kept until the empty one.
      const isEnd = line.length === 2 || line.at(-3) === LF;
      if (!isEnd) return undefined;
      const headers = decodeHeaders(linesOf(line));
      if (!headers.ok) return "trailer";
      this.#trailer = headers.value;
      this.#state = "done";
      return undefined;
    }
    this.#line = [];
    const text = LATIN.decode(line.subarray(0, -2));
    if (this.#state === "data-end") {
      this.#state = "size";
      return text === "" ? undefined : "chunk";
    }
    const size = /^([0-9a-fA-F]{1,8})(?:[ \t]*;.*)?$/.exec(text)?.[1];
    if (size === undefined) return "chunk";
    this.#left = parseInt(size, 16);
    this.#state = this.#left === 0 ? "trailer" : "data";
    return undefined;
  }
}

/** Headers that must not come twice: two readers could believe different ones. */
const SINGLE: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "authorization",
  "origin",
]);

function decodeHeaders(lines: readonly string[]): Result<Headers, HttpReason> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    if (line === "") continue;
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/.exec(line);
    // Also a line that goes on with the one before: nobody folds lines any more but those who smuggle.
    if (match === null) return err("header");
    const name = match[1]!.toLowerCase();
    const value = match[2]!.trim();
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) return err("repeated header");
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return ok(headers);
}

function framing(headers: Headers, otherwise: Framing): Result<Framing, HttpReason> {
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (coding !== undefined) {
    // Both at once is how requests are smuggled (RFC 9112 §6.1).
    if (length !== undefined || coding.toLowerCase() !== "chunked") return err("transfer coding");
    return ok({ type: "chunked" });
  }
  if (length === undefined) return ok(otherwise);
  return /^\d{1,15}$/.test(length) ? ok({ type: "length", length: Number(length) }) : err("length");
}

function linesOf(bytes: Uint8Array): string[] {
  return LATIN.decode(bytes).split("\r\n");
}

const ENCODER = new TextEncoder();
const LATIN = new TextDecoder("latin1");
