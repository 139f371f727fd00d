import assert from "node:assert/strict";
import { Terminal } from "./terminal.ts";

const FZ = `${Deno.execPath()} run --quiet -A --frozen ${new URL("../../main.ts", import.meta.url).pathname}`;
const SIGN_IN =
  `${FZ} sign-in --no-verify --no-browser --account-slug acme --auth-base-url http://127.0.0.1:8081`;
/** Shows how it ended and whether the terminal echoes again. */
const END = 'echo "exit=$?"; stty -a | grep -q " echo " && stty -a | grep -q " icanon" && echo restored';
const TOKEN = "n0nce.SFMyNTY.s3cret-s3cret-s3cret";

Deno.test("fz sign-in: at a terminal shows page and code, takes a paste, and echoes nothing of it", async () => {
  const table = [
    {
      name: "paste and Enter",
      act: async (it: Terminal) => (await it.paste(TOKEN), await it.press("Enter")),
    },
    { name: "paste with its line break", act: (it: Terminal) => it.paste(`${TOKEN}\r\n`) },
    { name: "typed, with a mistake", act: (it: Terminal) => it.press("x", "BSpace", TOKEN, "Enter") },
  ];
  for (const { name, act } of table) {
    await withConfig(async (env, folder) => {
      await using terminal = await Terminal.start(`${SIGN_IN}; ${END}`, { env });
      const asked = await terminal.shows(/Token:$/m);
      assert.match(asked, /http:\/\/127\.0\.0\.1:8081\/acme\?as=headless-client/);
      assert.match(asked, /█▀▀▀|█ ▄▄▄/);
      await act(terminal);
      const screen = await terminal.shows(/restored/);
      assert.match(screen, /exit=0/, name);
      assert.ok(!screen.includes("s3cret") && !/Token: \S/.test(screen), screen);
      assert.equal(await Deno.readTextFile(`${folder}/profiles/default.token`), `${TOKEN}\n`);
    });
  }
});

Deno.test("fz sign-in: at a narrow terminal leaves the code out", () =>
  withConfig(async (env) => {
    await using terminal = await Terminal.start(`${SIGN_IN}; ${END}`, { env, columns: 30 });
    assert.doesNotMatch(await terminal.shows(/Token:$/m), /[█▀▄]/);
    await terminal.press("C-c");
    await terminal.shows(/exit=130\nrestored/);
  }));

Deno.test("fz sign-in: Ctrl+C and Ctrl+D end it with the terminal as before, and keep nothing", async () => {
  for (
    const [key, end] of [["C-c", /exit=130\nrestored/], [
      "C-d",
      /no token was given[^]*exit=3\nrestored/,
    ]] as const
  ) {
    await withConfig(async (env, folder) => {
      await using terminal = await Terminal.start(`${SIGN_IN}; ${END}`, { env });
      await terminal.shows(/Token:$/m);
      await terminal.press("half a token", key);
      // Ctrl+D counts on an empty line only.
      if (key === "C-d") await terminal.press("C-u", key);
      await terminal.shows(end);
      await assert.rejects(Deno.stat(`${folder}/profiles`), Deno.errors.NotFound);
    });
  }
});

Deno.test("fz sign-in: a signal from elsewhere leaves the terminal as before", () =>
  withConfig(async (env) => {
    // In the foreground, or it could not read; killed by a background helper when the question is there.
    const killer =
      `(while ! test -e "$FZ_CONFIG_DIR/go"; do sleep 0.1; done; kill -TERM "$(cat "$FZ_CONFIG_DIR/pid")") &`;
    const foreground = `${killer} sh -c 'echo $$ > "$FZ_CONFIG_DIR/pid"; exec ${SIGN_IN}'; ${END}`;
    await using terminal = await Terminal.start(foreground, { env });
    await terminal.shows(/Token:$/m);
    await Deno.writeTextFile(`${env.FZ_CONFIG_DIR}/go`, "");
    await terminal.shows(/exit=143\nrestored/);
  }));

Deno.test("fz sign-in: Ctrl+C while the portal does not answer leaves no half line", () =>
  withConfig(async (env) => {
    const script = `FIREZONE_TOKEN=${TOKEN} ${FZ} sign-in; ${END}`;
    await using terminal = await Terminal.start(script, { env });
    await terminal.shows(/Trying the token at ws:/);
    await terminal.press("C-c");
    assert.doesNotMatch(await terminal.shows(/exit=130\nrestored/), /trying|s3cret/);
  }));

Deno.test("fz sign-out: asks at a terminal, and a no changes nothing", () =>
  withConfig(async (env, folder) => {
    const store = `echo ${TOKEN} | ${FZ} sign-in --token-stdin --no-verify`;
    await using terminal = await Terminal.start(`${store}; ${FZ} sign-out; ${END}; ${FZ} sign-out; ${END}`, {
      env,
    });
    await terminal.shows(/You are signed in.*\[y\/N\]$/m);
    await terminal.press("Enter");
    await terminal.shows(/Nothing was changed\.?\nexit=0\nrestored/);
    assert.equal(await Deno.readTextFile(`${folder}/profiles/default.token`), `${TOKEN}\n`);
    await terminal.shows(/restored[^]*\[y\/N\]$/m);
    await terminal.press("y", "Enter");
    await terminal.shows(/Signed out\.?[^]*exit=0/);
    await assert.rejects(Deno.stat(`${folder}/profiles/default.token`), Deno.errors.NotFound);
  }));

async function withConfig(
  body: (env: Record<string, string>, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fz-test-" });
  try {
    await body({
      FZ_CONFIG_DIR: folder,
      FZ_STATE_DIR: `${folder}/state`,
      FZ_RUNTIME_DIR: `${folder}/run`,
      FZ_API_URL: "ws://127.0.0.1:9/",
      FIREZONE_TOKEN: "",
    }, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
