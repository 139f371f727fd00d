/** A bus for tests that says what it is told to. */

import assert from "node:assert/strict";
import {
  type DBusMessage,
  decodeMessage,
  encodeMessage,
  FIXED_LENGTH,
  messageLength,
} from "../../lib/wire/dbus/message.ts";
import type { DBusValue } from "../../lib/wire/dbus/value.ts";

/** Somebody calls a method. */
export type FakeCall = Extract<DBusMessage, { type: "call" }>;

/** What comes of a call: an answer, no answer, or the end of the connection. */
export type FakeAnswer =
  | { readonly signature: string; readonly body: readonly DBusValue[] }
  | "silence"
  | "end";

/** An answer with nothing in it. */
export const EMPTY: FakeAnswer = { signature: "", body: [] };

/** Runs `body` while `answer` is the system bus; "Hello" is answered without it, unless by silence. */
export async function withFakeBus(
  answer: (call: FakeCall, connection: number) => FakeAnswer,
  body: (bus: FakeBus) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fz-bus-" });
  const former = Deno.env.get("DBUS_SYSTEM_BUS_ADDRESS");
  Deno.env.set("DBUS_SYSTEM_BUS_ADDRESS", `unix:path=${folder}/socket`);
  const bus = new FakeBus(`${folder}/socket`, answer);
  try {
    await body(bus);
  } finally {
    bus.close();
    if (former === undefined) Deno.env.delete("DBUS_SYSTEM_BUS_ADDRESS");
    else Deno.env.set("DBUS_SYSTEM_BUS_ADDRESS", former);
    await Deno.remove(folder, { recursive: true });
  }
}

/** A bus that lets everybody in. */
export class FakeBus {
  readonly connections: Deno.Conn[] = [];
  /** How many of them are over. */
  ended = 0;
  readonly #listener: Deno.UnixListener;

  constructor(path: string, answer: (call: FakeCall, connection: number) => FakeAnswer) {
    this.#listener = Deno.listen({ transport: "unix", path });
    void this.#accept(answer);
  }

  close(): void {
    this.#listener.close();
    for (const socket of this.connections) end(socket);
  }

  async #accept(answer: (call: FakeCall, connection: number) => FakeAnswer): Promise<void> {
    try {
      for await (const socket of this.#listener) {
        this.connections.push(socket);
        const number = this.connections.length;
        void serve(socket, (call) => answer(call, number)).catch(() => {}).finally(() => {
          this.ended++;
          end(socket);
        });
      }
    } catch {
      // Closed.
    }
  }
}

async function serve(socket: Deno.Conn, answer: (call: FakeCall) => FakeAnswer): Promise<void> {
  const buffer = new Uint8Array(4096);
  let said = "";
  while (!said.includes("AUTH")) said += text(buffer, await socket.read(buffer));
  await socket.write(new TextEncoder().encode("OK 0123456789abcdef\r\n"));
  let bytes = new Uint8Array();
  for (let isBegun = false;;) {
    const count = await socket.read(buffer);
    if (count === null) return;
    bytes = Uint8Array.of(...bytes, ...buffer.subarray(0, count));
    if (!isBegun) {
      const at = text(bytes, bytes.length).indexOf("BEGIN\r\n");
      if (at < 0) continue;
      isBegun = true;
      bytes = bytes.slice(at + 7);
    }
    while (bytes.length >= FIXED_LENGTH) {
      const length = messageLength(bytes);
      assert(length.ok);
      if (bytes.length < length.value) break;
      const call = decodeMessage(bytes.slice(0, length.value));
      bytes = bytes.slice(length.value);
      assert(call.ok && call.value.type === "call");
      const said = answer(call.value);
      if (said === "end") return;
      if (said === "silence") continue;
      const { serial, member } = call.value;
      const body = member === "Hello" ? { signature: "s", body: [":1.1"] } : said;
      await socket.write(encodeMessage({ type: "return", serial: 1, replySerial: serial, ...body }));
    }
  }
}

function text(bytes: Uint8Array, length: number | null): string {
  return new TextDecoder().decode(bytes.subarray(0, length ?? 0));
}

function end(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
