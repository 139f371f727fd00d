/** Waiting for signals of a service over the ends of the bus. */

import assert from "node:assert/strict";
import { watchService } from "../../ffi/linux/dbus/watch.ts";
import { decodeMessage, encodeMessage, FIXED_LENGTH, messageLength } from "../../lib/wire/dbus/message.ts";

/** A bus that lets everybody in; `answer` says whether a call gets an empty answer or is the end of the connection. */
class FakeBus {
  readonly connections: Deno.Conn[] = [];
  readonly #listener: Deno.UnixListener;

  constructor(path: string, answer: (connection: number, member: string) => boolean) {
    this.#listener = Deno.listen({ transport: "unix", path });
    void this.#accept(answer);
  }

  close(): void {
    this.#listener.close();
    for (const socket of this.connections) end(socket);
  }

  async #accept(answer: (connection: number, member: string) => boolean): Promise<void> {
    try {
      for await (const socket of this.#listener) {
        this.connections.push(socket);
        const number = this.connections.length;
        void serve(socket, (member) => answer(number, member)).catch(() => {}).finally(() => end(socket));
      }
    } catch {
      // Closed.
    }
  }
}

async function serve(socket: Deno.Conn, answer: (member: string) => boolean): Promise<void> {
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
      const { serial, member } = call.value;
      if (!answer(member)) return;
      const body = member === "Hello" ? { signature: "s", body: [":1.1"] } : { signature: "", body: [] };
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

Deno.test("watchService: a bus that ends while it is asked for signals is tried again once, not twice", async () => {
  const folder = await Deno.makeTempDir({ prefix: "fz-bus-" });
  const former = Deno.env.get("DBUS_SYSTEM_BUS_ADDRESS");
  Deno.env.set("DBUS_SYSTEM_BUS_ADDRESS", `unix:path=${folder}/socket`);
  const bus = new FakeBus(
    `${folder}/socket`,
    (connection, member) => connection > 1 || member !== "AddMatch",
  );
  const told = Promise.withResolvers<void>();
  const watch = watchService("org.example.Service", ["type='signal'"], told.resolve);
  try {
    await told.promise;
    // Longer than the pause after the second failure, which never was.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.equal(bus.connections.length, 2);
  } finally {
    watch.close();
    bus.close();
    if (former === undefined) Deno.env.delete("DBUS_SYSTEM_BUS_ADDRESS");
    else Deno.env.set("DBUS_SYSTEM_BUS_ADDRESS", former);
    await Deno.remove(folder, { recursive: true });
  }
});
