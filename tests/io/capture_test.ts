import assert from "node:assert/strict";
import { type CaptureOptions, capturePackets } from "../../io/capture.ts";
import type { PacketTap } from "../../io/loop.ts";
import { concatBytes, readU32Le } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { BlockSplitter, BlockType, droppedOf } from "../../lib/wire/pcapng.ts";
import { buildUdp } from "../../lib/wire/udp.ts";

function udp(port: number, length = 20): Uint8Array {
  return buildUdp({
    source: IpAddress.from("100.64.0.1"),
    destination: IpAddress.from("10.0.0.9"),
    sourcePort: 40_000,
    destinationPort: port,
    payload: new Uint8Array(length),
  });
}

function start(options: Partial<CaptureOptions>) {
  const taps = new Set<PacketTap>();
  const abort = new AbortController();
  const addTap = (tap: PacketTap) => {
    taps.add(tap);
    return () => taps.delete(tap);
  };
  const stream = capturePackets({ interfaceName: "fz0", addTap, ...options }, abort.signal);
  const show = (packet: Uint8Array, direction: "in" | "out" = "out") => {
    for (const tap of taps) tap(packet, direction);
  };
  return { stream, show, taps, abort };
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return concatBytes(...await Array.fromAsync(stream));
}

function blocksOf(bytes: Uint8Array): { packets: Uint8Array[]; dropped: number | undefined } {
  const blocks = new BlockSplitter().push(bytes)!;
  return {
    packets: blocks.filter((block) => readU32Le(block, 0) === BlockType.enhancedPacket),
    dropped: blocks.map(droppedOf).findLast((dropped) => dropped !== undefined),
  };
}

Deno.test("capturePackets: is what tcpdump reads, with addresses, ports and directions", async () => {
  const { stream, show, abort } = start({ filter: "port 53 or port 443" });
  show(udp(53));
  show(udp(80));
  show(udp(443), "in");
  abort.abort();
  const bytes = await read(stream);
  assert.deepEqual([blocksOf(bytes).packets.length, blocksOf(bytes).dropped], [2, 0]);
  const path = await Deno.makeTempFile({ suffix: ".pcapng" });
  try {
    await Deno.writeFile(path, bytes);
    const args = ["-r", path, "-n", "-t", "--number", "-Q", "inout"];
    const found = await new Deno.Command("tcpdump", { args }).output().catch(() => undefined);
    if (found === undefined) return;
    const text = new TextDecoder().decode(found.stdout) + new TextDecoder().decode(found.stderr);
    assert.match(text, /link-type RAW/);
    assert.match(text, /100\.64\.0\.1\.40000 > 10\.0\.0\.9\.53/);
    assert.match(text, /100\.64\.0\.1\.40000 > 10\.0\.0\.9\.443: UDP, length 20/);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("capturePackets: ends after so many packets and lets the tap go", async () => {
  const { stream, show, taps } = start({ maxPackets: 2 });
  for (let count = 0; count < 5; count++) show(udp(53));
  assert.equal(taps.size, 0);
  assert.equal(blocksOf(await read(stream)).packets.length, 2);
});

Deno.test("capturePackets: is never longer than it may be", async () => {
  for (const maxBytes of [0, 300, 1000, 5000]) {
    const { stream, show, abort } = start({ maxBytes });
    for (let count = 0; count < 100; count++) show(udp(53, 100));
    abort.abort();
    const bytes = await read(stream);
    assert.ok(maxBytes < 300 || bytes.length <= maxBytes, `${bytes.length} > ${maxBytes}`);
    assert.ok(new BlockSplitter().push(bytes)!.length >= 3);
  }
});

Deno.test("capturePackets: drops and counts what a slow reader leaves lying", async () => {
  const { stream, show, abort } = start({ maxWaiting: 2000, snapLength: 96 });
  for (let count = 0; count < 50; count++) show(udp(53, 500));
  abort.abort();
  const { packets, dropped } = blocksOf(await read(stream));
  assert.ok(packets.length > 5 && packets.length < 20);
  assert.equal(dropped, 50 - packets.length);
  assert.equal(readU32Le(packets[0]!, 20), 96);
  assert.equal(readU32Le(packets[0]!, 24), 528);
});

Deno.test("capturePackets: ends after its time, also when nothing comes", async () => {
  const { stream } = start({ durationMs: 1 });
  assert.deepEqual(blocksOf(await read(stream)), { packets: [], dropped: 0 });
});

Deno.test("capturePackets: lets the tap go when the reader leaves", async () => {
  const { stream, show, taps } = start({});
  show(udp(53));
  for await (const _chunk of stream) break;
  assert.equal(taps.size, 0);
});

Deno.test("capturePackets: turns a filter down that it cannot read, with the position", () => {
  assert.throws(
    () => start({ filter: "tcp prot 53" }),
    (error) =>
      error instanceof Fault && error.code === "usage" && /at character 5, "prot"/.test(error.message),
  );
});
