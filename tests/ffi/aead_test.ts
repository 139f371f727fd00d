/** Every native provider that this machine has against noble. Needs --allow-ffi. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type CryptoProvider, nobleProvider, TAG_LENGTH } from "../../lib/base/crypto.ts";
import { Fault } from "../../lib/base/fault.ts";
import { arena } from "../../ffi/memory.ts";
import { chooseProvider, loadProvider, PROVIDERS } from "../../io/crypto.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, index) => 200 - index);

const length = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constantFrom(1280, 1312, 65_519), fc.nat(3000));
const counter = fc.oneof(
  fc.nat(1000),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 3, Number.MAX_SAFE_INTEGER),
  fc.maxSafeNat(),
);
/** A packet, cheap to shrink. */
const packet = fc.tuple(length, fc.nat(255)).map(([count, seed]) =>
  Uint8Array.from({ length: count }, (_, index) => index * 7 + seed)
);

for (const choice of PROVIDERS) {
  const provider = await loadProvider(choice);
  if (provider !== undefined) conformance(choice, provider);
}

function conformance(choice: string, provider: CryptoProvider): void {
  Deno.test(`${choice} names itself and, where it is a library, its version`, () => {
    assert.match(provider.name, choice === "noble" ? /^noble$/ : new RegExp(`^${choice} \\d+\\.\\d+`));
  });

  Deno.test(`${choice} seals like noble and opens what noble sealed`, () => {
    const reference = nobleProvider.aead(KEY);
    const context = provider.aead(KEY);
    fc.assert(
      fc.property(counter, packet, (count, plaintext) => {
        const expected = new Uint8Array(plaintext.length + TAG_LENGTH);
        reference.seal(count, plaintext, expected);
        const sealed = new Uint8Array(plaintext.length + TAG_LENGTH + 5).fill(0xee);
        context.seal(count, plaintext, sealed);
        assert.deepEqual(sealed.subarray(0, expected.length), expected);
        assert.deepEqual(sealed.subarray(expected.length), new Uint8Array(5).fill(0xee));
        const opened = new Uint8Array(plaintext.length + 5).fill(0xee);
        assert.equal(context.open(count, expected, opened), true);
        assert.deepEqual(opened.subarray(0, plaintext.length), plaintext);
        assert.deepEqual(opened.subarray(plaintext.length), new Uint8Array(5).fill(0xee));
      }),
      { numRuns: 60 },
    );
    context.destroy();
  });

  Deno.test(`${choice} refuses forgeries, and gives no plaintext away`, () => {
    const context = provider.aead(KEY);
    fc.assert(
      fc.property(
        counter,
        packet,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (count, plaintext, at, flip) => {
          const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
          context.seal(count, plaintext, sealed);
          const opened = new Uint8Array(plaintext.length);
          assert.equal(context.open(count === 0 ? 1 : count - 1, sealed, opened), false);
          sealed[at % sealed.length]! ^= flip;
          assert.equal(context.open(count, sealed, opened), false);
          if (plaintext.length > 8) assert.notDeepEqual(opened, plaintext);
          assert.equal(context.open(count, sealed.subarray(0, at % TAG_LENGTH), opened), false);
        },
      ),
      { numRuns: 60 },
    );
    context.destroy();
  });

  Deno.test(`${choice} works in place, in its own buffer and outside of it, in any mixture`, () => {
    const context = provider.aead(KEY);
    const inside = provider.buffer(4096);
    const outside = new Uint8Array(4096);
    const plaintext = Uint8Array.from({ length: 1280 }, (_, index) => index * 3);
    const expected = new Uint8Array(1296);
    nobleProvider.aead(KEY).seal(9, plaintext, expected);
    for (const source of [inside, outside]) {
      for (const target of [inside, outside]) {
        for (const isInPlace of source === target ? [true, false] : [false]) {
          const sourceAt = 20;
          const targetAt = isInPlace ? sourceAt : 2000;
          source.set(plaintext, sourceAt);
          context.seal(9, source.subarray(sourceAt, sourceAt + 1280), target.subarray(targetAt));
          assert.deepEqual(target.slice(targetAt, targetAt + 1296), expected);

          source.set(expected, sourceAt);
          const sealed = source.subarray(sourceAt, sourceAt + 1296);
          assert.equal(context.open(9, sealed, target.subarray(targetAt, targetAt + 1280)), true);
          assert.deepEqual(target.slice(targetAt, targetAt + 1280), plaintext);

          source.set(expected, sourceAt);
          const framed = source.subarray(sourceAt - 16, sourceAt + 1296);
          assert.equal(context.open(9, framed, target.subarray(targetAt, targetAt + 1280), 16), true);
          assert.deepEqual(target.slice(targetAt, targetAt + 1280), plaintext);

          target.fill(0);
          source.set(expected, sourceAt);
          source[sourceAt + 1290]! ^= 1;
          assert.equal(context.open(9, sealed, target.subarray(targetAt)), false);
          assert.notDeepEqual(target.slice(targetAt, targetAt + 1280), plaintext);
        }
      }
    }
    context.destroy();
  });

  Deno.test(`${choice} never writes past a buffer that is too small`, () => {
    const context = provider.aead(KEY);
    for (const buffer of [new Uint8Array(64), provider.buffer(64)]) {
      assert.throws(() => context.seal(0, new Uint8Array(60), buffer.subarray(0, 64)));
    }
    context.destroy();
  });

  Deno.test(`${choice} keeps contexts apart and frees them`, () => {
    const plaintext = new Uint8Array(64);
    const sealed = new Uint8Array(80);
    const resident = () => Deno.memoryUsage().rss;
    const churn = (count: number) => {
      for (let index = 0; index < count; index++) {
        const key = KEY.slice();
        key[0] = index;
        const context = provider.aead(key);
        const other = provider.aead(KEY);
        context.seal(1, plaintext, sealed);
        if (index % 256 !== KEY[0]) assert.equal(other.open(1, sealed, new Uint8Array(64)), false);
        assert.equal(context.open(1, sealed, new Uint8Array(64)), true);
        context.destroy();
        other.destroy();
      }
    };
    churn(500);
    const before = resident();
    churn(choice === "noble" ? 500 : 20_000);
    // 20,000 leaked pairs of the smallest context would be 20 MB and more.
    assert.ok(resident() - before < 16e6, `${resident() - before} bytes grew`);
  });
}

Deno.test("chooseProvider takes the preference, or a native library where there is one", async () => {
  assert.equal((await chooseProvider("noble")).name, "noble");
  const natives = await Promise.all(PROVIDERS.map(loadProvider));
  const best = natives.find((provider) => provider !== undefined)!;
  assert.equal((await chooseProvider("")).name, best.name);
  assert.equal((await chooseProvider(best.name.split(" ")[0])).name, best.name);
});

Deno.test("chooseProvider reports a preference that cannot be had", async () => {
  await assert.rejects(chooseProvider("rot13"), (error) => error instanceof Fault && error.code === "usage");
});

Deno.test("arena lends its memory to the providers' buffers", async () => {
  const native = (await Promise.all(PROVIDERS.map(loadProvider))).find((one) => one?.name !== "noble");
  if (native !== undefined) assert.notEqual(arena.addressOf(native.buffer(16)), undefined);
});
