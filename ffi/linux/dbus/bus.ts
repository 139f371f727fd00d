/**
 * A connection to the system bus (D-Bus Specification): calls with time-outs, and signals. A failure is a value with the
 * name of the error, those of the connection included, as libdbus names them. Never throws.
 */

import { err, ok, type Result } from "../../../lib/base/result.ts";
import {
  type DBusMessage,
  decodeMessage,
  encodeMessage,
  FIXED_LENGTH,
  MAX_MESSAGE_LENGTH,
  messageLength,
} from "../../../lib/wire/dbus/message.ts";
import type { DBusValue } from "../../../lib/wire/dbus/value.ts";
import { openSocket, systemBusPaths } from "./handshake.ts";

/** Why a call has no answer: "org.freedesktop.DBus.Error.AccessDenied" and a sentence of the service. */
export interface BusError {
  readonly name: string;
  readonly message: string;
}

/** The method of an object. */
export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Types of `body`; default "". */
  readonly signature?: string;
  readonly body?: readonly DBusValue[];
  /** Default: that of the connection. */
  readonly timeoutMs?: number;
}

/** A signal as it came. */
export type BusSignal = Extract<DBusMessage, { type: "signal" }>;

/** What the errors of the connection itself are called. */
export const Disconnected = "org.freedesktop.DBus.Error.Disconnected";
export const NoReply = "org.freedesktop.DBus.Error.NoReply";
const LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded";

/** The bus itself. */
export const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** Services that are started by a call take some of it. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** Most calls that wait for their answers. */
const MAX_PENDING = 64;
const READ_BYTES = 16_384;

type Settle = (outcome: Result<readonly DBusValue[], BusError>) => void;

export class Bus {
  readonly #socket: Deno.Conn;
  readonly #pending = new Map<number, Settle>();
  #lastSerial = 0;
  #handler: ((signal: BusSignal) => void) | undefined;
  #onClosed: (() => void) | undefined;
  #isClosed = false;
  #uniqueName = "";
  readonly #timeoutMs: number;
  readonly #noAutoStart: true | undefined;
  /** Services that did not answer once on this connection: work with many calls would wait for each. */
  readonly #silent = new Set<string>();
  /** Writes follow each other; at most one for each pending call. */
  #written: Promise<void> = Promise.resolve();

  private constructor(socket: Deno.Conn, timeoutMs: number, noAutoStart: true | undefined) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#noAutoStart = noAutoStart;
  }

  /**
   * Connects to the first of `paths` that lets us in, and says hello. An answer may take `timeoutMs`. `signal` ends all
   * of that at once. With `noAutoStart`, a call to a service that does not run fails instead of starting it.
   */
  static async open(
    paths: readonly string[] = systemBusPaths(),
    timeoutMs = DEFAULT_TIMEOUT_MS,
    signal?: AbortSignal,
    noAutoStart?: true,
  ): Promise<Result<Bus, BusError>> {
    const socket = await openSocket(paths, signal);
    if (!socket.ok) return err({ name: Disconnected, message: socket.reason });
    const bus = new Bus(socket.value, timeoutMs, noAutoStart);
    bus.#read();
    const stop = () => bus.close();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    const hello = await bus.call({ ...BUS, member: "Hello" });
    signal?.removeEventListener("abort", stop);
    if (hello.ok && typeof hello.value[0] === "string") {
      bus.#uniqueName = hello.value[0];
      return ok(bus);
    }
    bus.close();
    return err(hello.ok ? { name: Disconnected, message: "the bus gave no name" } : hello.reason);
  }

  /** What the bus calls this connection: ":1.42". */
  get uniqueName(): string {
    return this.#uniqueName;
  }

  /** Calls a method; resolves with what it returned. A service that did not answer once is not asked again. */
  call(call: BusCall): Promise<Result<readonly DBusValue[], BusError>> {
    if (this.#isClosed) return Promise.resolve(err(GONE));
    if (this.#pending.size >= MAX_PENDING) {
      return Promise.resolve(err({ name: LIMITS_EXCEEDED, message: "too many calls at once" }));
    }
    const timeoutMs = call.timeoutMs ?? this.#timeoutMs;
    const silence = { name: NoReply, message: `no answer within ${timeoutMs / 1000} s` };
    if (this.#silent.has(call.destination)) return Promise.resolve(err(silence));
    this.#lastSerial = this.#lastSerial % 0xffffffff + 1;
    const serial = this.#lastSerial;
    const { timeoutMs: _, signature = "", body = [], ...target } = call;
    // Breaks an invariant where the caller made a mistake, and then nothing waits for an answer.
    const flags = { noAutoStart: this.#noAutoStart };
    const message = encodeMessage({ type: "call", serial, ...target, ...flags, signature, body });
    const { promise, resolve } = Promise.withResolvers<Result<readonly DBusValue[], BusError>>();
    const timer = setTimeout(() => {
      this.#silent.add(call.destination);
      settle(err(silence));
    }, timeoutMs);
    const settle: Settle = (outcome) => {
      clearTimeout(timer);
      this.#pending.delete(serial);
      resolve(outcome);
    };
    this.#pending.set(serial, settle);
    this.#write(message);
    return promise;
  }

  /**
   * Gives the signals that one of `rules` matches (D-Bus Specification, "Match Rules") to `handler` from now on. Once per
   * connection. `onClosed` is called when the bus ends the connection: then nothing comes any more.
   */
  async listen(
    rules: readonly string[],
    handler: (signal: BusSignal) => void,
    onClosed: () => void,
  ): Promise<Result<void, BusError>> {
    this.#handler = handler;
    this.#onClosed = onClosed;
    for (const rule of rules) {
      const added = await this.call({
        ...BUS,
        member: "AddMatch",
        signature: "s",
        body: [rule],
      });
      if (!added.ok) return added;
    }
    return ok(undefined);
  }

  /** Lets the process end though the connection is open. */
  unref(): void {
    (this.#socket as Deno.UnixConn).unref();
  }

  /** Ends the connection; pending calls fail. */
  close(): void {
    this.#onClosed = undefined;
    this.#end();
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handler = undefined;
    try {
      this.#socket.close();
    } catch {
      // The runtime closed it.
    }
    for (const settle of [...this.#pending.values()]) settle(err(GONE));
    this.#onClosed?.();
  }

  #write(bytes: Uint8Array): void {
    this.#written = this.#written.then(async () => {
      for (let sent = 0; sent < bytes.length;) sent += await this.#socket.write(bytes.subarray(sent));
    }).catch(() => this.#end());
  }

  async #read(): Promise<void> {
    let kept: Uint8Array<ArrayBuffer> = new Uint8Array(READ_BYTES);
    let length = 0;
    try {
      while (!this.#isClosed) {
        const count = await this.#socket.read(kept.subarray(length));
        if (count === null) break;
        length += count;
        const used = this.#takeMessages(kept.subarray(0, length));
        if (used === undefined) break;
        kept.copyWithin(0, used, length);
        length -= used;
        if (length === kept.length) {
          if (length >= MAX_MESSAGE_LENGTH) break;
          const larger = new Uint8Array(2 * length);
          larger.set(kept);
          kept = larger;
        }
      }
    } catch {
      // Closed here or there.
    }
    this.#end();
  }

  /** Returns how many bytes were messages; undefined where no later message could be found. */
  #takeMessages(bytes: Uint8Array): number | undefined {
    let offset = 0;
    while (bytes.length - offset >= FIXED_LENGTH) {
      const length = messageLength(bytes.subarray(offset));
      if (!length.ok) return undefined;
      if (offset + length.value > bytes.length) break;
      const message = decodeMessage(bytes.subarray(offset, offset + length.value));
      // One that we do not understand is skipped; the call that waits for it runs into its time-out.
      if (message.ok) this.#take(message.value);
      offset += length.value;
    }
    return offset;
  }

  #take(message: DBusMessage): void {
    switch (message.type) {
      case "return":
        return this.#pending.get(message.replySerial)?.(ok(message.body));
      case "error": {
        const text = message.body[0];
        const reason = { name: message.errorName, message: typeof text === "string" ? text : "" };
        return this.#pending.get(message.replySerial)?.(err(reason));
      }
      case "signal":
        return this.#handler?.(message);
      case "call":
        // We offer nothing.
        return;
    }
  }
}

const GONE: BusError = { name: Disconnected, message: "the connection to the system bus ended" };
