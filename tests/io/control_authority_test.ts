import assert from "node:assert/strict";
import { findReadersGroup } from "../../io/control/listeners.ts";
import { silentLog } from "../../lib/base/log.ts";
import { type Fixture, readToEnd, statuses, withControl } from "./control_fixture.ts";
import { serveControl } from "../../io/control/server.ts";

/** Ids that no account of the machine has; a number is all that the kernel wants. */
const OTHER_USER = 61_234;
const OTHER_GROUP = 61_235;
const READERS = 61_236;

const AS_USER = new URL("control_as_user.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const IS_ROOT = Deno.uid() === 0;

const GET = "GET /v1/status HTTP/1.1\r\nhost: fz\r\nconnection: close\r\n\r\n";
const STOP = "POST /v1/stop HTTP/1.1\r\nhost: fz\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

Deno.test({
  name: "serveControl: lets the owner do all, the readers' group ask, and others nothing",
  ignore: !IS_ROOT,
  async fn() {
    await withControl({ readersGroup: READERS }, async (fixture) => {
      const { paths } = fixture;
      assert.equal(modeOf(paths.runtime), 0o755);
      assert.equal(modeOf(paths.controlSocket), 0o600);
      assert.equal(modeOf(paths.readSocket), 0o660);
      assert.equal(Deno.statSync(paths.readSocket).gid, READERS);

      assert.equal(await asUser(fixture, READERS, "read", "status"), "answer connected");
      const denied = await asUser(fixture, READERS, "change", "stop");
      assert.match(denied, /^privilege: Cannot steer the session in ".*": it is another user's \| .*sudo/);
      // What connects for reading cannot change by asking for it.
      assert.match(await asUser(fixture, READERS, "read", "stop"), /^privilege: .*changes the session/);

      for (const [authority, verb] of [["read", "ask"], ["change", "steer"]] as const) {
        const answer = await asUser(fixture, OTHER_GROUP, authority, "status");
        assert.match(answer, new RegExp(`^privilege: Cannot ${verb} the session`));
      }
      assert.match(await asUser(fixture, OTHER_GROUP, "read", "status"), /usermod -aG fz/);
    });
  },
});

Deno.test("serveControl: refuses changes on the readers' socket", { ignore: !IS_ROOT }, async () => {
  await withControl({ readersGroup: READERS }, async ({ paths, raw }) => {
    assert.deepEqual(statuses(await raw(GET, paths.readSocket)), [200]);
    const answer = await raw(STOP, paths.readSocket);
    assert.deepEqual(statuses(answer), [403]);
    assert.match(answer, /\{"error":\{"code":"privilege"/);
    assert.deepEqual(statuses(await raw(STOP)), [200]);
  });
});

Deno.test("serveControl: makes no readers' socket without their group, and removes an old one", async () => {
  await withControl({ transport: "unix" }, async ({ paths, stop }) => {
    const expected = findReadersGroup() !== undefined;
    assert.equal(exists(paths.readSocket), expected);
    await stop();
    assert.equal(exists(paths.readSocket), false);
  });
});

Deno.test("serveControl: sockets are never more open than they shall be", { ignore: !IS_ROOT }, async () => {
  const before = Deno.umask(0);
  try {
    const folder = Deno.makeTempDirSync();
    const seen = new Set<string>();
    const watcher = new Worker(new URL("control_mode_watcher.ts", import.meta.url).href, { type: "module" });
    try {
      watcher.onmessage = ({ data }: MessageEvent<string>) => seen.add(data);
      watcher.postMessage(folder);
      await new Promise<void>((resolve) => {
        const timer = setInterval(() => seen.has("watching") && (clearInterval(timer), resolve()), 5);
      });
      for (let round = 0; round < 30; round++) {
        await withControl({ readersGroup: READERS, folder }, async ({ raw }) => {
          assert.deepEqual(statuses(await raw(GET)), [200]);
        });
      }
    } finally {
      watcher.terminate();
      Deno.removeSync(folder, { recursive: true });
    }
    seen.delete("watching");
    assert.ok(seen.size > 0, "the watcher saw the sockets");
    for (const entry of seen) {
      assert.match(entry, /^fz\.sock(\.\d+)? 600$|^fz-read\.sock(\.\d+)? 6[06]0$/, [...seen].join());
    }
  } finally {
    Deno.umask(before);
  }
});

Deno.test("serveControl: keeps out of a folder that others may write to, and leaves its mode", async () => {
  await withControl({}, async ({ paths, stop }) => {
    await stop();
    Deno.chmodSync(paths.runtime, 0o777);
    const start = serveControl({ paths, handlers: undefined as never, log: silentLog });
    await assert.rejects(start, { name: "Fault", code: "privilege", message: /others may write to it/ });
    assert.equal(modeOf(paths.runtime), 0o777);
  });
});

Deno.test("serveControl: replaces what a killed session left", async () => {
  await withControl({}, async ({ paths, stop }) => {
    await stop();
    Deno.writeTextFileSync(paths.controlSocket, "not even a socket");
    await withControl({ folder: paths.runtime.slice(0, -"/run".length) }, async ({ raw }) => {
      assert.deepEqual(statuses(await raw(GET)), [200]);
    });
  });
});

Deno.test("serveControl: on a loopback port only the right token opens, for as much as it is good for", async () => {
  const group = IS_ROOT ? { readersGroup: READERS } : {};
  await withControl({ transport: "tcp", ...group }, async ({ paths, client, stop }) => {
    assert.equal(modeOf(paths.controlFile), 0o600);
    const { port, token } = JSON.parse(Deno.readTextFileSync(paths.controlFile)) as {
      port: number;
      token: string;
    };
    assert.ok(token.length >= 43, "256 bits");
    const ask = (text: string, headers: string, host = `127.0.0.1:${port}`) =>
      overTcp(port, text.replace("host: fz\r\n", `host: ${host}\r\n${headers}`));
    const bearer = `authorization: Bearer ${token}\r\n`;
    assert.deepEqual(statuses(await ask(STOP, bearer)), [200]);
    assert.deepEqual(statuses(await ask(GET, bearer, `localhost:${port}`)), [200]);
    const wrong = [
      "",
      `authorization: Bearer ${token.slice(1)}\r\n`,
      `authorization: Basic ${token}\r\n`,
      "authorization: Bearer\r\n",
    ];
    for (const headers of wrong) {
      const answer = await ask(GET, headers);
      assert.deepEqual(statuses(answer), [401]);
      assert.match(answer, /www-authenticate: Bearer[^]*"code":"privilege"/i);
    }
    // DNS rebinding and web pages.
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1", `127.0.0.1:${port + 1}`]) {
      assert.deepEqual(statuses(await ask(GET, bearer, host)), [403], host);
    }
    assert.deepEqual(statuses(await ask(GET, `${bearer}origin: http://127.0.0.1:${port}\r\n`)), [403]);

    assert.equal((await (await client("change")).ask("status", {})).state, "connected");
    if (IS_ROOT) {
      assert.equal(modeOf(paths.controlReadFile), 0o640);
      const reader = JSON.parse(Deno.readTextFileSync(paths.controlReadFile)) as { token: string };
      const read = `authorization: Bearer ${reader.token}\r\n`;
      assert.deepEqual(statuses(await ask(GET, read)), [200]);
      assert.deepEqual(statuses(await ask(STOP, read)), [403]);
    }
    await stop();
    assert.equal(exists(paths.controlFile) || exists(paths.controlReadFile), false);
    await assert.rejects(client("read"), { code: "not-running" });
  });
});

Deno.test("connectControl: a stale or torn descriptor of a port is no session", async () => {
  await withControl({}, async ({ paths, client, stop }) => {
    await stop();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const token = "t".repeat(43);
    for (
      const text of [
        JSON.stringify({ port, token }),
        '{"port":',
        "",
        "[]",
        '{"port":"22","token":"x"}',
        "\0".repeat(9999),
      ]
    ) {
      Deno.writeTextFileSync(paths.controlFile, text);
      await assert.rejects(client("read"), { name: "Fault", code: "not-running" }, text.slice(0, 40));
    }
  });
});

Deno.test("findReadersGroup: reads the group's id, and nothing else for it", () => {
  const file = Deno.makeTempFileSync();
  try {
    const table: [text: string, id: number | undefined][] = [
      ["root:x:0:\nfz:x:987:alice,bob\n", 987],
      ["fzz:x:1:\nxfz:x:2:\n", undefined],
      ["fz:x:none:\n", undefined],
      ["", undefined],
    ];
    for (const [text, id] of table) {
      Deno.writeTextFileSync(file, text);
      assert.equal(findReadersGroup(file), id);
    }
  } finally {
    Deno.removeSync(file);
  }
  assert.equal(findReadersGroup("/nowhere/group"), undefined);
});

async function asUser({ paths }: Fixture, group: number, authority: string, route: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("setpriv", {
    args: [
      ...[`--reuid=${OTHER_USER}`, `--regid=${group}`, "--clear-groups", Deno.execPath()],
      ...["run", "-A", "--quiet", "--cached-only", "--config", CONFIG, AS_USER, authority, route],
    ],
    env: { FZ_RUNTIME_DIR: paths.runtime },
  }).output();
  return (new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr)).trim();
}

async function overTcp(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  return await readToEnd(connection);
}

function modeOf(path: string): number {
  return Deno.lstatSync(path).mode! & 0o777;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
