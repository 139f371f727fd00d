import assert from "node:assert/strict";
import fs from "node:fs";
import { credentials } from "../../io/credential/credentials.ts";
import { identityPath } from "../../io/credential/identity_file.ts";
import { removeSecretFile, writeSecretFile } from "../../io/credential/secret_file.ts";
import { readTokenFile } from "../../io/token_file.ts";
import { Fault } from "../../lib/base/fault.ts";

const IS_ROOT = Deno.uid() === 0;
const SERVICE_UID = 1234;

Deno.test("writeSecretFile: writes 0600 and makes the folders, whatever the umask", async () => {
  for (const umask of [0o000, 0o022, 0o077]) {
    await inFolder((folder) => {
      const before = Deno.umask(umask);
      try {
        writeSecretFile(`${folder}/a/b/token`, "secret\n");
      } finally {
        Deno.umask(before);
      }
      assert.equal(modeOf(`${folder}/a/b/token`), 0o600);
      assert.equal(modeOf(`${folder}/a`) & 0o022, 0);
      assert.deepEqual(names(`${folder}/a/b`), ["token"]);
    });
  }
});

Deno.test("writeSecretFile: makes the mode right before the file holds a byte", async () => {
  await inFolder((folder) => {
    const seen: [call: string, mode: number | undefined][] = [];
    const restore = spy((call, args) => {
      // Numbers of open files: what was opened for writing is the one that is written, given away or moved.
      const fd = typeof args[0] === "number" ? args[0] : undefined;
      const stat = fd === undefined ? undefined : fs.fstatSync(fd);
      if (stat?.isFile()) seen.push([call, stat.mode & 0o777]);
      if (call === "renameSync") seen.push([call, modeOf(String(args[0]))]);
    });
    const umask = Deno.umask(0);
    try {
      writeSecretFile(`${folder}/token`, "secret");
    } finally {
      Deno.umask(umask);
      restore();
    }
    assert.ok(seen.some(([call]) => call === "writeSync") && seen.some(([call]) => call === "renameSync"));
    assert.ok(seen.some(([call]) => call === "fsyncSync"));
    for (const [call, mode] of seen) assert.equal(mode, 0o600, call);
    const calls = seen.map(([call]) => call);
    assert.ok(
      calls.indexOf("fsyncSync") < calls.indexOf("renameSync"),
      "renamed before it was safe on the disk",
    );
  });
});

Deno.test("writeSecretFile: readers see the old or the new token whole, also with many writers", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/token`;
    const tokens = Array.from({ length: 6 }, (_, index) => String(index).repeat(4000));
    writeSecretFile(path, tokens[0]!);
    const script = `import { writeSecretFile } from ${JSON.stringify(at("io/credential/secret_file.ts"))};
      for (let i = 0; i < 40; i++) writeSecretFile(Deno.args[0], Deno.args[1]);`;
    const writers = tokens.slice(1).map((token) => run([], script, [path, token]));
    let isOver = false;
    const all = Promise.all(writers).then((outcomes) => {
      isOver = true;
      return outcomes;
    });
    let reads = 0;
    while (!isOver) {
      assert.ok(tokens.includes(await readTokenFile(path) ?? ""), "a torn or missing token");
      for (const name of names(folder)) {
        const stat = fs.lstatSync(`${folder}/${name}`, { throwIfNoEntry: false });
        if (stat !== undefined) assert.equal(stat.mode & 0o777, 0o600, name);
      }
      reads++;
      // Lets the writers' ends be noticed.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assert.deepEqual((await all).map(({ code, stderr }) => [code, stderr]), writers.map(() => [0, ""]));
    assert.ok(reads > 10);
    assert.deepEqual(names(folder), ["token"]);
  });
});

Deno.test("writeSecretFile: replaces a symbolic link and leaves what it points at alone", async () => {
  await inFolder((folder) => {
    fs.writeFileSync(`${folder}/victim`, "precious", { mode: 0o644 });
    fs.symlinkSync(`${folder}/victim`, `${folder}/token`);
    writeSecretFile(`${folder}/token`, "secret");
    assert.equal(fs.readFileSync(`${folder}/victim`, "utf8"), "precious");
    assert.equal(modeOf(`${folder}/victim`), 0o644);
    assert.ok(fs.lstatSync(`${folder}/token`).isFile());
    assert.equal(fs.readFileSync(`${folder}/token`, "utf8"), "secret");
  });
});

Deno.test("writeSecretFile: refuses a folder where anybody could exchange the file", async () => {
  await inFolder((folder) => {
    fs.chmodSync(folder, 0o777);
    assert.throws(
      () => writeSecretFile(`${folder}/token`, "secret"),
      isFault("privilege", /everybody may write/),
    );
    assert.deepEqual(names(folder), []);
    fs.chmodSync(folder, 0o1777);
    writeSecretFile(`${folder}/token`, "secret");
  });
});

Deno.test("writeSecretFile: says what stands in the way, and leaves nothing behind", async () => {
  await inFolder((folder) => {
    fs.mkdirSync(`${folder}/token`);
    fs.writeFileSync(`${folder}/token/file`, "");
    assert.throws(
      () => writeSecretFile(`${folder}/token`, "secret"),
      isFault("unexpected", /it is a folder/),
    );
    fs.writeFileSync(`${folder}/plain`, "");
    assert.throws(
      () => writeSecretFile(`${folder}/plain/token`, "secret"),
      isFault("unexpected", /no folder/),
    );
    assert.deepEqual(names(folder), ["plain", "token"]);
  });
});

Deno.test("writeSecretFile: takes away what killed writers left, not what others are writing", async () => {
  await inFolder((folder) => {
    fs.writeFileSync(`${folder}/.token.00.new`, "half", { mode: 0o600 });
    fs.utimesSync(`${folder}/.token.00.new`, 1, 1);
    fs.writeFileSync(`${folder}/.token.11.new`, "ha", { mode: 0o600 });
    fs.writeFileSync(`${folder}/.other.22.new`, "", { mode: 0o600 });
    writeSecretFile(`${folder}/token`, "secret");
    assert.deepEqual(names(folder), [".other.22.new", ".token.11.new", "token"]);
    assert.equal(removeSecretFile(`${folder}/token`), true);
    assert.deepEqual(names(folder), [".other.22.new"]);
    assert.equal(removeSecretFile(`${folder}/token`), false);
    assert.equal(removeSecretFile(`${folder}/nowhere/token`), false);
  });
});

Deno.test({
  name: "writeSecretFile: keeps the owner where root writes for a service's user, and only there",
  ignore: !IS_ROOT,
  fn: () =>
    inFolder((folder) => {
      const own = `${folder}/own`;
      fs.mkdirSync(own, { mode: 0o700 });
      fs.chownSync(own, SERVICE_UID, SERVICE_UID);
      writeSecretFile(`${own}/token`, "secret");
      assert.deepEqual(ownerOf(`${own}/token`), [SERVICE_UID, SERVICE_UID]);

      fs.writeFileSync(`${folder}/given`, "old", { mode: 0o600 });
      fs.chownSync(`${folder}/given`, SERVICE_UID, SERVICE_UID);
      writeSecretFile(`${folder}/given`, "secret");
      assert.deepEqual(ownerOf(`${folder}/given`), [SERVICE_UID, SERVICE_UID]);

      // Anybody may leave a file in a folder like /tmp and wait for a secret.
      fs.chmodSync(folder, 0o1777);
      fs.writeFileSync(`${folder}/trap`, "old", { mode: 0o600 });
      fs.chownSync(`${folder}/trap`, SERVICE_UID, SERVICE_UID);
      writeSecretFile(`${folder}/trap`, "secret");
      assert.deepEqual(ownerOf(`${folder}/trap`), [0, 0]);
    }),
});

Deno.test({
  name: "writeSecretFile: as a service's user keeps to his own folders and says so elsewhere",
  ignore: !IS_ROOT,
  fn: () =>
    inFolder(async (folder) => {
      fs.chmodSync(folder, 0o755);
      fs.mkdirSync(`${folder}/own`);
      fs.chownSync(`${folder}/own`, SERVICE_UID, SERVICE_UID);
      fs.mkdirSync(`${folder}/others`);
      fs.chownSync(`${folder}/others`, 4321, SERVICE_UID);
      fs.chmodSync(`${folder}/others`, 0o770);
      const script = `import { writeSecretFile } from ${JSON.stringify(at("io/credential/secret_file.ts"))};
        import { readTokenFile } from ${JSON.stringify(at("io/token_file.ts"))};
        for (const place of ["own", "others", "."]) {
          const path = Deno.args[0] + "/" + place + "/token";
          try { writeSecretFile(path, "secret"); console.log(place, await readTokenFile(path)); }
          catch (error) { console.log(place, error.code, error.message.replaceAll(Deno.args[0], "")); }
        }`;
      const { stdout, stderr } = await run(asUser(), script, [folder]);
      assert.equal(stderr, "");
      assert.deepEqual(stdout.trim().split("\n"), [
        "own secret",
        'others privilege Cannot store the token in "/others/token": the folder belongs to user 4321',
        '. privilege Cannot store the token in "/./token": permission denied',
      ]);
      assert.deepEqual(ownerOf(`${folder}/own/token`), [SERVICE_UID, SERVICE_UID]);
    }),
});

Deno.test("readTokenFile: does not wait for a pipe to be written", async () => {
  await inFolder(async (folder) => {
    await new Deno.Command("mkfifo", { args: [`${folder}/token`] }).output();
    await assert.rejects(readTokenFile(`${folder}/token`), isFault("rejected", /it is not a file/));
  });
});

Deno.test("credentials: keep who is signed in beside the token, and mistake no other token for it", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/work.token`;
    const identity = { portal: "wss://portal.test/", account: { slug: "acme" }, expiresAt: null };
    await credentials.store(path, "one", identity);
    assert.equal(identityPath(path), `${folder}/work.identity.json`);
    assert.equal(modeOf(identityPath(path)), 0o600);
    assert.ok(!fs.readFileSync(identityPath(path), "utf8").includes('"one"'));
    assert.deepEqual(await credentials.identity(path, "one"), identity);
    assert.equal(await credentials.identity(path, "two"), undefined);
    fs.writeFileSync(identityPath(path), "{ torn");
    assert.equal(await credentials.identity(path, "one"), undefined);
    assert.equal(await credentials.exists(path), true);
    assert.equal(await credentials.remove(path), true);
    assert.equal(await credentials.exists(path), false);
    assert.deepEqual(names(folder), []);
  });
});

function names(folder: string): string[] {
  return fs.readdirSync(folder).sort();
}

function modeOf(path: string): number {
  return fs.lstatSync(path).mode & 0o777;
}

function ownerOf(path: string): [number, number] {
  const { uid, gid } = fs.lstatSync(path);
  return [uid, gid];
}

function isFault(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === code && message.test(error.message);
}

/** Calls `look` before each call of the file system by which a file is written; returns how to end it. */
function spy(look: (call: string, args: readonly unknown[]) => void): () => void {
  const watched = ["writeSync", "fsyncSync", "renameSync"] as const;
  const module = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = watched.map((name) => [name, module[name]!] as const);
  for (const [name, original] of originals) {
    module[name] = (...args) => {
      look(name, args);
      return original(...args);
    };
  }
  return () => {
    for (const [name, original] of originals) module[name] = original;
  };
}

function at(path: string): string {
  return new URL(`../../${path}`, import.meta.url).href;
}

function asUser(): string[] {
  return ["setpriv", `--reuid=${SERVICE_UID}`, `--regid=${SERVICE_UID}`, "--clear-groups"];
}

/** Runs `script` in a process of its own. */
async function run(prefix: readonly string[], script: string, args: readonly string[]) {
  const [program, ...rest] = [...prefix, Deno.execPath(), "eval", "--no-check", script, ...args] as [
    string,
    ...string[],
  ];
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: rest,
    cwd: new URL("../..", import.meta.url),
  })
    .output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function inFolder(body: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fz-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
