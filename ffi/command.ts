/** Runs tools of the system: `resolvectl`, `resolvconf`, `scutil`. */

import { Fault } from "../lib/base/fault.ts";

/** What came of a program that was run. */
export interface ToolOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a tool may take, unless told otherwise: those of the system answer at once, their hooks may not. */
const LIMIT_MS = 10_000;
/** How long output may come after the end: what a hook started may keep the pipes open for ever. */
const REST_MS = 100;
/** timeout(1) ends so. */
const TIMED_OUT = 124;
/** More output than this is no answer to us. */
const MAX_OUTPUT_BYTES = 2 ** 20;

/**
 * Runs `tool` and returns how it ended; one that does not end is ended, with what it started, and has code 124. Throws a
 * Fault if it is not installed; `next` says what to do then.
 */
export async function runTool(
  tool: string,
  args: readonly string[],
  options: { input?: string; next?: string; limitMs?: number } = {},
): Promise<ToolOutcome> {
  const { limitMs = LIMIT_MS } = options;
  const child = spawn(tool, args, options);
  const outputs = [new Output(child.stdout), new Output(child.stderr)] as const;
  if (options.input !== undefined) void feed(child, options.input);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), limitMs));
  const status = await Promise.race([child.status, limit]);
  clearTimeout(timer);
  if (status === undefined) endGroup(child);
  const [stdout, stderr] = await Promise.all(outputs.map((output) => output.end()));
  if (status !== undefined) return { code: status.code, stdout: stdout!, stderr: stderr! };
  return { code: TIMED_OUT, stdout: stdout!, stderr: `${stderr}it did not end within ${limitMs / 1000} s` };
}

/** What a program writes. */
class Output {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  readonly #read: Promise<void>;
  #text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    this.#read = this.#collect().catch(() => {});
  }

  /** Returns what was written, a moment after the program ended. */
  async end(): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, REST_MS));
    await Promise.race([this.#read, limit]);
    clearTimeout(timer);
    await this.#reader.cancel().catch(() => {});
    return this.#text;
  }

  async #collect(): Promise<void> {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return;
      // What is too much is read all the same: the program waits for that.
      if (this.#text.length < MAX_OUTPUT_BYTES) this.#text += this.#decoder.decode(value, { stream: true });
    }
  }
}

async function feed(child: Deno.ChildProcess, input: string): Promise<void> {
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch {
    // It did not want to hear it.
  }
}

/** Ends `child` and what it waits for. */
function endGroup(child: Deno.ChildProcess): void {
  for (const pid of HAS_GROUPS ? [-child.pid, child.pid] : [child.pid]) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It ended, or is another user's.
    }
  }
}

const HAS_GROUPS = Deno.build.os !== "windows";

function spawn(
  tool: string,
  args: readonly string[],
  options: { input?: string; next?: string },
): Deno.ChildProcess {
  try {
    return new Deno.Command(tool, {
      args: [...args],
      // Services and ordinary users often lack the folders of the administrator's tools.
      env: { PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: "C" },
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      // A group of its own: to be ended with what it started, and not by Ctrl-C in the middle of a change.
      detached: HAS_GROUPS,
    }).spawn();
  } catch (cause) {
    throw new Fault("unexpected", `Cannot run "${tool}"`, {
      cause,
      ...(options.next === undefined ? {} : { next: options.next }),
    });
  }
}
