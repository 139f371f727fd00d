import assert from "node:assert/strict";
import { createSocket, type RemoteInfo } from "node:dgram";
import { silentLog } from "../../lib/base/log.ts";
import { SocketAddress } from "../../lib/base/ip.ts";
import { utf8 } from "../../lib/base/bytes.ts";
import type { Datagram } from "../../lib/base/datagram.ts";
import type { Instant, Wake } from "../../lib/base/time.ts";
import { platform } from "../../ffi/mod.ts";
import type { Pollable, Poller } from "../../ffi/platform.ts";
import { monotonicNow } from "../../io/clock.ts";
import { Loop, type PacketMachine } from "../../io/loop.ts";

/** Answers each datagram with its bytes, and counts its timeouts. */
class Echo implements PacketMachine {
  readonly queue: Datagram[] = [];
  timeouts: Instant[] = [];
  wake: Wake | undefined;

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array): undefined {
    this.queue.push({ local, remote, payload: payload.slice() });
  }

  handleTimeout(now: Instant): void {
    this.timeouts.push(now);
    this.wake = undefined;
  }

  pollTimeout(): Wake | undefined {
    return this.wake;
  }

  pollDatagram(): Datagram | undefined {
    return this.queue.shift();
  }
}

async function start() {
  const host = await platform();
  const poller = host.createPoller();
  const socket = host.bindUdp({ address: SocketAddress.from("127.0.0.1:0") })!;
  const machine = new Echo();
  let turns = 0;
  const loop = new Loop({ machine, poller, log: silentLog, onTurn: () => turns++ });
  loop.setSockets([socket]);
  const done = loop.run();
  return {
    machine,
    loop,
    socket,
    turns: () => turns,
    async stop() {
      loop.stop();
      await done;
      await poller.close();
      socket.close();
    },
  };
}

/** A UDP socket of the runtime. */
async function openPeer() {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    port: socket.address().port,
    send: (text: string, port: number) => socket.send(text, port, "127.0.0.1"),
    receive: () =>
      new Promise<{ text: string; from: RemoteInfo }>((resolve) =>
        socket.once("message", (bytes, from) => resolve({ text: bytes.toString(), from }))
      ),
    close: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

Deno.test("Loop: passes datagrams to the machine and its answers back, from the address they came to", async () => {
  const { socket, stop, turns } = await start();
  const peer = await openPeer();
  for (const text of ["one", "two", "three"]) {
    const answer = peer.receive();
    peer.send(text, socket.local.port);
    const { text: echoed, from } = await answer;
    assert.equal(echoed, text);
    assert.equal(from.port, socket.local.port);
  }
  assert.ok(turns() >= 3);
  await peer.close();
  await stop();
});

Deno.test("Loop: calls handleTimeout when it is due, also if poke brought it forward", async () => {
  const { machine, loop, stop } = await start();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const begin = monotonicNow();
  machine.wake = { at: begin + 40, reason: "test" };
  loop.poke();
  // Without poke it would sleep on: there was nothing to wake for.
  while (machine.timeouts.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(machine.timeouts[0]! >= begin + 40);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(machine.timeouts.length, 1);
  await stop();
});

Deno.test("Loop.poke: sends at once what another input made the machine want to send", async () => {
  const { machine, loop, stop } = await start();
  const peer = await openPeer();
  const answer = peer.receive();
  const remote = SocketAddress.from(`127.0.0.1:${peer.port}`);
  machine.queue.push({ local: undefined, remote, payload: utf8("hi") });
  loop.poke();
  assert.equal((await answer).text, "hi");
  await peer.close();
  await stop();
});

Deno.test("Loop: counts datagrams that have no socket of their family", async () => {
  const { machine, loop, stop } = await start();
  machine.queue.push({ local: undefined, remote: SocketAddress.from("[::1]:9"), payload: utf8("x") });
  loop.poke();
  assert.equal(loop.unroutable, 1);
  await stop();
});

/** Answers waits from a script, and counts the time that it makes pass; nothing really waits. */
class ScriptedPoller implements Poller {
  readonly calls: { readonly kind: "poll" | "wait"; readonly at: Instant }[] = [];
  now = 0 as Instant;
  readonly #readyAt: (now: Instant) => readonly Pollable[];

  constructor(readyAt: (now: Instant) => readonly Pollable[]) {
    this.#readyAt = readyAt;
  }

  add(): void {}
  remove(): void {}
  wake(): void {}

  poll(timeoutMs: number): readonly Pollable[] {
    return this.#answer("poll", timeoutMs);
  }

  wait(timeoutMs = 0): Promise<readonly Pollable[]> {
    return Promise.resolve(this.#answer("wait", timeoutMs));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #answer(kind: "poll" | "wait", timeoutMs: number): readonly Pollable[] {
    this.calls.push({ kind, at: this.now });
    const ready = this.#readyAt(this.now);
    this.now = (this.now + (ready.length > 0 ? 0.1 : Math.max(timeoutMs, 0.1))) as Instant;
    return ready;
  }
}

Deno.test("Loop: lets the runtime look at its own sockets while packets come, sparse or dense", async (t) => {
  const source = { descriptor: -1 } as Pollable;
  for (const [name, intervalMs] of [["sparse", 20], ["dense", 0.05]] as const) {
    await t.step(name, async () => {
      let next = 0;
      const poller = new ScriptedPoller((now) => {
        if (now < next) return [];
        next = now + intervalMs;
        return [source];
      });
      let turns = 0;
      const loop = new Loop({
        machine: new Echo(),
        poller,
        clock: { now: () => poller.now },
        log: silentLog,
        onTurn: () => ++turns === 400 && loop.stop(),
      });
      loop.watch(source, () => {});
      await loop.run();
      const waits = poller.calls.filter(({ kind }) => kind === "wait").map(({ at }) => at);
      const gaps = waits.slice(1).map((at, index) => at - waits[index]!);
      assert.ok(waits.length > 2 && poller.calls.length > waits.length, `${waits.length} waits`);
      assert.ok(
        Math.max(...gaps) < 20,
        `the runtime had no turn for ${Math.max(...gaps)} ms of the loop's time`,
      );
    });
  }
});
