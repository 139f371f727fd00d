import assert from "node:assert/strict";
import type { Control } from "../../lib/control/control.ts";
import { run } from "../../cli/mod.ts";
import { parseSize } from "../../cli/size.ts";
import { concatBytes } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import {
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  sectionHeader,
} from "../../lib/wire/pcapng.ts";
import { fakeContext } from "./fake_context.ts";

const PACKET = {
  interfaceId: 0,
  timeUs: 1,
  packet: new Uint8Array(40),
  snapLength: 96,
  direction: "in" as const,
};
const BLOCKS = [
  sectionHeader({ os: "linux", application: "fz" }),
  interfaceDescription({ name: "fz0", snapLength: 96 }),
  enhancedPacket(PACKET),
  enhancedPacket(PACKET),
  interfaceStatistics({ interfaceId: 0, timeUs: 1, received: 5, dropped: 3 }),
];
const STREAM = concatBytes(...BLOCKS);

function session(chunks: (signal: AbortSignal) => AsyncIterable<Uint8Array>) {
  const asked: unknown[] = [];
  const files: { path: string; overwrite: boolean; bytes: Uint8Array; isClosed: boolean }[] = [];
  const host = {
    control: (authority: string) =>
      Promise.resolve({
        bytes(route: string, request: unknown, signal: AbortSignal) {
          asked.push([authority, route, request]);
          return chunks(signal);
        },
      } as unknown as Control),
    openOutput: (path: string, { overwrite }: { overwrite: boolean }) => {
      const file = { path, overwrite, bytes: concatBytes(), isClosed: false };
      files.push(file);
      return Promise.resolve({
        write: (bytes: Uint8Array) => {
          file.bytes = concatBytes(file.bytes, bytes);
          return true;
        },
        close: () => {
          file.isClosed = true;
        },
      });
    },
  };
  return { asked, files, host };
}

async function* whole() {
  yield STREAM.slice(0, 50);
  yield STREAM.slice(50);
}

Deno.test("fz capture: writes what the session sends, and sums it up on standard error", async () => {
  const { asked, files, host } = session(whole);
  const context = fakeContext({ host });
  const args = "capture tcp port 443 -o out.pcapng --count 9 --size 1MiB --duration 30s --snaplen 96".split(
    " ",
  );
  assert.equal(await run(args, context), 0);
  assert.deepEqual(asked, [["change", "capture", {
    filter: "tcp port 443",
    maxPackets: 9,
    maxBytes: 2 ** 20,
    durationMs: 30_000,
    snapLength: 96,
  }]]);
  assert.deepEqual(files.map(({ path, overwrite, isClosed }) => [path, overwrite, isClosed]), [
    ["out.pcapng", false, true],
  ]);
  assert.deepEqual(files[0]!.bytes, STREAM);
  assert.match(context.written.stderr, /^2 packets, \d+ B in "out\.pcapng"; 3 were lost on the way$/m);
  assert.equal(context.written.stdout, "");
});

Deno.test("fz capture: leaves only whole blocks when Ctrl+C cuts the stream", async () => {
  const context = fakeContext({
    host: {},
  });
  const { files, host } = session(async function* (signal) {
    yield STREAM.slice(0, STREAM.length - 70);
    context.signal("SIGINT");
    assert.equal(signal.aborted, true);
  });
  Object.assign(context.host, host);
  assert.equal(await run(["capture", "-o", "x"], context), 0);
  assert.deepEqual(files[0]!.bytes, concatBytes(...BLOCKS.slice(0, 3)));
  assert.match(context.written.stderr, /^1 packet, /m);
});

Deno.test("fz capture: does not write to a terminal, and says what to do", async () => {
  const { asked, host } = session(whole);
  const context = fakeContext({ host, isTerminal: true });
  assert.equal(await run(["capture"], context), 2);
  assert.match(context.written.stderr, /Cannot write packets to a terminal[^]*-o FILE/);
  assert.deepEqual(asked, []);
  const piped = session(whole);
  assert.equal(await run(["capture"], fakeContext({ host: piped.host })), 0);
  assert.deepEqual(piped.files[0]!.path, "-");
});

Deno.test("fz capture: leaves no file when the filter is turned down", async () => {
  // deno-lint-ignore require-yield
  const { files, host } = session(async function* () {
    throw new Fault("usage", "Cannot use capture filter");
  });
  assert.equal(await run(["capture", "frob", "-o", "x"], fakeContext({ host })), 2);
  assert.deepEqual(files, []);
});

Deno.test("parseSize: understands units, and nothing else", () => {
  const table: [text: string, bytes: number | undefined][] = [
    ["4096", 4096],
    ["10MiB", 10 * 2 ** 20],
    ["1.5k", 1536],
    ["500 kB", 500_000],
    ["2G", 2 ** 31],
    ["", undefined],
    ["MiB", undefined],
    ["-1", undefined],
    ["1 parsec", undefined],
  ];
  for (const [text, bytes] of table) assert.equal(parseSize(text), bytes, text);
});
