import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import { type PrivateWords, Redactor } from "../../../lib/control/redact.ts";

const TOKEN = "n0nce.SFMyNTY.g2gDaANtAAAAJDRmZTM.Zm9vYmFy-_x";
const WORDS: PrivateWords = {
  secrets: ["hunter2!"],
  names: ["Acme Corp", "Alice Müller", "git", 'Bob "the" Box', "alices-laptop", "Zürich HQ", "Internet"],
  users: ["alice", "root"],
  domains: ["*.corp.example.com", "intranet"],
};

function redact(text: string): string {
  return new Redactor(WORDS).text(text);
}

Deno.test("Redactor.text: leaves nothing of names in any spelling", () => {
  const table = [
    "Acme Corp",
    "acme-corp",
    "ACME_CORP",
    "AcmeCorp",
    "Acme%20Corp",
    "Acme%2520Corp",
    "Ac\\u006de Corp",
    "Ac\\\\u006de Corp",
    "xAcme Corpx",
    "ALICE MÜLLER",
    "Alice M\\u00fcller",
    "Alice M%C3%BCller",
    'Bob \\"the\\" Box',
    "Alices-Laptop.local",
    "/home/alice/.config/fz",
    "/Users/alice",
    "C:\\Users\\alice\\fz",
    "Z%C3%BCrich%20HQ",
  ];
  for (const text of table) {
    const result = redact(`before ${text} after`);
    assert.doesNotMatch(
      result,
      /acme|corp|alice|m(?:ü|u|%c3|\\u00fc)|bob|box|laptop|rich/i,
      `${text} → ${result}`,
    );
    assert.match(result, /^before .*(?:name|user|label)-\d.* after$/, result);
  }
  assert.equal(redact("digit git"), "digit name-1");
  assert.equal(redact("root internet default"), "root internet default");
});

Deno.test("Redactor.text: one thing has one pseudonym, two have two", () => {
  const redactor = new Redactor(WORDS);
  const [first, second, third] = ["acme corp", "Acme-Corp", "git"].map((text) => redactor.text(text));
  assert.equal(first, second);
  assert.notEqual(first, third);
  assert.equal(redactor.text("10.1.2.3"), redactor.text("010.001.002.003"));
  assert.equal(redactor.text("2001:db8::1"), redactor.text("2001:0DB8:0:0:0:0:0:1"));
  assert.equal(redactor.text("::ffff:10.1.2.3"), redactor.text("::ffff:0a01:0203"));
  assert.deepEqual(redactor.counts, { name: 2, ipv4: 1, ipv6: 1 });
});

Deno.test("Redactor.text: takes secrets out, whatever they look like", () => {
  const key = "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd28=";
  const table = [
    TOKEN,
    TOKEN.toUpperCase(),
    encodeURIComponent(TOKEN),
    "dev-0123456789abcdef0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    key,
    encodeURIComponent(key),
    "ab".repeat(32),
    "hunter2!",
    "HUNTER2!",
    "FIREZONE_TOKEN=sesame-open",
    "password=sesame-open",
    '{"api_key": "sesame-open"}',
    '{\\"token\\":\\"sesame-open\\"}',
    "Authorization: Bearer sesame-open",
    "https://sesame:open@host.example.org/",
    "wss://x/?a=1&token=sesame-open&b=2",
    `-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----`,
  ];
  for (const secretsOnly of [false, true]) {
    for (const text of table) {
      const result = new Redactor(WORDS, { secretsOnly }).text(`x ${text} y`);
      assert.match(result, /^x .*secret-\d.* y$/s, `${text} → ${result}`);
      assert.doesNotMatch(result, /sesame|hunter|g2gDaAN|aGVsbG8|0123456789abcdef|abab|MC4CAQ|c2ln/i, result);
    }
  }
});

Deno.test("Redactor.text: keeps the kind, the prefix length and the port of an address", () => {
  const table: [text: string, result: string][] = [
    ["10.1.2.3/24", "private-ipv4-1/24"],
    ["8.8.8.8:53", "ipv4-1:53"],
    ["100.64.0.7", "tunnel-ipv4-1"],
    ["100.97.0.7", "proxy-ipv4-1"],
    ["169.254.1.2", "linklocal-ipv4-1"],
    ["[fd00:2021:1111::9]:443", "[tunnel-ipv6-1]:443"],
    ["http://[2001:db8::1]:80/x", "http://[ipv6-1]:80/x"],
    ["fe80::1%eth0", "linklocal-ipv6-1%eth0"],
    ["::ffff:192.168.0.1", "::ffff:private-ipv4-1"],
    ["fd12::/64 via fd12::1:", "private-ipv6-1/64 via private-ipv6-2:"],
    ["4.3.2.10.in-addr.arpa", "private-ipv4-1.in-addr.arpa"],
    ["ip-10-0-0-5", "ip-private-ipv4-1"],
    ["127.0.0.53 ::1 0.0.0.0/0 ::/0 100.100.111.1", "127.0.0.53 ::1 0.0.0.0/0 ::/0 100.100.111.1"],
    ["100.64.0.0/10 10.0.0.0/8 fd00:2021:1111::/48", "100.64.0.0/10 10.0.0.0/8 fd00:2021:1111::/48"],
    ["at 15:23:32 on 2026-11-22T15:23:32.123Z", "at 15:23:32 on 2026-11-22T15:23:32.123Z"],
    ["Deno 2.9.6, Linux 6.1.0-18-amd64", "Deno 2.9.6, Linux 6.1.0-18-amd64"],
    ["aa:bb:cc:0d:ee:ff enx001122334455", "mac-1 enxmac-2"],
    ["00:00:00:00:00:00 AA-BB-CC-0D-EE-FF", "00:00:00:00:00:00 mac-1"],
    ["mail jo.doe@example.org now", "mail email-1 now"],
    ["fz@default.service", "fz@default.service"],
    ["id 4f0b3c1e-8d5a-4b7e-9c2f-0123456789ab", "id id-1"],
  ];
  for (const [text, result] of table) assert.equal(redact(text), result, text);
});

Deno.test("Redactor.text: shows what lies below what in domains, and nothing else", () => {
  const redactor = new Redactor(WORDS);
  assert.equal(redactor.text("*.secretco.net"), "*.label-1.net");
  assert.equal(redactor.text("DB.SecretCo.net."), "label-2.label-1.net.");
  assert.equal(redactor.text("intranet"), "label-3");
  assert.equal(redactor.text("xn--bcher-kva.example"), "label-4.example");
  for (const text of ["api.firezone.dev", "/run/fz/fz.sock", "net.ipv4.conf.all.forwarding", "libssl.so.3"]) {
    assert.equal(redactor.text(text), text);
  }
});

Deno.test("Redactor.value: walks documents, keeps fields and categories, and empties fields of secrets", () => {
  const result = new Redactor(WORDS).value({
    schema: 1,
    category: "client.dns",
    token: "short",
    resources: [{ name: "Acme Corp", address: "db.secretco.net", port: 443 }],
    answered: { "10.1.2.3:53": 4 },
    "alice müller": null,
  });
  assert.deepEqual(result, {
    schema: 1,
    category: "client.dns",
    token: "secret-1",
    resources: [{ name: "name-1", address: "label-1.label-2.net", port: 443 }],
    answered: { "private-ipv4-1:53": 4 },
    "name-2": null,
  });
});

const isKept = (address: IpAddress) =>
  address.isLoopback || address.isUnspecified || address.toString().startsWith("100.100.111.") ||
  /^(?:255\.255\.255\.255|224\.0\.0\.\d+|ff02:)/.test(address.toString());
const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Runs of zeros, for the compressed forms.
  fc.array(fc.constantFrom(0, 0, 0, 1, 0xfd), { minLength: 16, maxLength: 16 }).map((some) =>
    Uint8Array.from(some)
  ),
).map((bytes) => IpAddress.fromBytes(bytes)).filter((one) => !isKept(one));

/** The forms in which an address is met. */
function forms(one: IpAddress): string[] {
  const text = one.toString();
  if (one.family === 4) {
    return [
      text,
      `${text}:8080`,
      `${text}/32`,
      `http://${text}/`,
      `::ffff:${text}`,
      text.replaceAll(".", "%2E"),
    ];
  }
  const long = one.bytes.toHex().match(/.{4}/g)!.join(":");
  return [
    text,
    text.toUpperCase(),
    long,
    `[${text}]:53`,
    `[${long}]`,
    `${text}/128`,
    `${text}%eth0`,
    text.replaceAll(":", "%3A"),
    text.replaceAll(":", "\\u003a"),
  ];
}

Deno.test("Redactor.text: never lets an address through, in any form and any surroundings", () => {
  const around = fc.constantFrom(
    "",
    " ",
    "\n",
    '"',
    "'",
    "=",
    ",",
    "(",
    ")",
    "[",
    "]",
    "|",
    " x",
    "z ",
    "<",
    ">",
    ";",
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(address, around, fc.nat()), { minLength: 1, maxLength: 5 }), (parts) => {
      const redactor = new Redactor({ secrets: [], names: [], users: [], domains: [] });
      const texts = parts.map(([one, space, index]) =>
        `${space}${forms(one)[index % forms(one).length]}${space}`
      );
      const result = redactor.text(texts.join(" "));
      for (const [one] of parts) {
        const text = one.toString();
        const pattern = new RegExp(`(?<![\\da-f:.])${RegExp.escape(text)}(?![\\da-f:.])`, "i");
        assert.doesNotMatch(result, pattern, `${JSON.stringify(texts.join(" "))} → ${result}`);
        if (one.family === 6) {
          assert.ok(!result.includes(one.bytes.toHex().match(/.{4}/g)!.join(":")), result);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("Redactor: never throws, and what it made it leaves alone", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.jsonValue(), (text, value) => {
    const redactor = new Redactor({ ...WORDS, names: [text] });
    redactor.text(text);
    redactor.value(value);
  }));
  for (const made of ["private-ipv4-3/24", "label-1.label-2.com", "secret-1", "name-12", "mac-1", "id-4"]) {
    assert.equal(redact(made), made);
  }
});
