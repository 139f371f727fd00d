import assert from "node:assert/strict";
import { browserCommands, type Desktop, openBrowser } from "../../io/credential/browser.ts";

const URL_TEXT = "https://app.firezone.dev/acme?as=headless-client";

function commands(desktop: Partial<Desktop>, env: Readonly<Record<string, string>> = {}) {
  return browserCommands(URL_TEXT, { os: "linux", uid: 1000, env: (name) => env[name], ...desktop });
}

Deno.test("browserCommands: opens a browser only where the person has a screen of his own", () => {
  assert.deepEqual(commands({}, { DISPLAY: ":0" }), [["xdg-open", URL_TEXT]]);
  assert.deepEqual(commands({}, { WAYLAND_DISPLAY: "wayland-0" }), [["xdg-open", URL_TEXT]]);
  assert.deepEqual(commands({ os: "darwin" }), [["open", URL_TEXT]]);
  assert.deepEqual(commands({}), []);
  assert.deepEqual(commands({ uid: 0 }, { DISPLAY: ":0" }), []);
  assert.deepEqual(commands({}, { DISPLAY: "localhost:10.0", SSH_CONNECTION: "1 2 3 4" }), []);
  assert.deepEqual(commands({ os: "darwin" }, { SSH_TTY: "/dev/ttys001" }), []);
});

Deno.test("browserCommands: BROWSER is an order, also for root, and no shell takes part", () => {
  assert.deepEqual(commands({ uid: 0 }, { BROWSER: "w3m -o x=%s:firefox" }), [
    ["w3m", "-o", `x=${URL_TEXT}`],
    ["firefox", URL_TEXT],
  ]);
  assert.deepEqual(commands({}, { BROWSER: "echo $(id);ls" }), [["echo", "$(id);ls", URL_TEXT]]);
});

Deno.test("openBrowser: tries one after the other and tells whether one started", async () => {
  const open = (browser: string) =>
    openBrowser(URL_TEXT, {
      os: "linux",
      uid: 1000,
      env: (name) => name === "BROWSER" ? browser : undefined,
    });
  assert.equal(await open("/nonexistent/browser:false"), false);
  assert.equal(await open("/nonexistent/browser:false:true"), true);
});

Deno.test("fz sign-in --token-file: reads pipes of the shell, no more than a token can be long, and says what is missing", async () => {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const config = await Deno.makeTempDir({ prefix: "fz-test-" });
  try {
    const fz = async (script: string) => {
      const { code, stderr } = await new Deno.Command("bash", {
        args: [
          "-c",
          `fz() { ${Deno.execPath()} run --quiet -A ${main} sign-in --no-verify "$@"; }; ${script}`,
        ],
        env: { FZ_CONFIG_DIR: config, FZ_STATE_DIR: config, FZ_RUNTIME_DIR: config },
        stdin: "null",
      }).output();
      return { code, stderr: new TextDecoder().decode(stderr) };
    };
    assert.equal((await fz("fz --token-file <(echo piped)")).code, 0);
    assert.equal(await Deno.readTextFile(`${config}/profiles/default.token`), "piped\n");
    assert.match(
      (await fz("yes | tr -d '\\n' | fz --token-stdin")).stderr,
      /it is longer than 8192 characters/,
    );
    assert.match((await fz("fz --token-file /nonexistent")).stderr, /there is no such file/);
    assert.match((await fz("fz --token-file /tmp")).stderr, /Cannot read the token in "\/tmp"/);
    assert.equal(await Deno.readTextFile(`${config}/profiles/default.token`), "piped\n");
  } finally {
    await Deno.remove(config, { recursive: true });
  }
});
