/**
 * Secrets in the environment. What the kernel put on a new process's stack stays to be read in /proc/PID/environ for the
 * life of the process (proc_pid_environ(5)), also after a variable was removed: so it is written over where it lies.
 */

import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/**
 * Takes the variable `name` with its value out of /proc/PID/environ. The process itself has it as before, and hands it
 * on to a program that it becomes. Nothing happens if there is none.
 */
export function hideVariable(name: string): void {
  const value = Deno.env.get(name);
  if (value === undefined) return;
  const bytes = new TextEncoder().encode(`${name}\0`);
  const block = arena.allocate(bytes.length);
  arena.bytes.set(bytes, block);
  const place = libc.getenv(arena.address(block));
  arena.release(block, bytes.length);
  if (place === null) return;
  const start = Deno.UnsafePointer.offset(place, -bytes.length);
  const length = bytes.length + new TextEncoder().encode(value).length;
  if (start === null) return;
  // Out of the list before it is spoilt; set again it lies in memory that /proc does not show.
  Deno.env.delete(name);
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(start, length)).fill(0);
  Deno.env.set(name, value);
}
