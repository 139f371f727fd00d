import assert from "node:assert/strict";
import { isIsolated } from "../../io/lab/isolation.ts";
import { startPortal } from "../../io/portal_server.ts";
import { PortalConnection } from "../../io/portal_connection.ts";
import { toBase64 } from "../../lib/base/bytes.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import { Browser } from "./support/browser.ts";
import { eventually } from "./support/on_network.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** Where the pictures of the pages go, if somebody wants to look at them. */
const PICTURES = Deno.env.get("FZ_PICTURES");

Deno.test("sign-in page: a person with a browser gets a token, and a client is let in with it", async (t) => {
  assert.ok(isIsolated(), "run this by `deno task e2e`");
  const server = await startPortal({
    listen: { host: "127.0.0.1", port: 0 },
    seed: {
      account: { slug: "acme", name: "Acme Müller & Söhne" },
      actors: [{ name: "Ada Lovelace", email: "ada@corp.example", password: "correct horse" }],
    },
  });
  const base = server.url.replace("ws:", "http:");
  const browser = await Browser.start();
  let token = "";
  try {
    await t.step("asks for the account where the address does not name it", async () => {
      await browser.open(base);
      await picture(browser, "account");
      await browser.type("#account", "acme");
      await browser.click("button");
      await eventually(async () => assert.equal(await browser.text("h1"), "Sign in to Acme Müller & Söhne"));
    });
    await t.step("lets a person type at once", async () => {
      await picture(browser, "sign-in");
      assert.equal(await browser.run("return document.activeElement.id"), "email");
      assert.equal(await browser.property("#password", "type"), "password");
    });
    await t.step("says that the password is wrong, and keeps the address", async () => {
      await browser.type("#email", "ada@corp.example");
      await browser.type("#password", "wrong horse");
      await browser.click("button");
      const wrong = "E-mail address or password is wrong.";
      await eventually(async () => assert.equal(await browser.text("[role=alert]"), wrong));
      assert.equal(await browser.property("#email", "value"), "ada@corp.example");
      assert.equal(await browser.run("return document.activeElement.id"), "password");
      await picture(browser, "wrong");
    });
    await t.step("shows the token, whose it is and until when", async () => {
      await browser.type("#password", "correct horse");
      await browser.click("button");
      token = await eventually(() => browser.property("#token", "value")) as string;
      await picture(browser, "token");
      assert.match(token, /^\.\S{40,}$/);
      const facts = await browser.text("dl");
      assert.match(facts, /Ada Lovelace \(ada@corp\.example\)/);
      assert.match(facts, /Acme Müller & Söhne/);
      assert.match(facts, /\d{4}-\d\d-\d\d \d\d:\d\d UTC \(7 days\)/);
    });
    await t.step("shows the whole token at once, and copies it", async () => {
      assert.equal(await browser.run("return token.scrollHeight <= token.clientHeight"), true);
      await browser.permit("clipboard-read");
      await browser.click("#copy");
      await eventually(async () => assert.equal(await browser.text("#copied"), "Copied."));
      assert.equal(await browser.run("return navigator.clipboard.readText()"), token);
      const selected = "return token.value.slice(token.selectionStart, token.selectionEnd)";
      assert.equal(await browser.run(selected), token);
    });
    await t.step("runs no script and loads nothing that is not its own", async () => {
      assert.equal(await browser.run("return performance.getEntriesByType('resource').length"), 0);
      const inject = "const it = document.createElement('script'); it.textContent = 'window.injected = 1'; " +
        "document.body.append(it); return window.injected ?? null";
      assert.equal(await browser.run(inject), null);
    });
    await t.step("copies where the browser has no clipboard for the page", async () => {
      await browser.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })");
      await browser.run("document.getElementById('copied').textContent = ''");
      await browser.click("#copy");
      await eventually(async () => assert.equal(await browser.text("#copied"), "Copied."));
    });
    await t.step("the token lets a client in", async () => {
      assert.equal(await initOf(server.url, token), "Ada Lovelace");
    });
    await t.step("fz sign-in takes the token, fz whoami tells whose it is, fz sign-out ends it", async () => {
      const folder = await Deno.makeTempDir();
      const run = (args: readonly string[], input = "") => runFz(folder, server.url, args, input);
      await run(["sign-in", "--token-stdin"], `${token}\n`);
      const { account, actor } = JSON.parse(await run(["whoami", "--json"]));
      assert.deepEqual([account.slug, actor.email], ["acme", "ada@corp.example"]);
      await run(["sign-out", "--force"]);
      await assert.rejects(initOf(server.url, token), /invalid_token/);
      await Deno.remove(folder, { recursive: true });
    });
  } finally {
    await browser.close();
    await server.stop();
  }
});

/** Runs fz with all its files below `folder` and returns what it prints; it must succeed. */
async function runFz(
  folder: string,
  portal: string,
  args: readonly string[],
  input: string,
): Promise<string> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", MAIN, ...args],
    env: {
      FZ_RUNTIME_DIR: `${folder}/run`,
      FZ_CONFIG_DIR: `${folder}/config`,
      FZ_STATE_DIR: `${folder}/state`,
      FIREZONE_API_URL: portal,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await process.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Connects a client with `token` and returns as whom the portal greets it. */
async function initOf(url: string, token: string): Promise<string> {
  const greeted = Promise.withResolvers<string>();
  const connection = new PortalConnection({
    role: "client",
    url,
    token,
    parameters: () => ({
      external_id: "laptop",
      name: "laptop",
      public_key: toBase64(new Uint8Array(32).fill(1)),
    }),
    joinPayload: null,
    onEvent: (event: ChannelEvent) => {
      if (event.type === "fatal") greeted.reject(event.fault);
      if (event.type !== "message" || event.event !== "init") return;
      greeted.resolve((event.payload as { actor_name: string }).actor_name);
    },
  });
  connection.start();
  try {
    return await greeted.promise;
  } finally {
    await connection.stop();
  }
}

async function picture(browser: Browser, name: string): Promise<void> {
  if (PICTURES !== undefined) await Deno.writeFile(`${PICTURES}/${name}.png`, await browser.screenshot());
}
