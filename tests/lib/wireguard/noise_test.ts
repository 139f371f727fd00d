import assert from "node:assert/strict";
import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { fromHex, toHex, utf8 } from "../../../lib/base/bytes.ts";
import { dh, hash, hmacBlake2s, kdf1, kdf2, kdf3, mac, publicKeyOf } from "../../../lib/wireguard/noise.ts";
import { blake2s as referenceBlake2s, hmac as referenceHmac } from "./reference.ts";

const SUNSCREEN = utf8(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
);
const KEY = fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
const ASSOCIATED = fromHex("50515253c0c1c2c3c4c5c6c7");

Deno.test("hash is BLAKE2s-256 of RFC 7693 appendix B", () => {
  assert.equal(
    toHex(hash(utf8("abc"))),
    "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
  );
});

Deno.test("hash and mac agree with BLAKE2s written by hand for all lengths around a block", () => {
  for (const length of [0, 1, 31, 32, 63, 64, 65, 127, 128, 129, 300]) {
    const message = Uint8Array.from({ length }, (_, index) => index * 7);
    assert.deepEqual(hash(message), referenceBlake2s(message));
    assert.deepEqual(mac(KEY, message), referenceBlake2s(message, 16, KEY));
    assert.deepEqual(hmacBlake2s(KEY, message), referenceHmac(KEY, message));
  }
});

Deno.test("kdf gives the outputs that wireguard-go's tests list", () => {
  for (
    const [key, input, first, second, third] of [
      [
        "746573742d6b6579",
        "746573742d696e707574",
        "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
        "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
        "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24",
      ],
      [
        "776972656775617264",
        "776972656775617264",
        "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
        "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
        "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160",
      ],
      [
        "",
        "",
        "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
        "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
        "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e",
      ],
    ] as const
  ) {
    assert.equal(toHex(kdf1(fromHex(key), fromHex(input))), first);
    assert.deepEqual(kdf2(fromHex(key), fromHex(input)).map(toHex), [first, second]);
    assert.deepEqual(kdf3(fromHex(key), fromHex(input)).map(toHex), [first, second, third]);
  }
});

Deno.test("dh gives the results of RFC 7748 sections 5.2 and 6.1", () => {
  assert.equal(
    toHex(
      dh(
        fromHex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        fromHex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
      )!,
    ),
    "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
  );
  const alice = fromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const bob = fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  assert.equal(
    toHex(publicKeyOf(alice)),
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
  );
  assert.equal(toHex(publicKeyOf(bob)), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  assert.equal(toHex(dh(alice, publicKeyOf(bob))!), shared);
  assert.equal(toHex(dh(bob, publicKeyOf(alice))!), shared);
});

Deno.test("dh refuses points of low order", () => {
  for (
    const point of [
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
  ) assert.equal(dh(KEY, fromHex(point)), undefined);
});

Deno.test("chacha20poly1305 gives the ciphertext of RFC 8439 section 2.8.2", () => {
  const sealed = chacha20poly1305(KEY, fromHex("070000004041424344454647"), ASSOCIATED).encrypt(SUNSCREEN);
  assert.equal(toHex(sealed.slice(0, 16)), "d31a8d34648e60db7b86afbc53ef7ec2");
  assert.equal(toHex(sealed.slice(-16)), "1ae10b594f09e26a7e902ecbd0600691");
});

Deno.test("xchacha20poly1305 gives the ciphertext of draft-irtf-cfrg-xchacha section A.3.1", () => {
  const nonce = fromHex("404142434445464748494a4b4c4d4e4f5051525354555657");
  const sealed = xchacha20poly1305(KEY, nonce, ASSOCIATED).encrypt(SUNSCREEN);
  assert.equal(
    toHex(sealed),
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39" +
      "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9" +
      "21f9664c97637da9768812f615c68b13b52e" + "c0875924c1c7987947deafd8780acf49",
  );
});
