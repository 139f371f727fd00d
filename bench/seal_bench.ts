/**
 * One packet into a tunnel and out of the one at the other end, by every cipher there is here. The summary of each group
 * tells how many times faster than noble the native ones are.
 */

import { type CryptoProvider, nobleProvider } from "../lib/base/crypto.ts";
import { silentLog } from "../lib/base/log.ts";
import { seededRng } from "../lib/base/rng.ts";
import { WallClock } from "../lib/base/time.ts";
import { publicKeyOf } from "../lib/wireguard/noise.ts";
import { ICE_TIMERS } from "../lib/wireguard/timers.ts";
import { Tunnel } from "../lib/wireguard/tunnel.ts";
import { loadProvider, PROVIDERS } from "../io/crypto.ts";

for (const choice of PROVIDERS) {
  const provider = await loadProvider(choice);
  if (provider === undefined) continue;
  for (const length of [64, 1280]) {
    const [left, right] = connect(provider);
    const packet = provider.buffer(length);
    packet.set([0x45, 0, length >> 8, length & 0xff]);
    const wire = provider.buffer(length + 32);
    const body = wire.subarray(16);
    const isBaseline = provider === nobleProvider;
    Deno.bench(
      `${provider.name}, ${length} bytes`,
      { group: `${length} bytes`, baseline: isBaseline },
      () => {
        left.encapsulate(packet, wire, 0);
        if (right.decapsulateData(wire, body, 0) !== length) {
          throw new Error("The packet did not come through");
        }
      },
    );
  }
}

/** Returns two tunnels with a session. */
function connect(crypto: CryptoProvider): [Tunnel, Tunnel] {
  const rng = seededRng(1);
  const keys = [rng.bytes(32), rng.bytes(32)] as const;
  const tunnel = (own: Uint8Array, theirs: Uint8Array, index24: number) =>
    new Tunnel({
      staticPrivateKey: own,
      staticPublicKey: publicKeyOf(own),
      remotePublicKey: publicKeyOf(theirs),
      presharedKey: undefined,
      index24,
      crypto,
      rng,
      now: 0,
      wallClock: new WallClock(0, 1_790_000_000_000),
      timers: ICE_TIMERS,
      log: silentLog,
    });
  const left = tunnel(keys[0], keys[1], 1);
  const right = tunnel(keys[1], keys[0], 2);
  const scratch = new Uint8Array(200);
  left.startHandshake(0);
  right.decapsulate(left.pollTransmit()!, scratch, 0);
  left.decapsulate(right.pollTransmit()!, scratch, 0);
  right.decapsulate(left.pollTransmit()!, scratch, 0);
  return [left, right];
}
