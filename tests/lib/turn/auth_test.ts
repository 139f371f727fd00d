import assert from "node:assert/strict";
import { toHex } from "../../../lib/base/bytes.ts";
import {
  longTermKey,
  parseRelayUsername,
  relayPassword,
  relaySalt,
  relayUsername,
} from "../../../lib/turn/auth.ts";

Deno.test("relayPassword gives the passwords of upstream's repository", () => {
  assert.equal(
    relayPassword(
      1892160000,
      "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab",
      "n23JJ2wKKtt30oXi",
    ),
    "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68",
  );
  assert.equal(
    relayPassword(1685984278, "1cab293a-4032-46f4-862a-40e5d174b0d2", "uvdgKvS9GXYZ_vmv"),
    "6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg",
  );
});

Deno.test("longTermKey is the MD5 of username, realm and password", () => {
  const key = longTermKey(
    "1892160000:n23JJ2wKKtt30oXi",
    "firezone",
    "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68",
  );
  assert.equal(toHex(key), "e444d93976b92ec355c14337c9a9d3fb");
});

Deno.test("relaySalt, relayUsername and relayPassword give the portal's credentials for a public key", () => {
  const salt = relaySalt("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
  assert.equal(relayUsername(1790000000, salt), "1790000000:xXzDtV05+ab3cvUI44IeCigIIjUsDQ8NJZ+6Y7dNqaA");
  assert.equal(
    relayPassword(1790000000, "5a".repeat(32), salt),
    "p91gIpyuj36UpTSfR8H7JoU4XakLs6InjAYbyXzvMqg",
  );
});

Deno.test("parseRelayUsername takes exactly one colon and a plain number before it", () => {
  assert.deepEqual(parseRelayUsername("1790000000:salt"), { expiry: 1790000000, salt: "salt" });
  for (
    const text of [
      "",
      "1790000000",
      "a:b",
      "1:2:3",
      "-1:salt",
      "01:salt",
      " 1:salt",
      "1e9:salt",
      "1".repeat(30) + ":x",
    ]
  ) {
    assert.equal(parseRelayUsername(text), undefined, text);
  }
});
