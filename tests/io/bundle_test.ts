import assert from "node:assert/strict";
import { parseTarGzip } from "nanotar";
import type { ControlHandlers } from "../../io/control/handlers.ts";
import type { LogDocument, StatusDocument } from "../../lib/control/api.ts";
import { STATUS, withControl } from "./control_fixture.ts";
import { identityPath, writeIdentity } from "../../io/credential/identity_file.ts";

const TOKEN = "n0nce42.SFMyNTY.g2gDaANtAAAAJDRmZTMKRONJUWEL.c2lnbmF0dXJlLXBsYW50ZWQ";
const KEY = "cGxhbnRlZC1rZXktcGxhbnRlZC1rZXktcGxhbnRlZDE=";
const HOST = "evas-thinkpad";

/** Whatever of this is in an archive, in upper or lower case, plain or resolved, is one thing too much. */
const FORBIDDEN = [
  /kronjuwel/i,
  /sekretfirma/i,
  /geheim/i,
  /keller/i,
  /thinkpad/i,
  /agenteve/i,
  /hochsicher/i,
  /intern-only/i,
  /wg-firma/i,
  /SFMyNTY/i,
  /g2gDaAN/i,
  /c2lnbmF0/i,
  /cGxhbnRlZC1r/i,
  /sesame/i,
  /10\.77\.88/,
  /203\.0\.113/,
  /100\.64\.13\.37/,
  /dead:?beef/i,
  /0a4d:?5863/i,
  /a4:?d:?58:?63|02:aa:bb:77:88:99/i,
  /4f0b3c1e/i,
];

const STATUS_WITH_SECRETS: StatusDocument = {
  ...STATUS,
  profile: "kronjuwelen-profil",
  problem: {
    code: "unreachable",
    message: 'Cannot reach "wss://portal.sekretfirma.example/": 203.0.113.7 refused',
  },
  portal: { url: "wss://alice:sesame@portal.sekretfirma.example/", connected: true },
  device: { name: "Evas ThinkPad", id: "4f0b3c1e-8d5a-4b7e-9c2f-0123456789ab" },
  tunnel: {
    device: "fz0",
    ipv4: "100.64.13.37",
    ipv6: "fd00:2021:1111::dead:beef",
    mtu: 1280,
    routes: ["10.77.88.0/24", "100.64.0.0/11"],
  },
  dns: {
    control: "systemd-resolved",
    sentinels: [{ address: "100.100.111.1", upstream: "203.0.113.53:53" }],
    systemResolvers: ["203.0.113.53"],
    searchDomain: "corp.sekretfirma.example",
    intercepted: [{ pattern: "*.hochsicher", resource: "Kronjuwelen DB" }],
    answered: { "203.0.113.53:53": 7 },
    cacheEntries: 1,
  },
  resources: [{
    id: "4f0b3c1e-8d5a-4b7e-9c2f-0123456789ac",
    type: "dns",
    name: "Kronjuwelen DB",
    address: "*.hochsicher",
    addressDescription: "Der Keller in Zürich",
    filters: [{ protocol: "tcp", firstPort: 5432, lastPort: 5432 }],
    sites: [{ id: "4f0b3c1e-8d5a-4b7e-9c2f-0123456789ad", name: "Keller", state: "online" }],
    state: "online",
    enabled: true,
    access: "connected",
  }],
};

/** Lines of a log in which everything is planted in every spelling. */
const MESSAGES = [
  "cannot open Kronjuwelen DB",
  "cannot open KRONJUWELEN-DB at db.kronjuwelen.sekretfirma.example",
  "cannot open Kron\\u006auwelen%20DB",
  'request {\\"name\\":\\"Kron\\\\u006auwelen DB\\"}',
  `token=${TOKEN} key ${KEY} ${encodeURIComponent(KEY)} ${TOKEN.toUpperCase()}`,
  "user Alice Geheim <alice.geheim@sekretfirma.example> of Sekretfirma AG, slug sekretfirma-ag",
  "alice%2Egeheim%40sekretfirma%2Eexample",
  "from 10.77.88.99:443 to [2001:db8:dead:beef::42]:8443, 2001:DB8:DEAD:BEEF:0:0:0:42, ::ffff:10.77.88.99",
  "also ::ffff:0a4d:5863, 10%2E77%2E88%2E99, 2001%3Adb8%3Adead%3Abeef%3A%3A42, 99.88.77.10.in-addr.arpa",
  "http://10.77.88.99/x?token=sesame-open and 2001\\u003adb8\\u003adead\\u003abeef::1 via 02:AA:BB:77:88:99",
  "device 4F0B3C1E-8D5A-4B7E-9C2F-0123456789AB in /home/agenteve/.config/fz for agenteve",
];

const records = (): LogDocument[] =>
  MESSAGES.map((message) => ({
    time: "2026-11-22T15:10:00.000Z",
    level: "warn",
    category: "client.dns",
    message,
    fields: { text: message, list: [message], token: "sesame-open" },
  }));

const handlers: Partial<ControlHandlers> = {
  status: () => STATUS_WITH_SECRETS,
  health: () => ({ schema: 1, live: true, ready: true, state: "connected" }),
  logFilter: () => ({ schema: 1, filter: "info,client.dns=debug" }),
  async *metrics() {
    yield new TextEncoder().encode('fz_up{resource="Kronjuwelen DB",address="10.77.88.99"} 1\n');
  },
  async *log() {
    yield* records();
  },
  async *events() {
    yield { ...STATUS_WITH_SECRETS, time: "2026-11-22T15:10:00.000Z", event: "status" };
    yield { time: "2026-11-22T15:10:01.000Z", event: "connected", path: { remote: "10.77.88.99:51820" } };
  },
};

/** Files that a user of this machine has. */
async function plantFiles(folder: string): Promise<Record<string, string>> {
  for (const name of ["run", "state/log", "config/profiles", "out"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true, mode: 0o700 });
  }
  const lines = records().map((record) => `${record.time} WARN  client: ${record.message}`);
  await Deno.writeTextFile(`${folder}/state/log/fz.log`, lines.join("\n") + "\n");
  const settings = `api-url = "ws://127.0.0.1:9/"\nname = "Evas ThinkPad"\naccount-slug = "sekretfirma-ag"\n`;
  await Deno.writeTextFile(`${folder}/config/profiles/kronjuwelen-profil.toml`, settings);
  await Deno.writeTextFile(`${folder}/config/profile`, "kronjuwelen-profil\n");
  const tokenPath = `${folder}/config/profiles/kronjuwelen-profil.token`;
  await Deno.writeTextFile(tokenPath, TOKEN, { mode: 0o600 });
  writeIdentity(
    tokenPath,
    TOKEN,
    {
      portal: "wss://portal.sekretfirma.example/",
      account: { slug: "sekretfirma-ag", name: "Sekretfirma AG" },
      actor: { name: "Alice Geheim", email: "alice.geheim@sekretfirma.example", type: "account_user" },
      expiresAt: undefined,
      signedInAt: "2026-11-22T15:00:00.000Z",
    } as unknown as Parameters<typeof writeIdentity>[2],
  );
  assert.ok(await Deno.stat(identityPath(tokenPath)));
  const record = {
    schema: 1,
    pid: 1,
    processStart: "1",
    startedAt: "",
    version: "0",
    profile: "kronjuwelen-profil",
  };
  await Deno.writeTextFile(`${folder}/run/session.json`, JSON.stringify(record));
  return {
    FZ_RUNTIME_DIR: `${folder}/run`,
    FZ_STATE_DIR: `${folder}/state`,
    FZ_CONFIG_DIR: `${folder}/config`,
    FZ_PROFILE: "kronjuwelen-profil",
    FIREZONE_TOKEN: `sesame-${TOKEN}`,
    USER: "agenteve",
    HOME: "/home/agenteve",
  };
}

async function bundle(env: Record<string, string>, ...args: string[]) {
  const deno = [Deno.execPath(), "run", "-A", "--quiet", new URL("../../main.ts", import.meta.url).pathname];
  const command = [...deno, "bundle", "--duration", "300ms", ...args];
  // A host name and an interface of its own, where that is allowed.
  const isRoot = Deno.uid() === 0;
  const script = `hostname ${HOST}; ip link add wg-firma type dummy 2>/dev/null; exec "$@"`;
  const [program, ...rest] = isRoot ? ["unshare", "-u", "-n", "sh", "-c", script, "sh", ...command] : command;
  const output = await new Deno.Command(program!, {
    args: rest,
    env: { ...env, DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno` },
  }).output();
  const decoder = new TextDecoder();
  return { code: output.code, stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
}

async function unpack(path: string): Promise<Map<string, string>> {
  const files = await parseTarGzip(await Deno.readFile(path));
  return new Map(files.map(({ name, text }) => [name.replace(/^fz-bundle\//, ""), text]));
}

function checkClean(files: ReadonlyMap<string, string>, words: readonly RegExp[] = FORBIDDEN): void {
  for (const [name, text] of files) {
    for (const word of words) {
      const found = word.exec(`${name}\n${text}`);
      assert.equal(
        found,
        null,
        `${name} holds ${word}: …${text.slice((found?.index ?? 0) - 80).slice(0, 200)}…`,
      );
    }
  }
}

Deno.test("fz bundle: holds nothing private of a running session, and still can be read", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const env = await plantFiles(folder);
    await withControl({ handlers, folder }, async () => {
      const path = `${folder}/out/a.tar.gz`;
      const { code, stdout, stderr } = await bundle(env, "-o", path);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, `${path}\n`);
      assert.match(stderr, /Before you share it/);
      assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
      const files = await unpack(path);
      checkClean(files);
      const status = JSON.parse(files.get("session/status.json")!);
      assert.equal(status.state, "connected");
      assert.match(status.tunnel.ipv4, /^tunnel-ipv4-\d+$/);
      assert.match(status.tunnel.routes[0], /^private-ipv4-\d+\/24$/);
      assert.equal(status.tunnel.routes[1], "100.64.0.0/11");
      assert.deepEqual(status.resources[0].filters, [{ protocol: "tcp", firstPort: 5432, lastPort: 5432 }]);
      // One thing has one pseudonym in all files.
      const name = status.resources[0].name;
      assert.match(name, /^name-\d+$/);
      assert.ok(files.get("log/session.ndjson")!.includes(`cannot open ${name}`));
      assert.ok(files.get("log/left.ndjson")!.includes(`cannot open ${name}`));
      assert.ok(files.get("session/metrics.txt")!.includes(`resource="${name}"`));
      assert.equal(files.get("session/events.ndjson")!.trim().split("\n").length, 2);
      const manifest = JSON.parse(files.get("manifest.json")!);
      assert.deepEqual(
        manifest.files.map(({ name }: { name: string }) => name).sort(),
        [...files.keys()].filter((file) => file !== "manifest.json" && file !== "README.txt").sort(),
      );
      assert.ok(manifest.replaced.secret >= 3 && manifest.replaced.name >= 3);
      const again = await bundle(env, "-o", path);
      assert.equal(again.code, 2);
      assert.match(again.stderr, /there is such a file[^]*--force/);
      const plain = await bundle(env, "-o", path, "--force", "--no-redact");
      assert.equal(plain.code, 0, plain.stderr);
      assert.match(plain.stderr, /Names and addresses are in it as they are/);
      const shown = await unpack(path);
      assert.match(shown.get("session/status.json")!, /Kronjuwelen DB/);
      checkClean(shown, [/SFMyNTY/i, /g2gDaAN/i, /sesame/i, /cGxhbnRlZC1r/]);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fz bundle: holds what can be had where no session runs, and nothing private either", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const env = await plantFiles(folder);
    const path = `${folder}/out/b.tar.gz`;
    const { code, stdout, stderr } = await bundle(env, "-o", path, "--json");
    assert.equal(code, 0, stderr);
    const files = await unpack(path);
    const resource = /Kronjuwelen DB|db\.kronjuwelen/i;
    // What only a session knows cannot be recognised by name; patterns do the rest.
    checkClean(files, FORBIDDEN.filter((word) => !/keller|hochsicher|kronjuwel/.test(word.source)));
    assert.ok(resource.test(MESSAGES[0]!));
    assert.match(files.get("config.json")!, /"origin"/);
    if (Deno.build.os === "linux") {
      const { links, rules, routes } = JSON.parse(files.get("machine/network.json")!);
      assert.ok(links.some(({ name }: { name: string }) => name === "lo"));
      assert.ok(rules.length >= 1, JSON.stringify(rules));
      assert.ok(Array.isArray(routes));
    }
    const report = JSON.parse(stdout);
    assert.equal(report.schema, 1);
    assert.ok(report.missing.some(({ name }: { name: string }) => name === "session/status.json"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fz bundle: leaves no file behind that it could not finish, and names a folder that is none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { code, stderr } = await bundle({ FZ_RUNTIME_DIR: folder }, "-o", `${folder}/none/b.tar.gz`);
    assert.equal(code, 2);
    assert.match(stderr, /Cannot write ".*none\/b\.tar\.gz"/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
