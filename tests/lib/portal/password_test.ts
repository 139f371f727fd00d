import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toBase64 } from "../../../lib/base/bytes.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import {
  hashPassword,
  isPassword,
  NOBODYS_PASSWORD,
  PASSWORD_COST,
  readPassword,
} from "../../../lib/portal/password.ts";

const CHEAP = { logN: 1, r: 1, p: 1 };

Deno.test("isPassword: agrees with the vector of RFC 7914 §12", () => {
  // N=1024, r=8, p=16, of which the first half is the hash for 32 bytes asked for.
  const hash = fromHex("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
  const text = (bytes: Uint8Array) => toBase64(bytes).replace(/=+$/, "");
  const kept = `$scrypt$ln=10,r=8,p=16$${text(new TextEncoder().encode("NaCl"))}$${text(hash)}`;
  assert.equal(isPassword("password", kept), true);
  assert.equal(isPassword("passwore", kept), false);
});

Deno.test("hashPassword: keeps what only the same password matches, with a salt of its own", () => {
  const rng = seededRng(1);
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (password, other) => {
      const kept = hashPassword(password, rng, CHEAP);
      assert.equal(isPassword(password, kept), true);
      assert.equal(isPassword(other, kept), other.normalize("NFC") === password.normalize("NFC"));
      assert.notEqual(hashPassword(password, rng, CHEAP), kept);
      assert.ok(password.length < 8 || !kept.includes(password));
    }),
    { numRuns: 50 },
  );
});

Deno.test("hashPassword: takes composed and decomposed letters for the same", () => {
  const kept = hashPassword("pässwörd", seededRng(1), CHEAP);
  assert.equal(isPassword("pässwörd".normalize("NFD"), kept), true);
});

Deno.test("hashPassword: costs what is recommended unless told otherwise", () => {
  const kept = hashPassword("correct horse", seededRng(1));
  assert.deepEqual(readPassword(kept)?.cost, PASSWORD_COST);
  assert.deepEqual(PASSWORD_COST, { logN: 15, r: 8, p: 3 });
  assert.deepEqual(readPassword(NOBODYS_PASSWORD)?.cost, PASSWORD_COST);
});

Deno.test("readPassword: reads nothing else, and no cost that would stop the portal", () => {
  const salt = "AAAAAAAAAAAAAAAAAAAAAA";
  const hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  assert.notEqual(readPassword(`$scrypt$ln=4,r=8,p=1$${salt}$${hash}`), undefined);
  for (const cost of ["ln=0,r=8,p=1", "ln=21,r=8,p=1", "ln=4,r=17,p=1", "ln=4,r=0,p=1", "ln=4,r=8,p=0"]) {
    assert.equal(readPassword(`$scrypt$${cost}$${salt}$${hash}`), undefined, cost);
  }
  assert.equal(readPassword(`$scrypt$ln=4,r=8,p=1$${salt}$AAAA`), undefined);
  fc.assert(fc.property(fc.string(), (text) => assert.equal(isPassword("x", text), false)));
});
