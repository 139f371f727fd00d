/** Credentials of profiles: what is known of who is signed in, and what the shell offers to change it. */

/** Who a token signs in, as far as its portal told. Nothing here is secret. */
export interface Identity {
  /** Base URL of the portal that the token is for. */
  readonly portal: string;
  readonly account?: { readonly slug?: string | undefined; readonly name?: string | undefined } | undefined;
  readonly actor?:
    | {
      readonly name?: string | undefined;
      readonly email?: string | undefined;
      readonly type?: string | undefined;
    }
    | undefined;
  /** RFC 3339; null: the token does not expire; undefined: the portal does not tell. */
  readonly expiresAt?: string | null | undefined;
  /** RFC 3339. */
  readonly signedInAt?: string | undefined;
}

/** What a portal said to a token. */
export interface SignIn {
  readonly account?: Identity["account"];
  readonly actor?: Identity["actor"];
  readonly expiresAt?: Identity["expiresAt"];
  /** How many resources it opens; undefined if a running session kept us from joining. */
  readonly resources?: number | undefined;
  /** The addresses that this device has in the tunnel. */
  readonly addresses?: readonly string[] | undefined;
}

/** Which token to try, and how. */
export interface SignInRequest {
  readonly apiUrl: string;
  readonly token: string;
  /** Name and identity of this device; those of the machine where undefined. */
  readonly name: string | undefined;
  readonly id: string | undefined;
  /**
   * Only asks whether the token is good: a portal keeps one connection of a device, and a session of this machine has it.
   */
  readonly isGentle: boolean;
}

/** How a portal answered the wish to sign out. */
export type Revocation =
  | { readonly type: "revoked" }
  /** The token was dead already. */
  | { readonly type: "dead" }
  /** It may be signed out by an administrator only, or the portal has no such thing. */
  | { readonly type: "not-offered" }
  /** Nobody answered; `reason` is the end of a sentence. */
  | { readonly type: "failed"; readonly reason: string };

/** What the machine does about credentials. Every function may throw a `Fault`. */
export interface Credentials {
  /** Returns whether there is a token file at `path`, whatever it holds. */
  exists(path: string): Promise<boolean>;
  /** Returns what was stored about `token` beside the file at `path`; undefined if that is about another one. */
  identity(path: string, token: string): Promise<Identity | undefined>;
  /** Puts `token` in place of what is at `path`: whole or not at all, and for nobody else to read. */
  store(path: string, token: string, identity: Identity): Promise<void>;
  /** Removes token and identity; returns whether there was a token. */
  remove(path: string): Promise<boolean>;
  /** Returns what the portal says to a token. Throws "rejected", "expired" or "unreachable". */
  signIn(request: SignInRequest): Promise<SignIn>;
  /**
   * Returns whom the portal knows the token as; undefined if it does not tell or cannot be asked. Throws "rejected" or
   * "expired" if it says that the token is dead.
   */
  ask(apiUrl: string, token: string): Promise<SignIn | undefined>;
  /** Asks the portal to forget the token. */
  revoke(apiUrl: string, token: string): Promise<Revocation>;
  /** Returns what standard input or a file holds, up to a limit beyond any token. */
  readInput(source: "stdin" | { readonly path: string }): Promise<string>;
  /** Shows `url` in a browser of this person, if there is one here; returns whether one was started. */
  openBrowser(url: string): Promise<boolean>;
  /** Returns how portals know this machine; `id` is undefined if it has no identity yet. */
  device(
    configured: { readonly name: string | undefined; readonly id: string | undefined },
  ): Promise<{ readonly name: string; readonly id: string | undefined }>;
}
