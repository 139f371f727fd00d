import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../../lib/base/rng.ts";
import { Directory } from "../../../lib/portal/directory.ts";
import { TABLE_NAMES } from "../../../lib/portal/model.ts";
import { applySeed, MAX_SEED_LENGTH, parseSeed, withoutComments } from "../../../lib/portal/seed.ts";
import { MemoryStore } from "../../../lib/portal/store.ts";
import { SEED, World } from "./harness.ts";

Deno.test("parseSeed reads JSON with comments and trailing commas", () => {
  const seed = parseSeed(`
    // What this portal contains
    {
      "account": { "slug": "acme", }, /* one
      account */
      "sites": [{ "name": "a // no comment" }, { "name": "b /* neither */, ]" },],
    }`);
  assert(seed.ok);
  assert.deepEqual(seed.value.sites.map(({ name }) => name), ["a // no comment", "b /* neither */, ]"]);
});

Deno.test("parseSeed says where a mistake is", () => {
  const complaint = (text: string) => {
    const seed = parseSeed(text);
    return seed.ok ? "fine" : seed.reason;
  };
  assert.match(complaint("{"), /cannot read the seed as JSON/);
  assert.match(complaint(`{"account":{"slug":"A B"}}`), /^account\.slug: must be lower-case/);
  assert.equal(complaint(`{"account":{"slug":"a"},"resourses":[]}`), "resourses: there is no such field");
  assert.match(
    complaint(`{"account":{"slug":"a"},"resources":[{"name":"x","type":"dns","filters":["tcp:80"]}]}`),
    /resources\.0\.filters\.0/,
  );
});

Deno.test("applySeed changes nothing the second time", () => {
  const store = new MemoryStore();
  const rng = seededRng(1);
  const seed = parseSeed(JSON.stringify(SEED));
  assert(seed.ok);
  const snapshot = () => JSON.stringify(TABLE_NAMES.map((table) => store.all(table)));
  assert(applySeed(new Directory(store, rng), seed.value, rng, 0).ok);
  const before = snapshot();
  assert(applySeed(new Directory(store, rng), seed.value, rng, 1000).ok);
  assert.equal(snapshot(), before);
});

Deno.test("applySeed makes up tokens once, and again when their file is gone", () => {
  const directory = new Directory(new MemoryStore(), seededRng(1));
  const seed = parseSeed(JSON.stringify({
    account: { slug: "a" },
    sites: [{ name: "s" }],
    tokens: [{ kind: "gateway", site: "s", write_to: "/run/token" }, { kind: "relay", expires_in: 60 }],
  }));
  assert(seed.ok);
  const issue = (isMissing: boolean) => {
    const outcome = applySeed(directory, seed.value, seededRng(2), 1000, () => isMissing);
    assert(outcome.ok);
    return outcome.value.issued;
  };
  const first = issue(true);
  assert.equal(first.length, 2);
  assert.match(first[0]!.secret, /^fz_gateway_[\w-]{43}$/);
  assert.equal(first[1]!.token.expiresAt, 1060);
  assert.equal(directory.tokenByText(first[0]!.secret)?.siteId, directory.all("sites")[0]!.id);
  assert.deepEqual(issue(false), []);
  const again = issue(true);
  assert.deepEqual(again.map(({ writeTo }) => writeTo), ["/run/token"]);
  assert.equal(directory.tokenByText(first[0]!.secret), undefined);
});

Deno.test("applySeed refuses what does not fit together", () => {
  const complaint = (parts: object) => {
    const seed = parseSeed(JSON.stringify({ account: { slug: "a" }, sites: [{ name: "s" }], ...parts }));
    assert(seed.ok, seed.ok ? "" : seed.reason);
    const outcome = applySeed(new Directory(new MemoryStore(), seededRng(1)), seed.value, seededRng(2), 0);
    return outcome.ok ? "fine" : outcome.reason;
  };
  const resource = { name: "r", type: "cidr", site: "s" };
  assert.match(
    complaint({ resources: [{ ...resource, address: "100.64.1.0/24" }] }),
    /resources\.0\.address: .* reserved/,
  );
  assert.match(complaint({ resources: [{ ...resource, address: "10.0.0.0/33" }] }), /no network/);
  assert.match(
    complaint({ resources: [{ ...resource, type: "dns", address: "a b" }] }),
    /no name or pattern/,
  );
  assert.match(complaint({ resources: [{ ...resource, site: "t", address: "10.0.0.0/8" }] }), /no site "t"/);
  assert.match(
    complaint({ resources: [{ ...resource, address: "10.0.0.0/8", filters: ["tcp/9-1"] }] }),
    /backwards/,
  );
  assert.match(complaint({ policies: [{ group: "g", resource: "r" }] }), /no group "g"/);
  assert.match(complaint({ tokens: [{ kind: "client", actor: "x" }] }), /no actor "x"/);
  assert.match(
    complaint({ tokens: [{ kind: "relay", token: "t" }, { kind: "gateway", site: "s", token: "t" }] }),
    /same text/,
  );
  assert.match(complaint({ account: { slug: "a", dns: ["100.64.0.1"] } }), /dns/);
  assert.equal(
    complaint({
      resources: [{ name: "i", type: "internet", site: "s" }, { ...resource, address: "10.1.2.3/8" }],
    }),
    "fine",
  );
});

Deno.test("withoutComments keeps the length and never throws", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('"', "\\", "/", "*", ",", "}", "]", "\n", "a") }),
      (text) => {
        assert.equal(withoutComments(text).length, text.length);
      },
    ),
  );
});

Deno.test("parseSeed takes any text up to its limit in time, and tells no secret of it", () => {
  // Seconds on the slowest machine; in quadratic time it would be an hour.
  const started = performance.now();
  for (const piece of ["/*", '"\\"', "//", '"', "\\", ",", ", ", "[", '{"a":', '"\\\n', "/*/"]) {
    const text = piece.repeat(Math.floor(MAX_SEED_LENGTH / 4 / piece.length));
    assert.equal(parseSeed(text).ok, false);
  }
  assert.equal(parseSeed(`"${"x".repeat(MAX_SEED_LENGTH - 2)}"`).ok, false);
  assert.ok(performance.now() - started < 120_000, `${performance.now() - started} ms`);
  const long = parseSeed(" ".repeat(MAX_SEED_LENGTH + 1));
  assert.ok(!long.ok && /longer than/.test(long.reason));
  const known = '{"account":{"slug":"a"},"tokens":[{"kind":"relay","token":';
  for (const token of ["53273723", '["s3cret"]', '"s3cret s3cret"']) {
    const outcome = parseSeed(`${known}${token}}]}`);
    assert.ok(
      !outcome.ok && /^tokens\.0\.token: must/.test(outcome.reason),
      outcome.ok ? "" : outcome.reason,
    );
  }
  for (const mistake of ['"s3cret" x', '"s3cret', "s3cret", '"s3cret", }]']) {
    const outcome = parseSeed(`{"tokens":[{"kind":"relay","token": ${mistake}`);
    assert.ok(!outcome.ok && !outcome.reason.includes("s3cret"), outcome.ok ? "" : outcome.reason);
  }
});

Deno.test("handleAdmin never shows hashes and secrets, except a new token once", () => {
  const world = new World();
  world.client();
  const created = world.admin("POST", "/v1/tokens", { kind: "client", actor: "Bob", name: "phone" });
  assert.equal(created.status, 200);
  const secret = (created.body as { secret: string }).secret;
  assert.match(secret, /^fz_client_/);
  for (const table of [...TABLE_NAMES, "clients", "gateways", "relays", "status"]) {
    const answer = world.admin("GET", `/v1/${table}`);
    assert.equal(answer.status, 200, table);
    const text = JSON.stringify(answer.body);
    for (const word of [secret, "pskBase", "ingestKey", '"hash"']) {
      assert(!text.includes(word), `${table} shows ${word}`);
    }
  }
  assert.equal(world.client(secret, { id: "phone" }).closeCode, undefined);
  assert.equal(world.admin("DELETE", "/v1/tokens/phone").status, 200);
  assert.equal(world.dial("/client/v2/websocket", secret).refused?.status, 401);
});

Deno.test("handleAdmin answers mistakes with 4xx and a sentence", () => {
  const world = new World();
  assert.equal(world.admin("GET", "/v2/sites").status, 404);
  assert.equal(world.admin("GET", "/v1/unicorns").status, 404);
  assert.equal(world.admin("DELETE", "/v1/resources/nothing").status, 404);
  assert.equal(world.admin("POST", "/v1/resources", { name: "x" }).status, 400);
  assert.equal(world.admin("PATCH", "/v1/policies/x", { disabled: true }).status, 404);
  assert.equal(world.admin("PUT", "/v1/sites", {}).status, 405);
  fc.assert(
    fc.property(
      fc.constantFrom("GET", "POST", "PATCH", "DELETE"),
      fc.constantFrom(...TABLE_NAMES, "clients"),
      fc.string(),
      fc.jsonValue(),
      (method, noun, name, body) => {
        if (method === "DELETE" && name === "") return;
        new World().admin(method, `/v1/${noun}/${name}`, body);
        new World().admin(method, `/v1/${noun}`, body);
      },
    ),
    { numRuns: 50 },
  );
});
