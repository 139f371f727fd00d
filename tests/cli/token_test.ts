import assert from "node:assert/strict";
import fc from "fast-check";
import { checkPortal, findToken, takeToken } from "../../cli/token.ts";
import { Fault } from "../../lib/base/fault.ts";
import { fakeContext } from "./fake_context.ts";
import { fakeCredentials } from "./fake_credentials.ts";

Deno.test("takeToken: gives text that can go into a header, or a fault that does not repeat it", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ minLength: 4 }),
    fc.constant("s3cret\r\nX: y"),
  );
  return fc.assert(
    fc.asyncProperty(text, fc.boolean(), async (text, isFile) => {
      const context = isFile
        ? fakeContext({ host: { readToken: () => Promise.resolve(text) } })
        : fakeContext({ env: { FIREZONE_TOKEN: text } });
      try {
        const token = await takeToken(context, "/etc/fz/token");
        assert.match(token, /^[\x21-\x7e]+$/);
      } catch (error) {
        assert.ok(error instanceof Fault && error.code === "rejected");
        const said = `${error.message} ${error.next}`;
        if (text.trim().length > 12) assert.ok(!said.includes(text.trim()), said);
      }
      assert.equal(context.variables.has("FIREZONE_TOKEN"), false);
    }),
  );
});

Deno.test("findToken: prefers what systemd hands over, but not its stand-in for none", async () => {
  const files = new Map([["/run/credentials/fz/token", "handed-over\n"], ["/etc/fz/token", "stored\n"]]);
  const env = { CREDENTIALS_DIRECTORY: "/run/credentials/fz" };
  const find = () =>
    findToken(
      fakeContext({ env, host: { readToken: (path) => Promise.resolve(files.get(path)) } }),
      "/etc/fz/token",
    );
  assert.equal((await find())?.token, "handed-over");
  files.set("/run/credentials/fz/token", "\n");
  assert.equal((await find())?.token, "stored");
  files.delete("/etc/fz/token");
  assert.equal(await find(), undefined);
});

Deno.test("findToken: the variable wins, then a chosen file, then what systemd hands over, then the usual file", async () => {
  const files = new Map([["/run/credentials/fz/token", "handed"], ["/etc/fz/token", "stored"]]);
  const find = (env: Record<string, string>, isChosen: boolean) =>
    findToken(
      fakeContext({ env, host: { readToken: (path) => Promise.resolve(files.get(path)) } }),
      "/etc/fz/token",
      isChosen,
    );
  const unit = { CREDENTIALS_DIRECTORY: "/run/credentials/fz" };
  const token = async (env: Record<string, string>, isChosen = false) => (await find(env, isChosen))?.token;
  assert.equal(await token({ ...unit, FIREZONE_TOKEN: "given" }, true), "given");
  assert.equal(await token(unit, true), "stored");
  assert.equal(await token(unit), "handed");
  assert.equal(await token({}), "stored");
  files.set("/run/credentials/fz/token", "\n");
  assert.equal(await token(unit), "stored");
  files.clear();
  assert.equal(await token(unit), undefined);
});

Deno.test("checkPortal: shows a stored token to no other portal than its own", async () => {
  const credentials = fakeCredentials();
  const context = fakeContext({ host: { credentials: () => Promise.resolve(credentials) } });
  const tokenPath = "/etc/fz/token";
  await credentials.store(tokenPath, "t0ken", { portal: "wss://portal.test/" });
  const table: [token: string, apiUrl: string, isRefused: boolean][] = [
    ["t0ken", "wss://portal.test", false],
    ["t0ken", "https://PORTAL.test:443/", false],
    ["t0ken", "wss://portal.test:8443/", true],
    ["t0ken", "ws://portal.test/", true],
    ["t0ken", "wss://api.firezone.dev/", true],
    // Somebody else put it there: nothing is known of it.
    ["another", "wss://api.firezone.dev/", false],
  ];
  for (const [token, apiUrl, isRefused] of table) {
    const check = checkPortal(context, token, { tokenPath, apiUrl });
    if (!isRefused) await check;
    else {
      await assert.rejects(check, (fault: Fault) => {
        assert.equal(fault.code, "usage");
        assert.match(fault.next ?? "", /fz config set api-url wss:\/\/portal\.test\//);
        assert.doesNotMatch(`${fault.message} ${fault.next}`, /t0ken/);
        return true;
      });
    }
  }
});
