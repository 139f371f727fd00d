import assert from "node:assert/strict";
import type { Credentials } from "../../lib/control/credential.ts";
import { run } from "../../cli/mod.ts";
import { START_SECONDS, World } from "../lib/portal/harness.ts";
import { fakeContext } from "./fake_context.ts";

/** Runs `fz portal …` against a portal in memory. */
async function ask(world: World, args: readonly string[], stdin = "") {
  const sockets: (string | undefined)[] = [];
  const context = fakeContext({
    host: {
      askPortal: (socket, { method, path, body }) => {
        sockets.push(socket);
        // As it comes out of the socket.
        return Promise.resolve(JSON.parse(JSON.stringify(world.admin(method, path, body))));
      },
      credentials: () =>
        Promise.resolve({ readInput: () => Promise.resolve(stdin) } as Partial<Credentials> as Credentials),
    },
  });
  const code = await run(["portal", ...args], context);
  return { code, ...context.written, calls: context.calls, sockets };
}

Deno.test("fz portal: without a verb runs the portal", async () => {
  const { code, calls } = await ask(new World(), ["--seed", "s.json", "--admin-socket", "/a"]);
  assert.equal(code, 0);
  const [[name, config] = []] = calls;
  assert.equal(name, "startPortal");
  assert.equal((config as { adminSocket: string }).adminSocket, "/a");
});

Deno.test("fz portal token create: prints a token that a client can use, and nothing else", async () => {
  const world = new World();
  const { code, stdout, stderr, sockets } = await ask(world, ["token", "create", "--actor", "ci"]);
  assert.equal(code, 0);
  assert.match(stdout, /^fz_client_[\w-]{43}\n$/);
  assert.equal(stderr, 'Token "client ci 2" expires 2026-09-29T12:00:00Z. It is not shown again.\n');
  assert.deepEqual(sockets, [undefined]);
  world.client(stdout.trim(), { id: "runner" }).expect("init");
  world.client("ci-token", { id: "other" }).expect("init");
});

Deno.test("fz portal token create: takes a name, a lifetime and the admin socket", async () => {
  const world = new World();
  const json = async (...args: string[]) =>
    JSON.parse((await ask(world, ["token", "create", "--json", ...args])).stdout);
  const gateway = await json("--site", "Oslo");
  assert.deepEqual({ ...gateway, token: "" }, {
    schema: 1,
    token: "",
    name: "gateway Oslo 2",
    kind: "gateway",
    expiresAt: null,
  });
  assert.equal((await json("--relay", "--expires", "2d")).expiresAt, "2026-07-03T12:00:00Z");
  assert.equal((await json("--actor", "ci", "--expires", "never", "--name", "x")).expiresAt, null);
  const { sockets } = await ask(world, ["token", "create", "--relay", "--admin-socket", "/run/a.sock"]);
  assert.deepEqual(sockets, ["/run/a.sock"]);
  assert.equal(world.portal.directory.find("tokens", ({ name }) => name === "x")?.expiresAt, undefined);
  assert.ok(
    world.portal.directory.all("tokens").some(({ expiresAt }) => expiresAt === START_SECONDS + 172_800),
  );
});

Deno.test("fz portal: says in one sentence what it cannot do, and exits 2", async () => {
  const world = new World();
  const table: [args: string[], message: string][] = [
    [["token", "create", "--actor", "nobody"], 'Cannot make a token: there is no actor "nobody"'],
    [["token", "create", "--site", "Rome"], 'Cannot make a token: there is no site "Rome"'],
    [["token", "create"], "Say whose token it is: --actor NAME, --site NAME or --relay"],
    [["token", "create", "--relay", "--account", "x"], 'Cannot make a token: there is no account "x"'],
    [["token", "create", "--relay", "--expires", "soon"], "is neither a duration"],
    [["token", "revoke", "nix"], 'Cannot revoke token "nix": there is none with this name'],
    [["token", "revoke"], "TOKEN is missing"],
    [["actor", "add", "Bob", "--password"], "Cannot set a password: standard input has none"],
    [["actor", "add", "ci", "--type", "robot"], '"robot"'],
    [["actor", "add"], "NAME"],
    [["frob"], 'Unknown command "frob"'],
  ];
  for (const [args, message] of table) {
    const { code, stdout, stderr } = await ask(world, args);
    assert.equal(code, 2, args.join(" "));
    assert.ok(stderr.includes(message), stderr);
    assert.equal(stdout, "");
  }
});

Deno.test("fz portal: exits 12 where no portal runs", async () => {
  for (
    const args of [["status"], ["peers"], ["token", "list"], ["actor", "list"], ["token", "revoke", "x"]]
  ) {
    const context = fakeContext();
    assert.equal(await run(["portal", ...args], context), 12);
    assert.equal(context.written.stdout, "");
  }
});

Deno.test("fz portal token list, revoke: show whose tokens there are, and end them", async () => {
  const world = new World();
  const { stdout } = await ask(world, ["token", "list"]);
  assert.deepEqual(stdout.split("\n").slice(0, 3), [
    "NAME           KIND     OF     ENDS",
    "client Ada     client   Ada    never",
    "client Bob     client   Bob    2026-07-01T13:00:00Z",
  ]);
  const client = world.client("ci-token", { id: "runner" });
  client.take();
  const revoked = await ask(world, ["token", "revoke", "client ci", "gateway Oslo"]);
  assert.equal(revoked.code, 0);
  assert.equal(revoked.stderr, 'Revoked "client ci".\nRevoked "gateway Oslo".\n');
  assert.notEqual(world.dial("/client/v2/websocket", "ci-token").refused, undefined);
  const { tokens } = JSON.parse((await ask(world, ["token", "list", "--json"])).stdout);
  assert.deepEqual(tokens.map(({ name }: { name: string }) => name), [
    "client Ada",
    "client Bob",
    "gateway Paris",
    "relay",
  ]);
});

Deno.test("fz portal actor: adds people with a password from standard input, and lists who can sign in", async () => {
  const world = new World();
  const added = await ask(
    world,
    ["actor", "add", "Eve", "--email", "eve@corp.example", "--type", "admin", "--password"],
    "correct horse\r\nmore\n",
  );
  assert.equal(added.code, 0, added.stderr);
  assert.equal(added.stderr, 'Saved "Eve", who signs in with a password.\n');
  const short = await ask(world, ["actor", "add", "Eve", "--password"], "s3cret\n");
  assert.equal(short.stderr, 'fz: Cannot add "Eve": the password must be 8 to 256 characters\n');
  await ask(world, ["actor", "add", "bot", "--type", "service"]);
  const { stdout } = await ask(world, ["actor", "list"]);
  assert.deepEqual(stdout.trimEnd().split("\n"), [
    "NAME  TYPE     E-MAIL            SIGN-IN",
    "Ada   admin    ada@corp.example  token only",
    "Bob   user     -                 token only",
    "ci    service  -                 token only",
    "Eve   admin    eve@corp.example  password",
    "bot   service  -                 token only",
  ]);
  assert.doesNotMatch((await ask(world, ["actor", "list", "--json"])).stdout, /scrypt/);
});

Deno.test("fz portal status, peers: tell what there is and who is connected", async () => {
  const world = new World();
  const before = await ask(world, ["peers"]);
  assert.equal(before.stdout, "");
  world.client("ada-token", { id: "laptop" });
  world.gateway();
  world.relay();
  assert.equal(
    (await ask(world, ["status"])).stdout,
    "Connected     1 client, 1 gateway, 1 relay\n" +
      "Account acme  3 actors, 2 sites, 3 resources, 3 policies, 6 tokens\n",
  );
  const { peers } = JSON.parse((await ask(world, ["peers", "--json"])).stdout);
  assert.deepEqual(peers.map(({ role, remoteIp }: Record<string, string>) => [role, remoteIp]), [
    ["client", "198.51.100.7"],
    ["gateway", "198.51.100.7"],
    ["relay", "198.51.100.7"],
  ]);
  assert.match(
    (await ask(world, ["peers"])).stdout,
    /^ROLE +NAME +ADDRESS +FROM +SINCE\nclient +laptop +100\./,
  );
});
