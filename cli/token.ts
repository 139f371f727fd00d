/** Where a role's token comes from: the environment, then a file; never an argument. */

import { Fault } from "../lib/base/fault.ts";
import type { CliContext } from "./context.ts";

const VARIABLE = "FIREZONE_TOKEN";

/** Returns the token and removes it from the environment. Throws `Fault` "rejected" if there is none. */
export async function takeToken(context: CliContext, path: string): Promise<string> {
  const given = context.env.get(VARIABLE)?.trim();
  context.env.delete(VARIABLE);
  if (given !== undefined && given !== "") return checked(given, `the variable ${VARIABLE}`);
  const stored = await context.host.readToken(path);
  if (stored !== undefined) return checked(stored.trim(), `"${path}"`);
  throw new Fault("rejected", `Cannot sign in: there is no token in ${VARIABLE}, and no file "${path}"`, {
    next: `Set ${VARIABLE}, or write the token to that file with mode 600.`,
  });
}

/** A token goes into a header: white space or control characters in it mean that something else was pasted. */
function checked(token: string, place: string): string {
  if (token === "") throw new Fault("rejected", `Cannot sign in: the token in ${place} is empty`);
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Fault("rejected", `Cannot sign in: what is in ${place} is not a token`, {
      next: "A token is one line of printable characters without spaces.",
    });
  }
  return token;
}
