import assert from "node:assert/strict";
import { toBase64 } from "../../lib/base/bytes.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import type { SeedInput } from "../../lib/portal/seed.ts";
import { type ClientInbound, decodeClientInbound } from "../../lib/wire/portal/client.ts";
import { decodeGatewayInbound, type GatewayInbound } from "../../lib/wire/portal/gateway.ts";
import { callAdmin } from "../../io/portal_admin.ts";
import { PortalConnection, type PortalConnectionOptions } from "../../io/portal_connection.ts";
import { type PortalServer, type PortalServerOptions, startPortal } from "../../io/portal_server.ts";

const SEED: SeedInput = {
  account: { slug: "acme" },
  sites: [{ name: "Paris" }],
  actors: [{ name: "Ada" }],
  resources: [{ name: "Wiki", type: "dns", address: "wiki.corp.example", site: "Paris" }],
  policies: [{ group: "Everyone", resource: "Wiki" }],
  tokens: [
    { kind: "client", actor: "Ada", token: "ada-token" },
    { kind: "gateway", site: "Paris", token: "paris-token" },
    { kind: "relay", token: "relay-token" },
  ],
};

function start(options: Partial<PortalServerOptions> = {}): Promise<PortalServer> {
  return startPortal({ listen: { host: "127.0.0.1", port: 0 }, seed: SEED, connectInterval: 0, ...options });
}

/** A peer over a real WebSocket whose events a test can wait for. */
class Peer {
  readonly connection: PortalConnection;
  #events: ChannelEvent[] = [];
  #wake: (() => void)[] = [];

  constructor(
    url: string,
    role: "client" | "gateway" | "relay",
    token: string,
    options: Partial<PortalConnectionOptions> = {},
  ) {
    const parameters = role === "relay" ? { ipv4: "127.0.0.1", port: "3478" } : {
      external_id: `${role}-1`,
      name: role,
      public_key: toBase64(new Uint8Array(32).fill(role === "client" ? 1 : 2)),
    };
    this.connection = new PortalConnection({
      role,
      url,
      token,
      parameters: () => parameters,
      joinPayload: role === "relay" ? { stamp_secret: "5a".repeat(32) } : null,
      onEvent: (event) => {
        this.#events.push(event);
        for (const wake of this.#wake.splice(0)) wake();
      },
      ...options,
    });
    this.connection.start();
  }

  async event<T extends ChannelEvent["type"]>(type: T): Promise<Extract<ChannelEvent, { type: T }>> {
    return await this.#take((event) => event.type === type) as Extract<ChannelEvent, { type: T }>;
  }

  async message(name: string): Promise<unknown> {
    const event = await this.#take((it) => it.type === "message" && it.event === name);
    return event.type === "message" ? event.payload : undefined;
  }

  async clientMessage<E extends ClientInbound["event"]>(name: E) {
    const decoded = decodeClientInbound(name, await this.message(name));
    assert(decoded.ok && decoded.value.event === name);
    return decoded.value.payload as Extract<ClientInbound, { event: E }>["payload"];
  }

  async gatewayMessage<E extends GatewayInbound["event"]>(name: E) {
    const decoded = decodeGatewayInbound(name, await this.message(name));
    assert(decoded.ok && decoded.value.event === name);
    return decoded.value.payload as Extract<GatewayInbound, { event: E }>["payload"];
  }

  async #take(test: (event: ChannelEvent) => boolean): Promise<ChannelEvent> {
    for (;;) {
      const index = this.#events.findIndex(test);
      if (index >= 0) return this.#events.splice(index, 1)[0]!;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

/** Goes through a whole grant and returns what both sides got. */
async function grant(client: Peer, gateway: Peer, resource_id: string) {
  client.connection.send("request_authorization", { resource_id, connected_gateway_ids: [] });
  const request = await gateway.gatewayMessage("create_authorization");
  gateway.connection.send("authorization_created", { ref: request.ref });
  return { request, granted: await client.clientMessage("authorization_created") };
}

Deno.test("startPortal serves join, init, grant and revocation over real sockets", async () => {
  const server = await start();
  const relay = new Peer(server.url, "relay", "relay-token");
  await relay.message("init");
  const gateway = new Peer(server.url, "gateway", "paris-token");
  const client = new Peer(server.url, "client", "ada-token");
  const init = await client.clientMessage("init");
  assert.deepEqual(init.relays.map(({ addr }) => addr), ["127.0.0.1:3478"]);
  await gateway.gatewayMessage("init");
  const wiki = init.resources[0]!;
  const { request, granted } = await grant(client, gateway, wiki.id);
  assert.equal(request.client.preshared_key, granted.preshared_key);

  server.change((directory) => directory.remove("policies", directory.all("policies")[0]!.id));
  assert.deepEqual(await gateway.gatewayMessage("reject_access"), {
    client_id: request.client.id,
    resource_id: wiki.id,
  });
  assert.equal(await client.clientMessage("resource_deleted"), wiki.id);
  for (const peer of [client, gateway, relay]) await peer.connection.stop();
  await server.stop();
});

Deno.test("startPortal keeps identities and authorizations over a restart, and peers come back", async () => {
  const folder = await Deno.makeTempDir();
  const database = `${folder}/portal.db`;
  const first = await start({ database });
  assert.equal((await Deno.stat(database)).mode! & 0o777, 0o600);
  const gateway = new Peer(first.url, "gateway", "paris-token");
  const client = new Peer(first.url, "client", "ada-token");
  const before = await client.clientMessage("init");
  await gateway.gatewayMessage("init");
  const { request } = await grant(client, gateway, before.resources[0]!.id);
  await first.stop();
  assert.equal((await client.event("hiccup")).wasJoined, true);

  const second = await start({ database, listen: { host: "127.0.0.1", port: first.port } });
  const after = await client.clientMessage("init");
  assert.deepEqual(after.interface, before.interface);
  assert.deepEqual(after.resources, before.resources);
  const gatewayInit = await gateway.gatewayMessage("init");
  assert.deepEqual(gatewayInit.authorizations, [{
    client_id: request.client.id,
    resource_id: before.resources[0]!.id,
    expires_at: request.expires_at,
  }]);
  for (const peer of [client, gateway]) await peer.connection.stop();
  await second.stop();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("startPortal refuses an unknown token for good, and a flood for a while", async () => {
  const server = await start({ connectInterval: 4000 });
  const stranger = new Peer(server.url, "client", "wrong");
  const fatal = await stranger.event("fatal");
  assert.equal(fatal.discardToken, true);
  assert.match(fatal.fault.message, /invalid_token/);
  const client = new Peer(server.url, "client", "ada-token");
  await client.event("joined");
  client.connection.redial();
  const hiccup = await client.event("hiccup");
  assert.equal(hiccup.status, 503);
  await client.event("joined");
  for (const peer of [client, stranger]) await peer.connection.stop();
  await server.stop();
});

Deno.test("startPortal answers plain HTTP", async () => {
  const server = await start();
  const base = server.url.replace("ws:", "http:");
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(base + path, { headers });
    return [response.status, await response.text()] as const;
  };
  assert.deepEqual(await get("/healthz"), [200, "ok\n"]);
  assert.equal((await get("/"))[0], 200);
  assert.equal((await get("/client/v2/websocket"))[0], 400);
  const [, body] = await get("/elsewhere");
  assert.equal(JSON.parse(body).code, "not_found");
  await server.stop();
});

Deno.test("startPortal survives peers that break off, send binary, floods of bytes or broken upgrades", async () => {
  const server = await start();
  const head = (path: string, more = "") =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${more}\r\n`;
  const good = "X-Authorization: Bearer ada-token\r\nUser-Agent: x headless-client/1.5.12\r\n";
  const path = "/client/v2/websocket?external_id=x&public_key=" +
    encodeURIComponent(toBase64(new Uint8Array(32)));
  const attempts = [
    "\x00\x01\x02",
    head("/client/v2/websocket"),
    head("/client/v2/websocket?%ff=%zz"),
    head(path, good),
    head(path, `${good}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bad\r\n`),
    head(path, `${good}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`) +
    "\xff".repeat(500),
    head(path, `${good}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`) +
    "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
  ];
  for (const text of attempts) {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await socket.write(Uint8Array.from(text, (character) => character.charCodeAt(0)));
    await Promise.race([
      socket.read(new Uint8Array(1000)),
      new Promise((resolve) => setTimeout(resolve, 100)),
    ]).catch(() => {});
    socket.close();
  }
  const client = new Peer(server.url, "client", "ada-token");
  await client.event("joined");
  assert.equal(server.portal.presence.clients.size, 1);
  await client.connection.stop();
  await server.stop();
});

Deno.test("startPortal answers pings, and hangs up on who sends them without reading the answers", async () => {
  const server = await start();
  const path = "/client/v2/websocket?external_id=x&public_key=" +
    encodeURIComponent(toBase64(new Uint8Array(32)));
  const socket = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await socket.write(new TextEncoder().encode(
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "X-Authorization: Bearer ada-token\r\nUser-Agent: x headless-client/1.5.12\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  ));
  const buffer = new Uint8Array(4096);
  await socket.read(buffer);
  // Masked with zeros, two bytes of data.
  await socket.write(Uint8Array.of(0x89, 0x82, 0, 0, 0, 0, 7, 8));
  const count = await socket.read(buffer);
  assert.deepEqual(buffer.slice(0, count!), Uint8Array.of(0x8a, 2, 7, 8));
  const ping = new Uint8Array(131);
  ping.set([0x89, 0xfd]);
  const many = new Uint8Array(ping.length * 8000);
  for (let at = 0; at < many.length; at += ping.length) many.set(ping, at);
  let written = 0;
  const flood = async () => {
    while (written < 256 * 2 ** 20) written += await socket.write(many);
  };
  await assert.rejects(flood());
  assert.ok(written < 128 * 2 ** 20, `${written}`);
  socket.close();
  await server.stop();
});

Deno.test("startPortal writes tokens that it makes to their files, once", async () => {
  const folder = await Deno.makeTempDir();
  const database = `${folder}/portal.db`;
  const tokenFile = `${folder}/secrets/client.token`;
  const seed = { ...SEED, tokens: [{ kind: "client" as const, actor: "Ada", write_to: tokenFile }] };
  const seedFile = `${folder}/seed.jsonc`;
  await Deno.writeTextFile(seedFile, `// a seed\n${JSON.stringify(seed)}`);
  let server = await start({ database, seed: seedFile });
  const token = await Deno.readTextFile(tokenFile);
  assert.equal((await Deno.stat(tokenFile)).mode! & 0o777, 0o600);
  assert.equal(server.issued[0]?.secret, token);
  await server.stop();
  server = await start({ database, seed: seedFile });
  assert.deepEqual(server.issued, []);
  assert.equal(await Deno.readTextFile(tokenFile), token);
  const client = new Peer(server.url, "client", token);
  await client.event("joined");
  assert(!new TextDecoder("latin1").decode(await Deno.readFile(database)).includes(token));
  await client.connection.stop();
  await server.stop();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("startPortal explains what it cannot use", async () => {
  const message = async (options: Partial<PortalServerOptions>) => {
    try {
      await (await start(options)).stop();
      return "fine";
    } catch (error) {
      assert.equal((error as Error).name, "Fault");
      return (error as Error).message;
    }
  };
  assert.match(
    await message({ seed: "/nonexistent/seed.json" }),
    /Cannot read seed "\/nonexistent\/seed.json"/,
  );
  assert.match(await message({ seed: { account: { slug: "NO" } } }), /Cannot use seed: account\.slug/);
  assert.match(await message({ database: "/nonexistent/portal.db" }), /Cannot open portal database/);
  const server = await start();
  assert.match(
    await message({ listen: { host: "127.0.0.1", port: server.port } }),
    /Cannot listen on 127\.0\.0\.1 port/,
  );
  await server.stop();
});

Deno.test("callAdmin manages a running portal over its private socket, down to stopping it", async () => {
  const folder = await Deno.makeTempDir();
  const adminSocket = `${folder}/admin.sock`;
  const server = await start({ adminSocket });
  assert.equal((await Deno.stat(adminSocket)).mode! & 0o777, 0o600);
  const client = new Peer(server.url, "client", "ada-token");
  await client.clientMessage("init");
  const made = await callAdmin(adminSocket, "POST", "/v1/resources", {
    name: "Übersicht & more",
    type: "dns",
    address: "new.example",
    site: "Paris",
  });
  assert.equal(made.status, 200);
  await callAdmin(adminSocket, "POST", "/v1/policies", { group: "Everyone", resource: "Übersicht & more" });
  const pushed = await client.clientMessage("resource_created_or_updated");
  assert.equal(pushed.type !== "internet" && pushed.name, "Übersicht & more");
  const online = await callAdmin(adminSocket, "GET", "/v1/clients");
  assert.equal((online.body as { name: string }[])[0]?.name, "client");
  assert.equal((await callAdmin(adminSocket, "DELETE", "/v1/resources/Übersicht & more")).status, 200);
  await client.clientMessage("resource_deleted");
  assert.equal((await callAdmin(adminSocket, "DELETE", "/v1/tokens/client Ada")).status, 200);
  assert.equal((await client.event("fatal")).fault.code, "rejected");
  const huge = await callAdmin(adminSocket, "POST", "/v1/sites", { name: "x".repeat(2 ** 21) });
  assert.equal(huge.status, 413);
  assert.equal((await callAdmin(adminSocket, "GET", "/v1/status")).status, 200);
  await callAdmin(adminSocket, "POST", "/v1/shutdown");
  await server.stopped;
  await assert.rejects(callAdmin(adminSocket, "GET", "/v1/status"), { name: "Fault", code: "not-running" });
  await client.connection.stop();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("startPortal speaks wss, and PortalConnection checks whom it talks to", async () => {
  const folder = await Deno.makeTempDir();
  const made = await new Deno.Command("openssl", {
    args: [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        .split(" "),
      ..."-addext subjectAltName=DNS:localhost".split(" "),
      "-keyout",
      `${folder}/key.pem`,
      "-out",
      `${folder}/cert.pem`,
    ],
    stderr: "null",
  }).output();
  assert(made.success);
  const [cert, key] = [
    await Deno.readTextFile(`${folder}/cert.pem`),
    await Deno.readTextFile(`${folder}/key.pem`),
  ];
  const server = await start({ tls: { cert, key } });
  const url = `wss://localhost:${server.port}`;
  const trusting = new Peer(url, "client", "ada-token", { trust: [cert] });
  await trusting.clientMessage("init");
  const careful = new Peer(url, "client", "ada-token");
  assert.match((await careful.event("hiccup")).reason, /certificate/);
  for (const peer of [trusting, careful]) await peer.connection.stop();
  await server.stop();
  await Deno.remove(folder, { recursive: true });
});
