/** A process in the lab: its output so far, waiting for a line of it, ending it. */

/** What a finished command left. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is started on a host of the lab. */
export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Without it standard input is /dev/null. */
  readonly input?: string | Uint8Array;
}

/** Output kept per stream; older text is forgotten. */
const KEPT_CHARACTERS = 4 * 1024 * 1024;

/** Bounds of what hangs, on machines of any speed. */
const PATIENCE_MS = 90_000;
const GRACE_MS = 30_000;

export class LabProcess {
  readonly pid: number;
  readonly command: readonly string[];
  /** Resolves when the process ended and all output is read. */
  readonly outcome: Promise<Outcome>;
  #stdout = "";
  #stderr = "";
  #ended = false;
  readonly #child: Deno.ChildProcess;
  readonly #waiters = new Set<() => void>();

  /** `argv` is what runs (with the lab's wrappers), `command` what a reader should see. */
  constructor(argv: readonly string[], command: readonly string[], options: SpawnOptions & { path: string }) {
    this.command = command;
    this.#child = new Deno.Command(argv[0]!, {
      args: argv.slice(1),
      // What it writes is read by us, wherever our own output goes.
      env: { PATH: options.path, FORCE_COLOR: "", ...options.env },
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.outcome = this.#finish(options.input);
  }

  /** What the process has written to standard output. */
  get stdout(): string {
    return this.#stdout;
  }

  /** What the process has written to standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Whether the process has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Returns the first match of `pattern` in standard output or standard error, at once or when it appears. Throws with
   * the output so far if the process ends or `timeoutMs` passes without one.
   */
  async waitFor(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<RegExpExecArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
      if (match !== null) return match;
      const left = deadline - performance.now();
      if (this.#ended || left <= 0) {
        const why = this.#ended ? "the process ended" : `${timeoutMs} ms passed`;
        throw new Error(
          `Waiting for ${pattern} from "${this.command.join(" ")}": ${why}\n${this.describe()}`,
        );
      }
      await this.#change(left);
    }
  }

  /** Sends `signal`. Does nothing if the process has ended. */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
  }

  /** Asks the process to end, insists after `graceMs`, ends its children too, and returns its outcome. */
  async stop(graceMs = GRACE_MS): Promise<Outcome> {
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), graceMs);
    try {
      await this.#child.status;
    } finally {
      clearTimeout(timer);
    }
    // Children that outlive it would hold its output open. It leads a session, hence a group, of its own.
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch {
      // There are none.
    }
    return await this.outcome;
  }

  /** Returns the output so far, for error messages. */
  describe(): string {
    return `--- stdout\n${this.#stdout.slice(-4000)}\n--- stderr\n${this.#stderr.slice(-4000)}`;
  }

  async #finish(input: string | Uint8Array | undefined): Promise<Outcome> {
    const feed = input === undefined ? undefined : this.#feed(input);
    const [status] = await Promise.all([
      this.#child.status,
      this.#collect(
        this.#child.stdout,
        (text) => this.#stdout = (this.#stdout + text).slice(-KEPT_CHARACTERS),
      ),
      this.#collect(
        this.#child.stderr,
        (text) => this.#stderr = (this.#stderr + text).slice(-KEPT_CHARACTERS),
      ),
      feed,
    ]);
    this.#ended = true;
    this.#notify();
    return { code: status.code, stdout: this.#stdout, stderr: this.#stderr };
  }

  async #feed(input: string | Uint8Array): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    try {
      await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input.slice());
      await writer.close();
    } catch {
      // It closed its standard input before it had read everything.
    }
  }

  async #collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      add(decoder.decode(chunk, { stream: true }));
      this.#notify();
    }
  }

  #notify(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  async #change(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#waiters.add(resolve);
      timer = setTimeout(() => {
        this.#waiters.delete(resolve);
        resolve();
      }, timeoutMs);
    });
    clearTimeout(timer);
  }
}
