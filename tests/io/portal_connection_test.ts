import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { IpAddress } from "../../lib/base/ip.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import { deviceId, externalId } from "../../io/device_id.ts";
import { PortalConnection, type PortalConnectionOptions } from "../../io/portal_connection.ts";
import { portalUrl, userAgent } from "../../io/portal_url.ts";
import { hostsFileLookup } from "../../io/host_lookup.ts";

/** A server whose answer to an upgrade each test chooses. */
async function listen(onUpgrade: (request: http.IncomingMessage, socket: Duplex, head: Uint8Array) => void) {
  const server = http.createServer();
  const sockets = new Set<Duplex>();
  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket);
    onUpgrade(request, socket, head);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Collects events and lets a test wait for one. */
class Recorder {
  readonly events: ChannelEvent[] = [];
  #waiting: (() => void)[] = [];

  readonly record = (event: ChannelEvent) => {
    this.events.push(event);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  async next<T extends ChannelEvent["type"]>(type: T): Promise<Extract<ChannelEvent, { type: T }>> {
    for (;;) {
      const index = this.events.findIndex((event) => event.type === type);
      if (index >= 0) return this.events.splice(index, 1)[0] as Extract<ChannelEvent, { type: T }>;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

function connect(port: number, options: Partial<PortalConnectionOptions> = {}) {
  const recorder = new Recorder();
  const connection = new PortalConnection({
    role: "client",
    url: `ws://127.0.0.1:${port}`,
    token: " a b\n",
    parameters: () => ({ external_id: "x", name: "Ada's laptop", public_key: "k=" }),
    onEvent: recorder.record,
    ...options,
  });
  connection.start();
  return { connection, recorder };
}

const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

Deno.test("PortalConnection sends token, User-Agent and parameters, joins, and closes with 1000", async () => {
  const requests: http.IncomingMessage[] = [];
  const codes = Promise.withResolvers<number>();
  const sockets = new WebSocketServer({ noServer: true });
  const server = await listen((request, socket, head) => {
    requests.push(request);
    sockets.handleUpgrade(request, socket, head as Parameters<typeof sockets.handleUpgrade>[2], (peer) => {
      peer.on("message", (data) => {
        const { topic, ref } = JSON.parse(data.toString());
        peer.send(
          JSON.stringify({ topic, event: "phx_reply", ref, payload: { status: "ok", response: {} } }),
        );
        peer.send(
          JSON.stringify({ topic, event: "init", ref: null, payload: { greeting: "ÄÖ".repeat(50_000) } }),
        );
      });
      peer.on("close", (code) => codes.resolve(code));
    });
  });
  const asked: string[] = [];
  const { connection, recorder } = connect(server.port, {
    url: `ws://portal.test:${server.port}/base/`,
    lookup: (host) => {
      asked.push(host);
      return Promise.resolve([IpAddress.from("127.0.0.9"), IpAddress.from("127.0.0.1")]);
    },
    onAddresses: (addresses) => void asked.push(addresses.join()),
  });
  await recorder.next("joined");
  const init = await recorder.next("message");
  assert.equal((init.payload as { greeting: string }).greeting.length, 100_000);
  assert.deepEqual(asked, ["portal.test", "127.0.0.9,127.0.0.1"]);
  const [request] = requests;
  assert.equal(request?.headers["x-authorization"], "Bearer ab");
  assert.equal(request?.headers.host, "portal.test");
  assert.equal(request?.headers.origin, undefined);
  assert.match(
    request?.headers["user-agent"] ?? "",
    /^Linux\/\d+\.\d+ headless-client\/1\.5\.12 \(x86_64\)$/,
  );
  assert.equal(request?.url, "/base/client/v2/websocket?external_id=x&name=Ada%27s+laptop&public_key=k%3D");
  await connection.stop();
  assert.equal(await codes.promise, 1000);
  await server.close();
});

Deno.test("PortalConnection shows status, headers and body of a refused upgrade", async () => {
  let attempts = 0;
  const server = await listen((_request, socket) => {
    attempts++;
    const body = JSON.stringify({ title: "Unauthorized", status: 401, code: "invalid_token" });
    socket.end(
      attempts === 1
        ? "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
        : `HTTP/1.1 401 Unauthorized\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  });
  const { connection, recorder } = connect(server.port);
  const hiccup = await recorder.next("hiccup");
  assert.equal(hiccup.status, 503);
  const fatal = await recorder.next("fatal");
  assert.equal(fatal.fault.code, "rejected");
  assert.equal(fatal.discardToken, true);
  await connection.stop();
  await server.close();
});

Deno.test("PortalConnection takes a dead port, garbage and half an answer as hiccups", async () => {
  const dead = await listen(() => {});
  await dead.close();
  const refused = connect(dead.port);
  assert.equal((await refused.recorder.next("hiccup")).reason, "connection refused");
  await refused.connection.stop();

  const answers = [
    "SSH-2.0-OpenSSH_9\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 500 Oops\r\nContent-Le",
  ];
  for (const answer of answers) {
    const server = await listen((_request, socket) => socket.end(answer));
    const { connection, recorder } = connect(server.port);
    await recorder.next("hiccup");
    await connection.stop();
    await server.close();
  }
});

Deno.test("PortalConnection comes back when the socket breaks", async () => {
  const sockets = new WebSocketServer({ noServer: true });
  let count = 0;
  const server = await listen((request, socket, head) => {
    sockets.handleUpgrade(request, socket, head as Parameters<typeof sockets.handleUpgrade>[2], (peer) => {
      const mine = ++count;
      peer.on("message", (data) => {
        const { topic, ref } = JSON.parse(data.toString());
        peer.send(
          JSON.stringify({ topic, event: "phx_reply", ref, payload: { status: "ok", response: {} } }),
        );
        if (mine === 1) setTimeout(() => socket.destroy(), 10);
      });
    });
  });
  const { connection, recorder } = connect(server.port);
  await recorder.next("joined");
  assert.equal((await recorder.next("hiccup")).wasJoined, true);
  await recorder.next("joined");
  await connection.stop();
  await server.close();
});

Deno.test("PortalConnection refuses a URL of another scheme before it dials", () => {
  assert.throws(() => connect(1, { url: "ftp://example.com" }), { name: "Fault", code: "usage" });
  assert.throws(() => connect(1, { url: "nonsense" }), { name: "Fault", code: "usage" });
});

Deno.test("portalUrl keeps the path, drops the query, and dials 443 unless told otherwise", () => {
  assert.equal(
    portalUrl("https://api.firezone.dev/?x=1", "client", {}).href,
    "wss://api.firezone.dev/client/v2/websocket",
  );
  assert.equal(portalUrl("ws://h", "gateway", {}).href, "ws://h:443/gateway/v2/websocket");
  assert.equal(
    portalUrl("ws://[::1]:8081/a/", "relay", { ipv4: "1.2.3.4", name: undefined }).href,
    "ws://[::1]:8081/a/relay/websocket?ipv4=1.2.3.4",
  );
});

Deno.test("userAgent announces the upstream peer whose protocol is spoken", () => {
  assert.match(userAgent("gateway"), /^\w+\/\d+\.\d+ gateway\/1\.6\.1 \(\w+\)$/);
  assert.equal(userAgent("relay"), "relay/0.1.0");
});

Deno.test("externalId hashes UUIDs only", () => {
  // printf '0d3f6d2e-51f5-4c6f-9a52-6f1f1c1f0a01' | sha256sum
  assert.equal(
    externalId("0d3f6d2e-51f5-4c6f-9a52-6f1f1c1f0a01"),
    "e27072f4f7b82633c4344c707ccf7a51d4fa4ccfba09dcf3a14ccd2cbefd16a8",
  );
  assert.equal(externalId("build-box"), "build-box");
  assert.equal(externalId("a".repeat(64)), "a".repeat(64));
});

Deno.test("deviceId prefers configuration, file, hardware, then keeps a random one", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/config/firezone-id.json`;
  const machineIdPath = `${folder}/machine-id`;
  assert.equal(await deviceId({ role: "client", configured: "mine", path }), "mine");
  const random = await deviceId({ role: "client", path, machineIdPath });
  assert.match(random, /^[0-9a-f]{64}$/);
  assert.equal(await deviceId({ role: "client", path, machineIdPath }), random);
  assert.equal((await Deno.stat(path)).mode! & 0o777, 0o640 & ~Deno.umask());
  await Deno.remove(path);
  await Deno.writeTextFile(machineIdPath, "0123456789abcdef0123456789abcdef\n");
  // printf '0123456789abcdef0123456789abcdef\n' | openssl dgst -sha256 -hmac e1e465ce763e4759945c650ac334501f
  assert.equal(
    await deviceId({ role: "client", path, machineIdPath }),
    "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c",
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test({
  name: "deviceId keeps an ordinary user's in his own state, where the machine has none",
  // A machine that keeps one for everybody tells that.
  ignore: Deno.uid() !== 0 ||
    [...Deno.readDirSync("/var/lib")].some(({ name }) => name === "dev.firezone.client"),
  async fn() {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o777);
    const script = `import { deviceId } from "${import.meta.resolve("../../io/device_id.ts")}";
      console.log(await deviceId({ role: "client", machineIdPath: "/nowhere" }));`;
    await Deno.writeTextFile(`${folder}/id.ts`, script);
    const ask = async () => {
      const command = ["--reuid=61234", "--regid=61234", "--clear-groups", Deno.execPath(), "run", "-A"];
      const { stdout, stderr } = await new Deno.Command("setpriv", {
        args: [...command, "--quiet", "--no-check", "--config", CONFIG, `${folder}/id.ts`],
        env: { FZ_STATE_DIR: `${folder}/state` },
      }).output();
      assert.equal(new TextDecoder().decode(stderr), "");
      return new TextDecoder().decode(stdout).trim();
    };
    const id = await ask();
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(await ask(), id);
    const kept = JSON.parse(await Deno.readTextFile(`${folder}/state/client-id.json`));
    assert.equal(kept.id, id);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test("hostsFileLookup matches whole names only", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(
    path,
    "# comment\n192.0.2.7 portal.test p # x\n2001:db8::7 Portal.Test\n192.0.2.8 xportal.test\n",
  );
  assert.equal((await hostsFileLookup("portal.test", path)).join(), "192.0.2.7,2001:db8::7");
  assert.equal((await hostsFileLookup("test", path)).length, 0);
  await Deno.remove(path);
});
