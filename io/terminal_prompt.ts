/** Asks the person at the terminal. Questions go to standard error, since standard output is for answers. */

import { PASTE_MARKS, type TypedLine, TypedLineReader } from "../lib/control/typed_line.ts";
import { listenSignals } from "./process_context.ts";

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
const MAX_ANSWER_BYTES = 256;

/** Asks for a line and shows nothing of it. The terminal is as before afterwards, also when a signal ends the program. */
export async function promptSecret(question: string): Promise<TypedLine> {
  const reader = new TypedLineReader();
  const restore = () => {
    Deno.stdin.setRaw(false);
    write(`${PASTE_MARKS.off}\n`);
  };
  const signals = Deno.build.os === "windows" ? ["SIGINT" as const] : Object.keys(SIGNAL_NUMBERS);
  const unlisten = listenSignals(signals as (keyof typeof SIGNAL_NUMBERS)[], (name) => {
    restore();
    Deno.exit(128 + SIGNAL_NUMBERS[name]);
  });
  Deno.stdin.setRaw(true);
  write(`${question}${PASTE_MARKS.on}`);
  try {
    const bytes = new Uint8Array(4096);
    for (;;) {
      const count = await Deno.stdin.read(bytes);
      if (count === null) return { type: "cancelled" };
      const line = reader.handleBytes(bytes.subarray(0, count));
      if (line !== undefined) return line;
    }
  } finally {
    restore();
    unlisten();
  }
}

/** Asks a question; anything but "y" and "yes" is a no, also the end of the input. */
export async function promptConfirm(question: string): Promise<boolean> {
  write(`${question} [y/N] `);
  const bytes = new Uint8Array(MAX_ANSWER_BYTES);
  let text = "";
  while (!text.includes("\n") && text.length < MAX_ANSWER_BYTES) {
    const count = await Deno.stdin.read(bytes);
    if (count === null) {
      write("\n");
      break;
    }
    text += new TextDecoder().decode(bytes.subarray(0, count));
  }
  return /^\s*y(es)?\s*$/i.test(text);
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
