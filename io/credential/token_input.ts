/** Reads what a person or script hands over as a token: bounded, whatever is at the other end. */

import { Fault } from "../../lib/base/fault.ts";
import { MAX_TYPED_BYTES } from "../../lib/control/typed_line.ts";

/** Returns the text of standard input or of a file, cut at a limit that no token reaches. */
export async function readTokenInput(source: "stdin" | { readonly path: string }): Promise<string> {
  if (source === "stdin") return await readBounded(Deno.stdin);
  try {
    // Also a pipe, since shells hand one over for <(command); there is nothing to judge about who else may read it.
    using file = await Deno.open(source.path);
    return await readBounded(file);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound
      ? "there is no such file"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new Fault("usage", `Cannot read the token in "${source.path}": ${reason}`, { cause });
  }
}

async function readBounded(reader: { read(bytes: Uint8Array): Promise<number | null> }): Promise<string> {
  const bytes = new Uint8Array(MAX_TYPED_BYTES);
  let length = 0;
  while (length < bytes.length) {
    const count = await reader.read(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}
