import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import type { WebAnswer } from "../../../lib/portal/pages.ts";
import { bearer, Browser, complaintIn, HEADLESS, tokenIn } from "./browser.ts";
import { START_SECONDS } from "./harness.ts";

const WEEK_SECONDS = 7 * 24 * 3600;

Deno.test("PortalWeb: signs a person in with e-mail and password, and shows a token that a client can use", () => {
  const browser = new Browser();
  const page = browser.get(`/acme?${HEADLESS}`);
  assert.equal(page.status, 200);
  assert.match(page.body, /<label for="email">/);
  assert.match(page.body, /<label for="password">/);
  const signedIn = browser.submit(page, { email: " ADA@corp.example ", password: "correct horse" });
  assert.equal(signedIn.status, 200);
  const token = tokenIn(signedIn);
  assert.match(token, /^\.\S{40,}$/);
  for (const fact of ["Ada", "ada@corp.example", "acme", "2026-07-08 12:00 UTC (7 days)"]) {
    assert.ok(signedIn.body.includes(fact), fact);
  }
  const client = browser.world.client(token, { id: "laptop" });
  assert.equal(client.expect("init").actor_name, "Ada");
  const kept = browser.world.portal.directory.find("tokens", (it) => it.isInteractive === true)!;
  assert.equal(kept.expiresAt, START_SECONDS + WEEK_SECONDS);
  assert.ok(!JSON.stringify(browser.world.store.all("tokens")).includes(token.slice(1)));
});

Deno.test("PortalWeb: takes the account by id, and the lifetime from the account", () => {
  const browser = new Browser();
  const { directory } = browser.world.portal;
  const account = directory.all("accounts")[0]!;
  directory.put("accounts", { ...account, sessionLifetime: 7200 });
  const page = browser.get(`/${account.id}?${HEADLESS}`);
  const signedIn = browser.submit(page, { email: "ada@corp.example", password: "correct horse" });
  assert.match(signedIn.body, /2026-07-01 14:00 UTC \(2 hours\)/);
});

Deno.test("PortalWeb: says the same for a wrong password, a stranger and somebody without a password", () => {
  const browser = new Browser();
  browser.world.portal.directory.put("actors", {
    ...browser.world.portal.directory.find("actors", ({ name }) => name === "Bob")!,
    email: "bob@corp.example",
  });
  const answers = [
    browser.signIn("ada@corp.example", "wrong horse"),
    browser.signIn("eve@corp.example", "correct horse"),
    browser.signIn("bob@corp.example", "correct horse"),
    browser.signIn("bob@corp.example", ""),
    browser.signIn("", "correct horse"),
    browser.signIn("ada@corp.example", "x".repeat(257)),
    browser.signIn("a".repeat(321), "correct horse"),
  ];
  for (const answer of answers) {
    assert.equal(answer.status, 403);
    assert.equal(complaintIn(answer), "E-mail address or password is wrong.");
  }
  assert.match(answers[0]!.body, /value="ada@corp\.example"/);
  assert.ok(!answers.some(({ body }) => body.includes("horse")));
});

Deno.test("PortalWeb: turns service accounts, disabled people and disabled accounts away", () => {
  const browser = new Browser();
  const { directory } = browser.world.portal;
  browser.setPassword("Ada", "correct horse", { isDisabled: true });
  const disabled = browser.signIn("ada@corp.example", "correct horse");
  assert.equal(disabled.status, 403);
  assert.match(disabled.body, /disabled/);
  browser.setPassword("Ada", "correct horse", { isDisabled: false, type: "service_account" });
  assert.match(
    browser.signIn("ada@corp.example", "correct horse").body,
    /Service accounts do not sign in here/,
  );
  directory.put("accounts", { ...directory.all("accounts")[0]!, isDisabled: true });
  const closed = browser.get(`/acme?${HEADLESS}`);
  assert.equal(closed.status, 403);
  assert.match(closed.body, /Account disabled/);
  assert.ok(!directory.all("tokens").some((token) => token.isInteractive));
});

Deno.test("PortalWeb: believes no check that ended after the person was changed", () => {
  const browser = new Browser();
  const page = browser.get(`/acme?${HEADLESS}`);
  const form = /name="form" value="([^"]*)"/.exec(page.body)![1]!;
  const check = browser.web.handle({
    method: "POST",
    path: /action="([^"]*)"/.exec(page.body)![1]!,
    query: "",
    body: new URLSearchParams({
      as: "headless-client",
      form,
      email: "ada@corp.example",
      password: "correct horse",
    }).toString(),
    headers: { cookie: `fz_form=${browser.cookies.get("fz_form")}` },
    remoteIp: browser.ip,
    isSecure: false,
  }, 0);
  assert(check.type === "check");
  browser.setPassword("Ada", "another horse");
  assert.equal(check.finish(true, 0).status, 403);
});

Deno.test("PortalWeb: bounds guesses for each person, whoever guesses, and forgives with time", () => {
  const browser = new Browser();
  for (let attempt = 0; attempt < 10; attempt++) {
    browser.ip = IpAddress.from(`198.51.100.${attempt}`);
    assert.equal(browser.signIn("ada@corp.example", "wrong").status, 403);
  }
  const limited = browser.signIn("ada@corp.example", "correct horse");
  assert.equal(limited.status, 429);
  assert.equal(complaintIn(limited), "Too many attempts. Try again in a minute.");
  assert.equal(limited.headers["retry-after"], "60");
  browser.world.now += 60_000;
  assert.equal(browser.signIn("ada@corp.example", "correct horse").status, 200);
  for (let attempt = 0; attempt < 10; attempt++) browser.signIn("ada@corp.example", "wrong");
  assert.equal(browser.signIn("ada@corp.example", "wrong").status, 429);
});

Deno.test("PortalWeb: bounds guesses of each address over all names, and of a whole IPv6 network", () => {
  const browser = new Browser();
  for (let attempt = 0; attempt < 30; attempt++) {
    browser.ip = IpAddress.from(`2001:db8::${attempt + 1}`);
    assert.equal(browser.signIn(`${attempt}@corp.example`, "wrong").status, 403);
  }
  assert.equal(browser.signIn("ada@corp.example", "correct horse").status, 429);
  browser.ip = IpAddress.from("2001:db8:0:1::1");
  assert.equal(browser.signIn("ada@corp.example", "correct horse").status, 200);
});

Deno.test("PortalWeb: takes only its own form, from the browser that got it, within an hour", () => {
  const fields = { email: "ada@corp.example", password: "correct horse" };
  const attempts: [name: string, attempt: (browser: Browser, page: WebAnswer) => WebAnswer][] = [
    ["no cookie", (browser, page) => {
      browser.cookies.clear();
      return browser.submit(page, fields);
    }],
    ["another browser's cookie", (browser, page) => {
      browser.cookies.set("fz_form", "0".repeat(32));
      return browser.submit(page, fields);
    }],
    ["no seal", (browser, page) => browser.submit(page, { ...fields, form: "" })],
    ["a seal with a longer time", (browser, page) => {
      const form = /name="form" value="([^"]*)"/.exec(page.body)![1]!;
      return browser.submit(page, { ...fields, form: form.replace(/^\d+/, "99999999999") });
    }],
    ["another account's seal", (browser, page) => {
      const form = /name="form" value="([^"]*)"/.exec(page.body)![1]!;
      const { directory } = browser.world.portal;
      directory.put("accounts", { ...directory.all("accounts")[0]!, id: "other", slug: "other" });
      return browser.submit(browser.get(`/other?${HEADLESS}`), { ...fields, form });
    }],
    ["too late", (browser, page) => {
      browser.world.now += 3_600_000;
      return browser.submit(page, fields);
    }],
    ["another site", (browser, page) => {
      const hidden = page.body.matchAll(/name="(\w+)" value="([^"]*)"/g);
      const all = { ...Object.fromEntries(hidden.map(([, name, value]) => [name!, value!])), ...fields };
      return browser.send({
        method: "POST",
        path: /action="([^"]*)"/.exec(page.body)![1]!,
        body: new URLSearchParams(all).toString(),
        headers: { "sec-fetch-site": "cross-site" },
      });
    }],
  ];
  for (const [name, attempt] of attempts) {
    const browser = new Browser();
    const answer = attempt(browser, browser.get(`/acme?${HEADLESS}`));
    assert.equal(answer.status, 403, name);
    assert.match(complaintIn(answer)!, /open for too long/, name);
    assert.ok(!browser.world.portal.directory.all("tokens").some((token) => token.isInteractive), name);
    // The page that says so is good for the next attempt.
    if (name !== "another account's seal") assert.equal(browser.submit(answer, fields).status, 200, name);
  }
});

Deno.test("PortalWeb: sends headers that keep pages out of frames, caches and the hands of others", () => {
  const browser = new Browser();
  for (const url of ["/", "/nobody", `/acme?${HEADLESS}`, "/acme"]) {
    const { headers } = browser.get(url);
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["x-frame-options"], "DENY");
    assert.equal(headers["referrer-policy"], "no-referrer");
    const policy = headers["content-security-policy"]!;
    for (
      const rule of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
    ) {
      assert.ok(policy.includes(rule), rule);
    }
    assert.doesNotMatch(policy, /unsafe/);
  }
  const plain = browser.get(`/acme?${HEADLESS}`).headers["set-cookie"]!;
  assert.match(plain, /^fz_form=[0-9a-f]{32}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Strict$/);
  browser.isSecure = true;
  assert.match(browser.get(`/acme?${HEADLESS}`).headers["set-cookie"]!, /^__Host-fz_form=.*; Secure$/);
});

Deno.test("PortalWeb: shows names as they are, and never as a part of the page", () => {
  const browser = new Browser();
  const { directory } = browser.world.portal;
  const evil = `"><script>alert(1)</script><b x='`;
  directory.put("accounts", { ...directory.all("accounts")[0]!, name: evil });
  browser.setPassword("Ada", "correct horse", { name: evil, email: `<i>"@corp.example` });
  const page = browser.signIn(`<i>"@corp.example`, "correct horse");
  assert.equal(page.status, 200);
  const pages = [
    page,
    browser.get(`/acme?${HEADLESS}`),
    browser.signIn(evil, "wrong"),
    browser.get(`/?account=${encodeURIComponent(evil)}&as=${encodeURIComponent(evil)}`),
    browser.get(`/?as=${encodeURIComponent(evil)}`),
    browser.get(`/${encodeURIComponent(evil)}?as=${encodeURIComponent(evil)}`),
    browser.get(`/acme?as=${encodeURIComponent(evil)}`),
  ];
  for (const { body } of pages) {
    assert.equal(body.split("<script>").length, 2);
    assert.doesNotMatch(body, /<b x|<i>|alert\(1\)<\/script>/);
  }
});

Deno.test("PortalWeb: asks for the account, and explains one that is not there", () => {
  const browser = new Browser();
  assert.match(browser.get("/").body, /name="account"/);
  assert.equal(browser.get("/?account=ACME&as=headless-client").headers.location, "/acme?as=headless-client");
  const unknown = browser.get("/nobody?as=headless-client");
  assert.equal(unknown.status, 404);
  assert.equal(complaintIn(unknown), "There is no account “nobody” here.");
  assert.equal(browser.get("/?account=nobody").status, 404);
});

Deno.test("PortalWeb: has no pages for administrators, and says so", () => {
  const browser = new Browser();
  for (const query of ["", "?as=", "?as=admin"]) {
    const page = browser.get(`/acme${query}`);
    assert.equal(page.status, 200);
    assert.match(page.body, /no pages for administrators/);
  }
});

Deno.test("PortalWeb: hands a graphical client its part of the token by a link of its own", () => {
  const nonce = "ab".repeat(32);
  const state = "cd".repeat(32);
  for (const as of ["client", "gui-client"]) {
    const browser = new Browser();
    const done = browser.signIn(
      "ada@corp.example",
      "correct horse",
      `as=${as}&nonce=${nonce}&state=${state}`,
    );
    assert.equal(done.status, 200);
    assert.match(done.body, /url=\/acme\/sign_in\/client_redirect"/);
    const link = browser.get("/acme/sign_in/client_redirect");
    assert.equal(link.status, 303);
    const url = new URL(link.headers.location!);
    assert.equal(url.protocol, "firezone-fd0020211111:");
    assert.match(link.headers.location!, /^[\w-]+:\/\/handle_client_sign_in_callback\?/);
    const fields = Object.fromEntries(url.searchParams);
    assert.match(fields.fragment!, /^\.\S+$/);
    assert.deepEqual({ ...fields, fragment: "" }, {
      account_name: "acme",
      account_slug: "acme",
      actor_name: "Ada",
      fragment: "",
      identity_provider_identifier: "ada@corp.example",
      state,
    });
    assert.equal(
      browser.world.client(nonce + fields.fragment, { id: "gui" }).expect("init").account_slug,
      "acme",
    );
    assert.notEqual(browser.world.dial("/client/v2/websocket", fields.fragment).refused, undefined);
    assert.ok(!done.body.includes(fields.fragment!));
  }
});

Deno.test("PortalWeb: goes back to no client too late, without the cookie, or with one of its own making", () => {
  const query = `as=gui-client&nonce=${"ab".repeat(32)}&state=${"cd".repeat(32)}`;
  const late = new Browser();
  late.signIn("ada@corp.example", "correct horse", query);
  late.world.now += 120_000;
  const strange = new Browser();
  strange.cookies.set("fz_client_auth", `99999999999.${btoa("fragment=.x")}.${"0".repeat(64)}`);
  for (const browser of [late, strange, new Browser()]) {
    const { status, headers } = browser.get("/acme/sign_in/client_redirect");
    assert.equal(status, 303);
    assert.match(headers.location!, /^\/acme\/sign_in\/client_auth_error\?error=/);
    assert.equal(browser.get(headers.location!).status, 400);
  }
  for (
    const bad of [
      "",
      "&nonce=a.b&state=x",
      "&nonce=x",
      `&nonce=${"a".repeat(129)}&state=x`,
      "&nonce=%00&state=x",
    ]
  ) {
    assert.equal(new Browser().get(`/acme?as=gui-client${bad}`).status, 400, bad);
  }
});

Deno.test("PortalWeb: keeps at most fifty sign-ins of a person, the latest", () => {
  const browser = new Browser();
  const tokens: string[] = [];
  for (let count = 0; count < 55; count++) {
    browser.world.now += 1000;
    tokens.push(tokenIn(browser.signIn("ada@corp.example", "correct horse")));
  }
  const { directory } = browser.world.portal;
  assert.equal(directory.all("tokens").filter((token) => token.isInteractive).length, 50);
  assert.equal(directory.tokenByText(tokens[4]!), undefined);
  assert.notEqual(directory.tokenByText(tokens[5]!), undefined);
  assert.notEqual(directory.tokenByText("ada-token"), undefined);
});

Deno.test("PortalWeb: GET /v1/whoami tells whose a client's token is, until when, and which device uses it", () => {
  const browser = new Browser();
  const token = tokenIn(browser.signIn("ada@corp.example", "correct horse"));
  const ask = (text: string) => browser.send({ path: "/v1/whoami", headers: bearer(text) });
  assert.deepEqual(JSON.parse(ask(token).body), {
    account: { slug: "acme", name: "acme" },
    actor: { name: "Ada", email: "ada@corp.example", type: "account_admin_user" },
    token: { expiresAt: "2026-07-08T12:00:00.000Z" },
  });
  browser.world.client(token, { id: "laptop" });
  assert.equal(JSON.parse(ask(token).body).device.name, "laptop");
  assert.deepEqual(JSON.parse(ask("ci-token").body).token, {});
  for (const text of ["nonsense", "paris-token", "relay-token"]) {
    const refused = ask(text);
    assert.equal(refused.status, 401, text);
    assert.match(refused.headers["content-type"]!, /^application\/problem\+json/);
    assert.equal(JSON.parse(refused.body).code, "invalid_token");
  }
  browser.world.now += WEEK_SECONDS * 1000;
  assert.equal(JSON.parse(ask(token).body).cause, "expired");
  assert.equal(browser.send({ path: "/v1/whoami" }).status, 401);
});

Deno.test("PortalWeb: POST /v1/sign-out ends a sign-in at once, and leaves what administrators made", () => {
  const browser = new Browser();
  const token = tokenIn(browser.signIn("ada@corp.example", "correct horse"));
  const client = browser.world.client(token, { id: "laptop" });
  const leave = (text: string) =>
    browser.send({ method: "POST", path: "/v1/sign-out", headers: bearer(text) });
  assert.equal(leave(token).status, 204);
  browser.world.deliver();
  assert.equal(client.expect("disconnect").reason, "token_expired");
  assert.equal(leave(token).status, 401);
  const refused = leave("ci-token");
  assert.equal(refused.status, 403);
  assert.equal(JSON.parse(refused.body).code, "not_a_sign_in");
  assert.notEqual(browser.world.portal.directory.tokenByText("ci-token"), undefined);
});

Deno.test("PortalWeb: answers wrong paths and methods properly", () => {
  const browser = new Browser();
  const table: [method: string, path: string, status: number][] = [
    ["GET", "/healthz", 200],
    ["HEAD", "/", 200],
    ["PUT", "/", 405],
    ["POST", "/", 405],
    ["DELETE", "/acme", 405],
    ["POST", "/acme", 404],
    ["GET", "/acme/settings", 404],
    ["GET", "/acme/sign_in/oidc/x", 404],
    ["GET", "/acme/sign_in/userpass/x", 404],
    ["GET", "/v1", 404],
    ["GET", "/v1/tokens", 404],
    ["GET", "/v1/sign-out", 405],
    ["POST", "/v1/whoami", 405],
    ["GET", "/client/websocket", 400],
    ["GET", "/%ff", 404],
    ["GET", "/nobody/x", 404],
  ];
  for (const [method, path, status] of table) {
    const answer = browser.send({ method, path, headers: { accept: "*/*" } });
    assert.equal(answer.status, status, `${method} ${path}`);
    if (status === 405) assert.ok(answer.headers.allow);
    if (status >= 400) assert.equal(JSON.parse(answer.body).status, status);
  }
  assert.match(browser.get("/acme/settings").headers["content-type"]!, /^text\/html/);
  const page = browser.get(`/acme?${HEADLESS}`);
  const action = /action="([^"]*)"/.exec(page.body)![1]!;
  assert.equal(browser.get(`${action}?${HEADLESS}`).status, 200);
  assert.equal(browser.send({ method: "POST", path: action, body: undefined }).status, 413);
});

Deno.test("PortalWeb: survives any request, and gives no token away for it", () => {
  const browser = new Browser();
  const action = /action="([^"]*)"/.exec(browser.get(`/acme?${HEADLESS}`).body)![1]!;
  const piece = fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.stringMatching(/^[%&=+;/.?a-f0-9]{0,30}$/),
    fc.constantFrom(
      "as=headless-client",
      "as=gui-client&nonce=a&state=b",
      "email=ada@corp.example",
      "form=1.a.b",
    ),
  );
  const path = fc.oneof(
    fc.constantFrom("/", "/acme", action, "/v1/whoami", "/v1/sign-out", "/acme/sign_in/client_redirect"),
    fc.array(piece, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`),
  );
  const text = fc.array(piece, { maxLength: 6 }).map((parts) => parts.join("&"));
  const method = fc.constantFrom("GET", "POST", "HEAD", "OPTIONS", "");
  const request = fc.record({ method, path, query: text, body: fc.option(text, { nil: undefined }) });
  fc.assert(fc.property(request, fc.dictionary(piece, piece, { maxKeys: 3 }), text, (it, extra, cookie) => {
    const { status, body } = browser.send({ ...it, headers: { ...extra, cookie } });
    assert.ok(status >= 200 && status < 500 && status !== 204, `${status}`);
    assert.ok(body.length < 50_000);
    assert.doesNotMatch(body, /fz_client_/);
  }));
  assert.ok(!browser.world.portal.directory.all("tokens").some((token) => token.isInteractive));
});
