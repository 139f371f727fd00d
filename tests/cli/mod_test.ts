import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import { COMMANDS, walkTree } from "../../cli/tree.ts";
import { Fault } from "../../lib/base/fault.ts";
import { endless, fakeContext } from "./fake_context.ts";

const PATHS: string[][] = [];
await walkTree((path) => PATHS.push([...path]));

Deno.test("run: without arguments prints the list of commands and exits 0", async () => {
  const context = fakeContext();
  assert.equal(await run([], context), 0);
  for (const { name } of COMMANDS) assert.match(context.written.stdout, new RegExp(`^  ${name} `, "m"));
  assert.equal(context.written.stderr, "");
});

Deno.test("run: help of each command is as recorded", async (t) => {
  for (const path of PATHS) {
    await t.step(path.join(" "), async () => {
      const context = fakeContext();
      assert.equal(await run([...path, "--help"], context), 0);
      const golden = new URL(`../golden/help/${path.join("-")}.txt`, import.meta.url);
      if (Deno.env.get("FZ_RECORD") === "1") await Deno.writeTextFile(golden, context.written.stdout);
      assert.equal(context.written.stdout, await Deno.readTextFile(golden));
      assert.ok(context.written.stdout.includes(`Usage: fz ${path.join(" ")}`));
    });
  }
});

Deno.test("COMMANDS: each is found by the name in its file, and aliases mean one command only", async () => {
  for (const entry of COMMANDS) assert.equal((await entry.load()).name, entry.name);
  const names = new Set<string>();
  await walkTree((path, { aliases = [] }) => {
    for (const name of [path.at(-1)!, ...aliases]) {
      const typed = [...path.slice(0, -1), name].join(" ");
      assert.ok(!names.has(typed), typed);
      names.add(typed);
    }
  });
});

Deno.test("run: says what is wrong with a command line in one sentence, and exits 2", async (t) => {
  const table: [args: string[], message: RegExp][] = [
    [["rnu"], /^fz: Unknown command "rnu"\. Did you mean "run"\?\n/],
    [["conect"], /^fz: Unknown command "conect"\. Did you mean "up"\?\n/],
    [["verison"], /Did you mean "version"\?/],
    [["frobnicate"], /^fz: Unknown command "frobnicate"\n/],
    [["run", "--api-ulr", "x"], /^fz: Unknown option "--api-ulr"\. Did you mean "--api-url"\?\n/],
    [["run", "everything"], /^fz: Unknown argument "everything"/],
    [["--nope"], /^fz: Unknown option "--nope"/],
    [["run", "--api-url"], /--api-url requires URL/],
    [["run", "--api-url", "ftp://x"], /"ftp:\/\/x" is not a URL that begins with/],
    [["run", "--dns-control", "magic"], /"systemd-resolved".*"magic"/],
    [["run", "-m", "5 parsecs"], /"5 parsecs" is not a duration/],
    [["relay", "--listen-port", "70000"], /70,?000|65,?535/],
    [["relay", "--public-ip4-addr", "::1"], /"::1" is not an IPv4 address/],
    [["relay"], /Cannot run a relay without an address/],
    [
      ["relay", "--public-ip4-addr", "1.2.3.4", "--lowest-port", "9", "--highest-port", "8"],
      /first is above/,
    ],
    [["portal", "--listen", "here"], /"here" is not an address with a port/],
    [["version", "now"], /Unknown argument "now"/],
  ];
  for (const [args, message] of table) {
    await t.step(args.join(" "), async () => {
      const context = fakeContext({ env: { FIREZONE_TOKEN: "secret" } });
      assert.equal(await run(args, context), 2);
      assert.match(context.written.stderr, message);
      assert.equal(context.written.stdout, "");
      assert.deepEqual(context.calls, []);
      assert.ok(context.written.stderr.trimEnd().split("\n").length <= 2, context.written.stderr);
    });
  }
});

Deno.test("run: turns a token on the command line down without repeating it", async () => {
  for (const args of [["--token", "s3cret"], ["--token=s3cret"]]) {
    const context = fakeContext();
    assert.equal(await run(["run", ...args], context), 2);
    assert.match(context.written.stderr, /FIREZONE_TOKEN/);
    assert.doesNotMatch(context.written.stderr, /s3cret/);
  }
});

Deno.test("fz run: hands upstream's flags to the client", async () => {
  const context = fakeContext({ env: { FIREZONE_TOKEN: " t0ken\n" } });
  const args = [
    "-u",
    "ws://127.0.0.1:8081",
    "-i",
    "id",
    "--firezone-name",
    "box",
    "--dns-control",
    "disabled",
  ];
  const more = [
    "-m",
    "1h 30m",
    "--activate-internet-resource",
    "--no-telemetry",
    "--inc-buf",
    "--flow-logs",
    "standalone",
  ];
  assert.equal(await run(["run", ...args, ...more], context), 0);
  assert.deepEqual(context.calls, [["startSession", {
    profile: "default",
    client: {
      apiUrl: "ws://127.0.0.1:8081",
      name: "box",
      id: "id",
      maxPartitionTime: 5_400_000,
      dnsControl: "disabled",
      internetResource: true,
      tunName: undefined,
      mtu: undefined,
      port: undefined,
      excluded: [],
      lan: "allow",
      failFast: false,
      increaseBuffers: true,
      flowLogs: true,
    },
    token: "t0ken",
    disabledResources: [],
    listen: undefined,
    waitsForCredential: false,
  }]]);
});

Deno.test("fz run: takes upstream's variables, and the flag wins over the variable", async () => {
  const env = {
    FIREZONE_TOKEN: "t0ken",
    FIREZONE_API_URL: "wss://portal.test/",
    FIREZONE_NAME: "from-env",
    FIREZONE_ID: "env-id",
    FIREZONE_DNS_CONTROL: "etc-resolv-conf",
    FIREZONE_ACTIVATE_INTERNET_RESOURCE: "true",
    MAX_PARTITION_TIME: "30s",
  };
  const context = fakeContext({ env });
  assert.equal(await run(["run", "--firezone-name", "from-flag"], context), 0);
  const [, session] = context.calls[0] as [string, { client: Record<string, unknown> }];
  const config = session.client;
  assert.equal(config.apiUrl, "wss://portal.test/");
  assert.equal(config.name, "from-flag");
  assert.equal(config.id, "env-id");
  assert.equal(config.dnsControl, "etc-resolv-conf");
  assert.equal(config.internetResource, true);
  assert.equal(config.maxPartitionTime, 30_000);
});

Deno.test("fz run: names the variable that holds nonsense", async () => {
  const context = fakeContext({ env: { FIREZONE_ACTIVATE_INTERNET_RESOURCE: "maybe" } });
  assert.equal(await run(["run"], context), 2);
  assert.match(context.written.stderr, /FIREZONE_ACTIVATE_INTERNET_RESOURCE.*"maybe"/);
});

Deno.test("fz run: takes the token out of the environment", async () => {
  const context = fakeContext({ env: { FIREZONE_TOKEN: "t0ken" } });
  await run(["run"], context);
  assert.equal(context.variables.has("FIREZONE_TOKEN"), false);
});

Deno.test("fz run: reads the token from the file where the variable is not set", async () => {
  const readToken = (path: string) => Promise.resolve(path === "/secret" ? "from-file\n" : undefined);
  const context = fakeContext({ host: { readToken } });
  assert.equal(await run(["run", "--token-path", "/secret"], context), 0);
  assert.equal((context.calls[0]![1] as { token: string }).token, "from-file");
});

Deno.test("fz run: exits 3 without a token, and with something that is none", async () => {
  const none = fakeContext();
  assert.equal(await run(["run"], none), 3);
  assert.match(
    none.written.stderr,
    /no token in FIREZONE_TOKEN, and no file "\/etc\/dev\.firezone\.client\/token"/,
  );
  const pasted = fakeContext({ env: { FIREZONE_TOKEN: "two words" } });
  assert.equal(await run(["run"], pasted), 3);
  assert.doesNotMatch(pasted.written.stderr, /two words/);
});

Deno.test("fz run --check: checks and starts nothing", async () => {
  const context = fakeContext({ env: { FIREZONE_TOKEN: "t0ken" } });
  assert.equal(await run(["run", "--check"], context), 0);
  assert.deepEqual(context.calls.map(([name]) => name), ["checkClient"]);
});

Deno.test("fz run --exit: stops when the tunnel is configured", async () => {
  const client = endless();
  const context = fakeContext({
    env: { FIREZONE_TOKEN: "t0ken" },
    host: { startSession: () => Promise.resolve(client) },
  });
  assert.equal(await run(["run", "--exit"], context), 0);
  assert.equal(client.stops, 1);
});

Deno.test("run: each fault has its exit code, its sentence and its next step", async (t) => {
  const table = [
    ["unexpected", 1],
    ["usage", 2],
    ["rejected", 3],
    ["expired", 4],
    ["unreachable", 5],
    ["privilege", 6],
    ["tun", 7],
    ["dns", 8],
    ["timeout", 9],
    ["unknown-resource", 10],
    ["offline", 11],
    ["not-running", 12],
  ] as const;
  for (const [code, exit] of table) {
    await t.step(code, async () => {
      const fault = new Fault(code, "Cannot do it", { cause: new Error("the\nreason"), next: "Do that." });
      const context = fakeContext({
        env: { FIREZONE_TOKEN: "t0ken" },
        host: { startSession: () => Promise.reject(fault) },
      });
      assert.equal(await run(["run"], context), exit);
      assert.equal(context.written.stderr, "fz: Cannot do it: the reason\n    Do that.\n");
    });
  }
});

Deno.test("run: what is no fault is unexpected and exits 1", async () => {
  const context = fakeContext({
    env: { FIREZONE_TOKEN: "t0ken" },
    host: { startSession: () => Promise.reject(new TypeError("oops")) },
  });
  assert.equal(await run(["run"], context), 1);
  assert.match(context.written.stderr, /^fz: Unexpected TypeError: oops\n {4}Run `fz doctor`.+\n$/);
});

Deno.test("fz version: prints one line, more with --verbose, a document with --json", async () => {
  const plain = fakeContext();
  assert.equal(await run(["version"], plain), 0);
  assert.match(plain.written.stdout, /^fz \d+\.\d+\.\d+\n$/);
  const verbose = fakeContext();
  await run(["version", "--verbose"], verbose);
  assert.match(verbose.written.stdout, /^kernel +6\.1$/m);
  const json = fakeContext();
  await run(["version", "--json", "--verbose"], json);
  const document = JSON.parse(json.written.stdout);
  assert.equal(document.schema, 1);
  assert.equal(document.crypto, "noble");
});

Deno.test("fz --version: is the same as fz version", async () => {
  const [flag, command] = [fakeContext(), fakeContext()];
  assert.equal(await run(["--version"], flag), 0);
  await run(["version"], command);
  assert.equal(flag.written.stdout, command.written.stdout);
});

Deno.test("fz completion: prints a script for the shell", async () => {
  const context = fakeContext();
  assert.equal(await run(["completion", "bash"], context), 0);
  assert.match(context.written.stdout, /complete .*fz/);
});
