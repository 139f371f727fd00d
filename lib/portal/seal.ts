/** Text that goes out to a browser and is believed when it comes back: signed, for one purpose, for a while. */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { equalBytes, fromBase64, fromUtf8, toBase64, toHex, utf8 } from "../base/bytes.ts";

export class Sealer {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Returns `text` with its end and a signature that holds for `purpose` only. */
  seal(text: string, purpose: string, untilUnixSeconds: number): string {
    const body = `${untilUnixSeconds}.${toBase64(utf8(text))}`;
    return `${body}.${this.#sign(body, purpose)}`;
  }

  /** Returns the text in `sealed`, or undefined if it was not sealed for `purpose` or its time is over. */
  unseal(sealed: string, purpose: string, unixSeconds: number): string | undefined {
    const match = /^((\d{1,12})\.([A-Za-z0-9+/=]*))\.([0-9a-f]{64})$/.exec(sealed);
    if (match === null) return undefined;
    const [, body = "", until, text = "", signature = ""] = match;
    if (!equalBytes(utf8(signature), utf8(this.#sign(body, purpose)))) return undefined;
    const bytes = Number(until) > unixSeconds ? fromBase64(text) : undefined;
    return bytes === undefined ? undefined : fromUtf8(bytes);
  }

  #sign(body: string, purpose: string): string {
    return toHex(hmac(sha256, this.#key, utf8(`${purpose}\n${body}`)));
  }
}
