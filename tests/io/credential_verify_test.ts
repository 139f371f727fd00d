import assert from "node:assert/strict";
import { credentials } from "../../io/credential/credentials.ts";
import { PortalConnection } from "../../io/portal_connection.ts";
import { type PortalServer, startPortal } from "../../io/portal_server.ts";
import { Fault } from "../../lib/base/fault.ts";
import { toBase64 } from "../../lib/base/bytes.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import type { SignInRequest } from "../../lib/control/credential.ts";
import type { SeedInput } from "../../lib/portal/seed.ts";

const SEED: SeedInput = {
  account: { slug: "acme", name: "Acme" },
  sites: [{ name: "Paris" }],
  actors: [{ name: "Ada", email: "ada@corp.example" }],
  resources: [{ name: "Wiki", type: "dns", address: "wiki.corp.example", site: "Paris" }],
  policies: [{ group: "Everyone", resource: "Wiki" }],
  tokens: [
    { kind: "client", actor: "Ada", token: "good" },
    { kind: "client", actor: "Ada", name: "until", token: "until-2038", expires_at: 2_145_916_800 },
    { kind: "client", actor: "Ada", name: "old", token: "old", expires_at: 1 },
    { kind: "gateway", site: "Paris", token: "gateways" },
  ],
};

Deno.test("signIn: joins, counts what there is, asks who that is, and leaves", () =>
  withPortal(async (portal) => {
    const signIn = await credentials.signIn(request(portal.url));
    assert.deepEqual(signIn.account, { slug: "acme", name: "Acme" });
    assert.deepEqual(signIn.actor, { name: "Ada", email: "ada@corp.example", type: "account_user" });
    assert.equal(signIn.expiresAt, null);
    assert.equal(signIn.resources, 1);
    assert.match(signIn.addresses!.join(" "), /^100\.\S+ fd00:\S+$/);
    await eventually(() => portal.portal.presence.clients.size === 0);
    const { expiresAt } = await credentials.signIn(request(portal.url, { token: "until-2038" }));
    assert.equal(expiresAt, "2038-01-01T00:00:00.000Z");
  }));

Deno.test("signIn: tells a token that is wrong from one that expired, joining or not", () =>
  withPortal(async (portal) => {
    for (const isGentle of [false, true]) {
      const table = [["nonsense", "rejected"], ["gateways", "rejected"], ["old", "expired"]] as const;
      for (const [token, code] of table) {
        await assert.rejects(
          credentials.signIn(request(portal.url, { token, isGentle })),
          (error) => error instanceof Fault && error.code === code && !error.message.includes(`"${token}"`),
        );
      }
    }
  }));

Deno.test("signIn: beside a session takes nothing from it and makes no device", () =>
  withPortal(async (portal) => {
    const events: ChannelEvent[] = [];
    const session = new PortalConnection({
      role: "client",
      url: portal.url,
      token: "good",
      parameters: () => ({
        external_id: "this-machine",
        name: "x",
        public_key: toBase64(new Uint8Array(32)),
      }),
      onEvent: (event) => events.push(event),
    });
    session.start();
    await eventually(() => session.isJoined);
    const before = portal.portal.directory.all("devices");
    const gentle = await credentials.signIn(request(portal.url, { isGentle: true }));
    assert.equal(gentle.actor?.name, "Ada");
    assert.equal(gentle.resources, undefined);
    assert.deepEqual(portal.portal.directory.all("devices"), before);
    assert.ok(session.isJoined);

    // What is avoided: the same device joining twice.
    await credentials.signIn(request(portal.url));
    await eventually(() => events.some(({ type }) => type === "fatal"));
    await session.stop();
  }));

Deno.test("signIn: says unreachable where nothing answers like a portal", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response("Not here", { status: 404 }),
  );
  try {
    const url = `http://127.0.0.1:${server.addr.port}`;
    for (const isGentle of [false, true]) {
      await assert.rejects(
        credentials.signIn(request(url, { isGentle })),
        (error) => error instanceof Fault && error.code === "unreachable" && /404/.test(error.message),
      );
    }
  } finally {
    await server.shutdown();
  }
});

Deno.test("ask: gets nothing from portals that tell nothing, whatever they answer", async () => {
  const answers = [
    () => new Response("", { status: 404 }),
    () => new Response("", { status: 405 }),
    () => new Response("<html>", { status: 200 }),
    () => Response.json({ account: "acme" }),
    () => new Response("x".repeat(1_000_000)),
    () => new Response("sign in at the hotel", { status: 401 }),
    () => Response.redirect("http://127.0.0.1:9/"),
  ];
  let answer = answers[0]!;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => answer());
  try {
    const url = `ws://127.0.0.1:${server.addr.port}/folder/`;
    for (const next of answers) {
      answer = next;
      assert.equal(await credentials.ask(url, "token"), undefined);
      const { type } = await credentials.revoke(url, "token");
      assert.ok(type === "not-offered" || type === "failed", type);
    }
  } finally {
    await server.shutdown();
  }
  assert.equal(await credentials.ask("ws://127.0.0.1:9/", "token"), undefined);
  assert.equal((await credentials.revoke("ws://127.0.0.1:9/", "token")).type, "failed");
});

Deno.test("ask, revoke: believe a portal that calls the token dead; what an administrator made is not ended", () =>
  withPortal(async (portal) => {
    await assert.rejects(credentials.ask(portal.url, "nonsense"), { code: "rejected" });
    await assert.rejects(credentials.ask(portal.url, "old"), { code: "expired" });
    assert.deepEqual(await credentials.revoke(portal.url, "old"), { type: "dead" });
    assert.deepEqual(await credentials.revoke(portal.url, "good"), { type: "not-offered" });
    assert.equal((await credentials.ask(portal.url, "good"))?.account?.slug, "acme");
    portal.change((directory) => {
      const token = directory.all("tokens").find(({ kind, expiresAt }) =>
        kind === "client" && expiresAt === undefined
      );
      directory.put("tokens", { ...token!, isInteractive: true });
    });
    assert.deepEqual(await credentials.revoke(portal.url, "good"), { type: "revoked" });
    await assert.rejects(credentials.ask(portal.url, "good"), { code: "rejected" });
  }));

function request(apiUrl: string, given: Partial<SignInRequest> = {}): SignInRequest {
  return { apiUrl, token: "good", name: "machine", id: "this-machine", isGentle: false, ...given };
}

async function withPortal(body: (portal: PortalServer) => Promise<void>): Promise<void> {
  const portal = await startPortal({
    listen: { host: "127.0.0.1", port: 0 },
    seed: SEED,
    connectInterval: 0,
  });
  try {
    await body(portal);
  } finally {
    await portal.stop();
  }
}

async function eventually(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 9000, "it never came true");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
