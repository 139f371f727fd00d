/** The outcome of decoding bytes that a peer sent: hostile input is a value, never an exception. */

/** A value, or the reason why there is none. */
export type Result<T, E = string> = { readonly ok: true; readonly value: T } | {
  readonly ok: false;
  readonly reason: E;
};

/** Returns a success that carries `value`. */
export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** Returns a failure; `reason` is a short constant, good as a counter's name ("truncated"). */
export function err<E>(reason: E): { readonly ok: false; readonly reason: E } {
  return { ok: false, reason };
}
