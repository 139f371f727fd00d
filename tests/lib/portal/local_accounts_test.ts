import assert from "node:assert/strict";
import { isPassword } from "../../../lib/portal/password.ts";
import { bearer, Browser, tokenIn } from "./browser.ts";
import { SEED, World } from "./harness.ts";

const PASSWORD = "correct horse";

function actor(world: World, name: string) {
  return world.portal.directory.find("actors", (it) => it.name === name)!;
}

Deno.test("applySeed: keeps a hash of a password, the same one as long as the password is the same", () => {
  const [ada, ...others] = SEED.actors!;
  const actors = [{ ...ada!, password: PASSWORD }, ...others];
  const world = new World({ ...SEED, actors });
  const before = actor(world, "Ada");
  assert.ok(isPassword(PASSWORD, before.passwordHash!));
  assert.ok(!JSON.stringify(world.store.all("actors")).includes(PASSWORD));
  assert.equal(world.admin("POST", "/v1/actors", actors[0]).status, 200);
  assert.deepEqual(actor(world, "Ada"), before);
  assert.equal(world.admin("POST", "/v1/actors", { name: "Ada", disabled: true }).status, 200);
  assert.equal(actor(world, "Ada").passwordHash, before.passwordHash);
  world.restart();
  assert.equal(actor(world, "Ada").passwordHash, before.passwordHash);
});

Deno.test("handleAdmin: tells whether somebody has a password, and never what is kept of it", () => {
  const world = new World();
  const answers = [
    world.admin("POST", "/v1/actors", { name: "Ada", password: PASSWORD }),
    world.admin("GET", "/v1/actors"),
    world.admin("GET", "/v1/actors/Ada"),
    world.admin("PATCH", "/v1/actors/Ada", { disabled: true }),
    world.admin("POST", "/v1/accounts", { slug: "acme" }),
  ];
  for (const { status, body } of answers) {
    assert.equal(status, 200);
    assert.doesNotMatch(JSON.stringify(body), /scrypt|passwordHash|ingestKey|correct horse/);
  }
  assert.equal((answers[2]!.body as { hasPassword: boolean }).hasPassword, true);
  assert.equal((world.admin("GET", "/v1/actors/Bob").body as { hasPassword: boolean }).hasPassword, false);
});

Deno.test("handleAdmin: says why somebody cannot have a password, without repeating it", () => {
  const world = new World();
  world.admin("POST", "/v1/actors", { name: "Ada", password: PASSWORD });
  const table: [body: Record<string, unknown>, complaint: RegExp][] = [
    [{ name: "Bob", password: PASSWORD }, /^email: who signs in with a password needs one/],
    [
      { name: "Bob", email: "ADA@corp.example", password: PASSWORD },
      /^email: "Ada" signs in with the same one/,
    ],
    [{ name: "ci", email: "ci@corp.example", password: PASSWORD }, /^password: service accounts have tokens/],
    [{ name: "Ada", type: "service_account" }, /^password: service accounts have tokens/],
    [{ name: "Bob", password: "s3cret" }, /^password: must be 8 to 256 characters/],
    [{ name: "Bob", password: 12345678 }, /^password: must be/],
    [{ name: "Bob", password: "s3cret".repeat(100) }, /^password: must be/],
  ];
  for (const [body, complaint] of table) {
    const answer = world.admin("POST", "/v1/actors", body);
    assert.equal(answer.status, 400);
    const { error } = answer.body as { error: string };
    assert.match(error, complaint);
    assert.doesNotMatch(error, /horse|s3cret|12345678/);
  }
  assert.equal(actor(world, "Bob").passwordHash, undefined);
});

Deno.test("handleAdmin: ends the sign-ins of whom it gives another password, and only those", () => {
  const browser = new Browser();
  const token = tokenIn(browser.signIn("ada@corp.example", PASSWORD));
  const client = browser.world.client(token, { id: "laptop" });
  const other = browser.world.client("ada-token", { id: "server" });
  client.take();
  assert.equal(
    browser.world.admin("POST", "/v1/actors", { name: "Ada", password: "another horse" }).status,
    200,
  );
  assert.notEqual(client.closeCode ?? client.take().find(({ event }) => event === "disconnect"), undefined);
  assert.equal(other.closeCode, undefined);
  assert.equal(browser.send({ path: "/v1/whoami", headers: bearer(token) }).status, 401);
});

Deno.test("handleAdmin: takes the lifetime of sign-ins within bounds, and no slug that is a path", () => {
  const world = new World();
  const put = (more: Record<string, unknown>) =>
    world.admin("POST", "/v1/accounts", { slug: "acme", ...more }).status;
  assert.equal(put({ client_session_lifetime: 3600 }), 200);
  assert.equal(put({ client_session_lifetime: 3599 }), 400);
  assert.equal(put({ client_session_lifetime: 90 * 86400 + 1 }), 400);
  assert.equal(put({ slug: "v1" }), 400);
  assert.equal(put({ slug: "healthz" }), 400);
  assert.equal(put({ slug: "v2" }), 200);
});

Deno.test("handleAdmin: makes a token beside those that there are where it must not replace one", () => {
  const world = new World();
  const make = (more: Record<string, unknown>) =>
    world.admin("POST", "/v1/tokens", { kind: "client", actor: "ci", replace: false, ...more });
  const names = [make({}), make({})].map(({ body }) => (body as { name: string }).name);
  assert.deepEqual(names, ["client ci 2", "client ci 3"]);
  assert.equal(world.dial("/client/v2/websocket", "ci-token").refused?.status, 400);
  assert.equal(make({ name: "runner" }).status, 200);
  const refused = make({ name: "runner" });
  assert.equal(refused.status, 400);
  assert.deepEqual(refused.body, { error: 'name: there is a token "runner" already' });
});
