/**
 * Who may use a TURN server: the long-term credential mechanism (RFC 8489 §9.2) with passwords derived from the relay's
 * secret. Refusals are signed wherever the request names a user, since Firezone's clients ignore unsigned ones.
 */

import type { SocketAddress } from "../base/ip.ts";
import type { Rng } from "../base/rng.ts";
import type { Instant, WallClock } from "../base/time.ts";
import { Attribute, type StunMessage } from "../wire/stun.ts";
import { longTermKey, parseRelayUsername, relayPassword } from "./auth.ts";
import { Nonces } from "./nonces.ts";

/** What is to be done with a request. */
export type Verdict =
  | { readonly type: "granted"; readonly username: string; readonly key: Uint8Array }
  /** To be answered with REALM and `nonce`, signed if there is a `key`. */
  | {
    readonly type: "refused";
    readonly code: 401 | 438;
    readonly nonce: string;
    readonly key: Uint8Array | undefined;
  }
  /** Not worth an answer. */
  | { readonly type: "silence" };

/** What credentials are checked against. */
export interface AuthenticatorOptions {
  /** The relay's secret, as text: what the portal was told. */
  readonly secret: string;
  readonly realm: string;
  readonly wallClock: WallClock;
  readonly rng: Rng;
}

export class Authenticator {
  readonly #secret: string;
  readonly #realm: string;
  readonly #wallClock: WallClock;
  readonly #nonces: Nonces;

  constructor({ secret, realm, wallClock, rng }: AuthenticatorOptions) {
    this.#secret = secret;
    this.#realm = realm;
    this.#wallClock = wallClock;
    this.#nonces = new Nonces(rng);
  }

  /** Judges a request that came from `client`. A use of the nonce is spent before the signature is looked at. */
  check(request: StunMessage, client: SocketAddress, now: Instant): Verdict {
    const refused = (code: 401 | 438, key: Uint8Array | undefined): Verdict => (
      { type: "refused", code, nonce: this.#nonces.issue(client), key }
    );
    if (!request.has(Attribute.Username)) return refused(401, undefined);
    const username = request.username;
    const parsed = username === undefined ? undefined : parseRelayUsername(username);
    if (username === undefined || parsed === undefined) return { type: "silence" };
    const password = relayPassword(parsed.expiry, this.#secret, parsed.salt);
    const key = longTermKey(username, this.#realm, password);
    const nonce = request.text(Attribute.Nonce);
    if (nonce === undefined || !request.has(Attribute.MessageIntegrity)) return refused(401, key);
    const check = this.#nonces.use(client, nonce);
    if (check !== "good") return refused(check === "stale" ? 438 : 401, key);
    if (this.#wallClock.instantAt(parsed.expiry) <= now) return refused(401, key);
    if (!request.verifyIntegrity(key)) return refused(401, key);
    this.#nonces.prove(client);
    return { type: "granted", username, key };
  }
}
