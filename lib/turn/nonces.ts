/**
 * The nonces a TURN server hands out: UUIDs, good for many uses by one client socket. Bounded: whoever floods us with
 * requests drives out only nonces that were never used with good credentials.
 */

import { assert } from "../base/assert.ts";
import { equalBytes, toHex, utf8 } from "../base/bytes.ts";
import type { AddressKey, SocketAddress } from "../base/ip.ts";
import type { Rng } from "../base/rng.ts";

/** What a request's nonce is worth. */
export type NonceCheck = "good" | "malformed" | "stale";

const MAX_USES = 10_000;
const MAX_UNPROVEN = 8_192;
const MAX_PROVEN = 65_536;

export class Nonces {
  readonly #rng: Rng;
  readonly #unproven = new Map<AddressKey, Nonce>();
  readonly #proven = new Map<AddressKey, Nonce>();

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** How many clients have a nonce. */
  get size(): number {
    return this.#unproven.size + this.#proven.size;
  }

  /** Returns the nonce of `client`: the one it has, if that has uses left, or a new one. */
  issue(client: SocketAddress): string {
    const known = this.#find(client);
    if (known !== undefined && known.usesLeft > 0) return known.text;
    const nonce = { text: uuid(this.#rng), usesLeft: MAX_USES };
    this.#proven.delete(client.key);
    insert(this.#unproven, client.key, nonce, MAX_UNPROVEN);
    return nonce.text;
  }

  /** Takes one use of the nonce `text` of `client`. */
  use(client: SocketAddress, text: string): NonceCheck {
    if (!UUID.test(text)) return "malformed";
    const known = this.#find(client);
    if (known === undefined || known.usesLeft === 0) return "stale";
    if (!equalBytes(utf8(known.text), utf8(text.toLowerCase()))) return "stale";
    known.usesLeft--;
    return "good";
  }

  /** Notes that `client` used its nonce with good credentials. */
  prove(client: SocketAddress): void {
    const nonce = this.#unproven.get(client.key);
    if (nonce === undefined) return;
    this.#unproven.delete(client.key);
    insert(this.#proven, client.key, nonce, MAX_PROVEN);
  }

  #find(client: SocketAddress): Nonce | undefined {
    return this.#proven.get(client.key) ?? this.#unproven.get(client.key);
  }
}

interface Nonce {
  readonly text: string;
  usesLeft: number;
}

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** Returns a random UUID (RFC 9562 §5.4). */
function uuid(rng: Rng): string {
  const bytes = rng.bytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = toHex(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Adds an entry as the newest; the oldest leaves if there are too many. */
function insert(map: Map<AddressKey, Nonce>, key: AddressKey, nonce: Nonce, limit: number): void {
  map.delete(key);
  map.set(key, nonce);
  if (map.size <= limit) return;
  const oldest = map.keys().next();
  assert(!oldest.done, "a map over its limit is not empty");
  map.delete(oldest.value);
}
