/** The parts of a bundle before redaction: each bounded in size and time, and missing rather than in the way. */

import { Fault } from "../../lib/base/fault.ts";

/** A part of a bundle, or why it is not there. */
export type Part =
  | { readonly type: "document"; readonly name: string; readonly value: unknown }
  /** Documents, one a line. */
  | { readonly type: "lines"; readonly name: string; readonly values: readonly unknown[] }
  | { readonly type: "text"; readonly name: string; readonly text: string }
  | { readonly type: "missing"; readonly name: string; readonly reason: string };

/** Longest part, in characters; what is longer loses its beginning. */
export const MAX_PART_LENGTH = 8 * 2 ** 20;
const MAX_FILE_BYTES = 65_536;
const COMMAND_LIMIT_MS = 5000;

/** Returns what `gather` returns, or that it is missing and why. */
export async function part(name: string, gather: () => Part | Promise<Part>): Promise<Part> {
  try {
    return await gather();
  } catch (error) {
    return { type: "missing", name, reason: reasonOf(error) };
  }
}

/** Returns the beginning of the file at `path` as a part. */
export async function filePart(name: string, path: string): Promise<Part> {
  return await part(name, async () => {
    // Opening a pipe would wait for somebody who writes.
    if (!(await Deno.stat(path)).isFile) throw new Error("it is not a file");
    using file = await Deno.open(path);
    const bytes = new Uint8Array(MAX_FILE_BYTES);
    const length = await file.read(bytes) ?? 0;
    return { type: "text", name, text: new TextDecoder().decode(bytes.subarray(0, length)) };
  });
}

/** Returns what a program printed as a part. */
export async function commandPart(name: string, command: string, ...args: string[]): Promise<Part> {
  return await part(name, async () => {
    const { stdout, stderr } = await new Deno.Command(command, {
      args,
      env: { PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: "C" },
      signal: AbortSignal.timeout(COMMAND_LIMIT_MS),
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return {
      type: "text",
      name,
      text: `$ ${[command, ...args].join(" ")}\n${decoder.decode(stdout)}${decoder.decode(stderr)}`,
    };
  });
}

/** Returns one line about `error`. */
export function reasonOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  if (error instanceof Deno.errors.NotFound) return "there is none";
  return error instanceof Error ? error.message : String(error);
}
