import assert from "node:assert/strict";
import { silentLog } from "../../lib/base/log.ts";
import { guardChange } from "../../ffi/darwin/guardian.ts";
import { DNS_KEY } from "../../ffi/darwin/scutil.ts";

const GUARDIAN = new URL("../../ffi/darwin/guardian.ts", import.meta.url).href;
const LOG = new URL("../../lib/base/log.ts", import.meta.url).href;

/** A folder with tools that write down how they were called. */
async function toolFolder(): Promise<string> {
  const folder = await Deno.makeTempDir();
  for (const tool of ["scutil", "dscacheutil", "killall"]) {
    const script = `#!/bin/sh\n{ echo "${tool} $*"; [ ${tool} = scutil ] && /bin/cat; } >>${folder}/calls\n`;
    await Deno.writeTextFile(`${folder}/${tool}`, script, { mode: 0o755 });
  }
  return folder;
}

/** A process that has a guardian, and says when; with a second line it dismisses him and ends. */
function session(folder: string): Deno.ChildProcess {
  const script = `
    import { guardChange } from "${GUARDIAN}";
    import { silentLog } from "${LOG}";
    const key = "${DNS_KEY}";
    const guard = guardChange({ id: "scutil:" + key, type: "scutil", key }, silentLog, "${folder}");
    console.log("ready");
    await Deno.stdin.read(new Uint8Array(8));
    guard.end();
  `;
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

Deno.test("guardChange: removes our key the moment that its process is killed, and does nothing if it is dismissed", async () => {
  const folder = await toolFolder();
  const dismissed = session(folder);
  const killed = session(folder);
  try {
    for (const child of [dismissed, killed]) {
      const reader = child.stdout.getReader();
      assert.equal(new TextDecoder().decode((await reader.read()).value).trim(), "ready");
      reader.releaseLock();
    }
    await dismissed.stdin.close();
    assert.equal((await dismissed.status).code, 0);
    killed.kill("SIGKILL");
    await killed.status;
    let calls = "";
    for (let attempt = 0; attempt < 1800 && !calls.includes("killall"); attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      calls = await Deno.readTextFile(`${folder}/calls`).catch(() => "");
    }
    assert.equal(
      calls,
      `scutil \nopen\nremove ${DNS_KEY}\nshow ${DNS_KEY}\nquit\n` +
        "dscacheutil -flushcache\nkillall -HUP mDNSResponder\n",
    );
  } finally {
    await killed.stdin.close().catch(() => {});
    await dismissed.stdout.cancel();
    await killed.stdout.cancel();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("guardChange: has nobody watch over what is not ours", () => {
  const key = "State:/Network/Global/DNS";
  assert.equal(guardChange({ id: `scutil:${key}`, type: "scutil", key }, silentLog), undefined);
  assert.equal(guardChange({ id: "nrpt", type: "nrpt", adapter: "fz" }, silentLog), undefined);
});
