import assert from "node:assert/strict";
import { startPortal } from "../../io/portal_server.ts";
import type { SeedInput } from "../../lib/portal/seed.ts";

const SEED: SeedInput = {
  account: { slug: "acme", name: "Acme" },
  actors: [{ name: "Ada", email: "ada@corp.example", password: "correct horse" }],
};

/** Opens the sign-in page and returns how to send its form. */
async function openForm(base: string) {
  const page = await fetch(`${base}/acme?as=headless-client`);
  const cookie = page.headers.get("set-cookie")!.split(";")[0]!;
  const text = await page.text();
  const action = /action="([^"]*)"/.exec(text)![1]!;
  const form = /name="form" value="([^"]*)"/.exec(text)![1]!;
  return {
    action,
    submit: (password: string) =>
      fetch(base + action, {
        method: "POST",
        headers: { cookie },
        body: new URLSearchParams({ as: "headless-client", form, email: "ada@corp.example", password }),
      }),
  };
}

async function serve(test: (base: string, port: number) => Promise<void>): Promise<void> {
  const server = await startPortal({ listen: { host: "127.0.0.1", port: 0 }, seed: SEED });
  try {
    await test(server.url.replace("ws:", "http:"), server.port);
  } finally {
    await server.stop();
  }
}

Deno.test("serveWeb: signs in with the right password only, shows whose token it is, and takes it back", () =>
  serve(async (base) => {
    const { submit } = await openForm(base);
    const wrong = await submit("wrong horse");
    assert.equal(wrong.status, 403);
    assert.match(await wrong.text(), /E-mail address or password is wrong/);
    const right = await submit("correct horse");
    assert.equal(right.status, 200);
    assert.equal(right.headers.get("cache-control"), "no-store");
    const token = /<textarea[^>]*>([^<]*)</.exec(await right.text())![1]!;
    const headers = { "x-authorization": `Bearer ${token}` };
    const whoAmI = await fetch(`${base}/v1/whoami`, { headers });
    assert.equal((await whoAmI.json()).actor.email, "ada@corp.example");
    const signOut = () => fetch(`${base}/v1/sign-out`, { method: "POST", headers });
    assert.equal((await signOut()).status, 204);
    const again = await signOut();
    assert.equal(again.status, 401);
    assert.equal((await again.json()).code, "invalid_token");
  }));

Deno.test("serveWeb: answers other requests while it checks passwords, and stops a flood of guesses", () =>
  serve(async (base) => {
    const forms = await Promise.all(Array.from({ length: 40 }, () => openForm(base)));
    const attempts = forms.map(({ submit }) =>
      submit("wrong horse").then(async (answer) => {
        await answer.body?.cancel();
        return answer.status;
      })
    );
    assert.equal(await (await fetch(`${base}/healthz`)).text(), "ok\n");
    const statuses = new Set(await Promise.all(attempts));
    assert.deepEqual(statuses, new Set([403, 429]));
  }));

Deno.test("serveWeb: bounds bodies: a long one gets an answer, an endless one the door", () =>
  serve(async (base, port) => {
    const { action } = await openForm(base);
    const long = await fetch(base + action, { method: "POST", body: "x".repeat(20_000) });
    assert.equal(long.status, 413);
    assert.match(await long.text(), /too long/);
    const socket = await Deno.connect({ hostname: "127.0.0.1", port });
    const head = `POST ${action} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n`;
    await socket.write(new TextEncoder().encode(head));
    const chunk = new Uint8Array(2 ** 16);
    let written = 0;
    const flood = async () => {
      while (written < 2 ** 28) written += await socket.write(chunk);
    };
    await assert.rejects(flood());
    socket.close();
    assert.ok(written < 2 ** 26, `${written}`);
    assert.equal((await fetch(`${base}/healthz`)).status, 200);
  }));

Deno.test("serveWeb: survives browsers that leave in the middle, and what is no HTTP", () =>
  serve(async (base, port) => {
    const { action } = await openForm(base);
    const starts = [
      `POST ${action} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nas=headless`,
      `GET /acme?as=headless-client HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET //evil.example/%00 HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET http://other.example/acme HTTP/1.1\r\nHost: x\r\n\r\n`,
      `OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n`,
      `POST ${action} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      "\x16\x03\x01\x02\x00",
    ];
    for (const text of starts) {
      const socket = await Deno.connect({ hostname: "127.0.0.1", port });
      await socket.write(Uint8Array.from(text, (character) => character.charCodeAt(0)));
      socket.close();
    }
    assert.equal((await fetch(`${base}/acme?as=headless-client`)).status, 200);
  }));
