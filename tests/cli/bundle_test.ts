import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import type { BundleReport, BundleRequest } from "../../lib/control/bundle.ts";
import { fakeContext } from "./fake_context.ts";

const REPORT: BundleReport = {
  path: "fz-bundle.tar.gz",
  size: 4096,
  files: [{ name: "version.json", size: 10 }],
  replaced: { name: 2, ipv4: 3 },
  missing: [{ name: "session/status.json", reason: "No session runs" }],
};

function start(isAborted = false) {
  const asked: BundleRequest[] = [];
  const host = {
    makeBundle: (request: BundleRequest, signal: AbortSignal) => {
      asked.push(request);
      assert.equal(signal.aborted, isAborted);
      return Promise.resolve(REPORT);
    },
  };
  return { asked, context: fakeContext({ host }) };
}

Deno.test("fz bundle: prints the path, and on standard error what to check before sharing", async () => {
  const { asked, context } = start();
  assert.equal(await run(["bundle", "--log", "50", "--duration", "1s", "-o", "x.tgz"], context), 0);
  assert.equal(context.written.stdout, "fz-bundle.tar.gz\n");
  assert.match(context.written.stderr, /1 file, 4\.0 KiB; 5 private things replaced/);
  assert.match(context.written.stderr, /No session answered/);
  assert.match(
    context.written.stderr,
    /Before you share it, look through it: `tar xzOf "fz-bundle\.tar\.gz" \| less`/,
  );
  const { documents, ...request } = asked[0]!;
  assert.deepEqual([request.path, request.logRecords, request.duration, request.redact, request.overwrite], [
    "x.tgz",
    50,
    1000,
    true,
    false,
  ]);
  // What cannot be had is told, not in the way.
  assert.deepEqual(documents.map(({ name, type }) => [name, type]), [
    ["config.json", "document"],
    ["netcheck.json", "missing"],
    ["doctor.json", "missing"],
  ]);
});

Deno.test("fz bundle --no-redact: warns", async () => {
  const { asked, context } = start();
  assert.equal(await run(["bundle", "--no-redact", "--json"], context), 0);
  assert.equal(asked[0]!.redact, false);
  assert.deepEqual(JSON.parse(context.written.stdout), { schema: 1, ...REPORT, redacted: false });
  assert.equal((await runPlain()).includes("Names and addresses are in it as they are"), true);
});

Deno.test("fz bundle: turns standard output and endless recording down", async () => {
  for (const args of [["-o", "-"], ["--duration", "1h"]]) {
    const { asked, context } = start();
    assert.equal(await run(["bundle", ...args], context), 2);
    assert.deepEqual(asked, []);
  }
});

async function runPlain(): Promise<string> {
  const { context } = start();
  await run(["bundle", "--no-redact"], context);
  return context.written.stderr;
}
