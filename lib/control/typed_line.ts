/**
 * A line that a person types or pastes into a terminal in raw mode, where nothing is shown and no key has a meaning but
 * those given here. Fed with bytes as they come; bracketed paste is understood.
 */

/** How a line ended. */
export type TypedLine =
  | { readonly type: "text"; readonly text: string }
  /** Ctrl+D on an empty line, or the terminal is gone. */
  | { readonly type: "cancelled" }
  /** Ctrl+C. */
  | { readonly type: "interrupted" };

/** Longest line kept, in bytes: what comes after it changes nothing but that the line is too long for a token. */
export const MAX_TYPED_BYTES = 64 * 1024;

/** Asks a terminal to mark what is pasted, and to stop doing so. */
export const PASTE_MARKS = { on: "\x1b[?2004h", off: "\x1b[?2004l" } as const;

export class TypedLineReader {
  #bytes: number[] = [];
  /** An escape sequence that has begun. */
  #escape: string | undefined;
  #isPasting = false;

  /** Takes bytes; returns how the line ended, or undefined if it goes on. What follows the end is dropped. */
  handleBytes(bytes: Uint8Array): TypedLine | undefined {
    for (const byte of bytes) {
      const end = this.#escape === undefined ? this.#handleByte(byte) : this.#handleEscape(byte);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  #handleByte(byte: number): TypedLine | undefined {
    switch (byte) {
      case CTRL_C:
        return { type: "interrupted" };
      case ESCAPE:
        this.#escape = "";
        return undefined;
      case RETURN:
      case NEWLINE:
        // Inside a paste it is part of the text: a token that was wrapped must not be cut at its first line.
        if (!this.#isPasting) return this.#end();
        return this.#keep(byte);
      case CTRL_D:
        return this.#bytes.length === 0 ? { type: "cancelled" } : undefined;
      case BACKSPACE:
      case DELETE:
        this.#dropCharacter();
        return undefined;
      case CTRL_U:
      case CTRL_W:
        this.#bytes = [];
        return undefined;
      default:
        return this.#keep(byte);
    }
  }

  /** Sequences of keys such as arrows are skipped; those around a paste count. */
  #handleEscape(byte: number): TypedLine | undefined {
    if (byte < SPACE) {
      // The Escape key alone, before a key that counts.
      this.#escape = undefined;
      return this.#handleByte(byte);
    }
    const text = this.#escape + String.fromCharCode(byte);
    const isOver = text.length === 1 ? text !== "[" && text !== "O" : byte >= 0x40 && byte <= 0x7e;
    this.#escape = isOver || text.length > MAX_ESCAPE ? undefined : text;
    if (text === "[200~") this.#isPasting = true;
    if (text !== "[201~") return undefined;
    this.#isPasting = false;
    // What was copied with its line break needs no Enter.
    const last = this.#bytes.at(-1);
    return last === RETURN || last === NEWLINE ? this.#end() : undefined;
  }

  #keep(byte: number): undefined {
    if (this.#bytes.length < MAX_TYPED_BYTES) this.#bytes.push(byte);
  }

  #dropCharacter(): void {
    // The bytes of a character of UTF-8 behind its first are 10xxxxxx.
    while (this.#bytes.length > 0 && (this.#bytes.pop()! & 0xc0) === 0x80);
  }

  #end(): TypedLine {
    return { type: "text", text: new TextDecoder().decode(Uint8Array.from(this.#bytes)) };
  }
}

const CTRL_C = 0x03;
const CTRL_D = 0x04;
const BACKSPACE = 0x08;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const CTRL_U = 0x15;
const CTRL_W = 0x17;
const ESCAPE = 0x1b;
const SPACE = 0x20;
const DELETE = 0x7f;
const MAX_ESCAPE = 16;
