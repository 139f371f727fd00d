/**
 * A program that is killed after one of the system calls by which it changes its machine: strace(1) has every such call
 * end in SIGSTOP, whichever thread or child makes it, and who counts here lets it go on by SIGCONT. (strace's own
 * counting, "when=N", is one count per thread; its "--seccomp-bpf" loses the signals.)
 */

import type { Host } from "../../../io/lab/host.ts";

/** How a program is run step by step. */
export interface StepperOptions {
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The id of a process that runs already, as this process sees it, instead of `command`. */
  readonly attachTo?: number;
  /** Number of the step after which the program is killed, from 1; or what the first such step looks like. */
  readonly killAt: number | RegExp;
}

/** How it went. */
export interface StepperOutcome {
  /** The step that was the last one, as strace tells it; undefined: the program ended before it came so far. */
  readonly killedAfter: string | undefined;
  /** Steps that were counted. */
  readonly steps: readonly string[];
  readonly stderr: string;
}

/** Calls that can change a machine. What else they are used for is passed over by looking at their arguments. */
const CALLS = [
  ...["sendto", "sendmsg", "ioctl", "write", "pwrite64", "writev", "ftruncate"],
  ...["fsync", "fdatasync", "openat"],
  ...["rename", "renameat", "renameat2", "unlink", "unlinkat", "symlink", "symlinkat", "link", "linkat"],
  ...["mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"],
].join(",");

/** What counts as a step. Logs, caches, packets and events are no changes of the machine. */
const COUNTED = [
  /^(sendto|sendmsg|write)\(\d+<NETLINK:(?!.*RTM_GET)/,
  /TUNSETIFF|TUNSETPERSIST|SIOCS/,
  /^(sendmsg|sendto|write|writev)\(\d+<(UNIX|socket).*(resolve1|NetworkManager)/,
  /^(write|pwrite64|writev|ftruncate|fsync|fdatasync)\(\d+<\/(etc|run\/fz|run\/resolvconf|var\/lib\/fz|proc\/sys)\b/,
  /^openat\([^)]*"\/(etc|run\/fz|run\/resolvconf|var\/lib\/fz|proc\/sys)\/[^)]*O_(WRONLY|RDWR|CREAT)/,
  /^(rename|unlink|symlink|link|mkdir|chmod|fchmod|chown|fchown)[a-z0-9]*\([^)]*\/(etc|run\/fz|run\/resolvconf|var\/lib\/fz)\b/,
];

export class Stepper {
  readonly outcome: Promise<StepperOutcome>;
  /** Resolves when a process that runs already is watched. */
  readonly attached: Promise<void>;
  readonly #child: Deno.ChildProcess;
  readonly #steps: string[] = [];
  readonly #attached = Promise.withResolvers<void>();
  readonly #options: StepperOptions;
  #first: number | undefined;
  #killedAfter: string | undefined;
  readonly #threads = new Set<number>();
  /** The thread that made the last call, until the program is killed. */
  #due: string | undefined;
  /** Resolves when the program was killed; with undefined if it ended before. */
  readonly killed = Promise.withResolvers<number | undefined>();

  constructor(host: Host, options: StepperOptions) {
    this.#options = options;
    const { command, env, attachTo } = options;
    this.#first = attachTo;
    const enter = ["-t", String(host.pid), "-m", "-n", "-u", "--", "env", "-C", Deno.cwd(), "setsid"];
    const strace = [
      "strace",
      "-f",
      ...(attachTo === undefined ? ["-q"] : []),
      "-yy",
      "-s",
      "200",
      "-o",
      "/dev/stdout",
      "-e",
      `trace=${CALLS}`,
    ];
    const inject = ["-e", `inject=${CALLS}:signal=SIGSTOP`];
    const what = attachTo === undefined ? ["--", ...command ?? []] : ["-p", String(attachTo)];
    this.#child = new Deno.Command("nsenter", {
      args: [...enter, ...strace, ...inject, ...what],
      env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin`, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.attached = this.#attached.promise;
    this.outcome = this.#run();
  }

  async #run(): Promise<StepperOutcome> {
    const stderr = this.#readErrors();
    let rest = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#handle(line);
    }
    await this.#child.status;
    this.killed.resolve(undefined);
    return { killedAfter: this.#killedAfter, steps: this.#steps, stderr: await stderr };
  }

  /** Who outlives the program goes on without strace, which may turn in circles from now on. */
  #kill(): void {
    signal(this.#first!, "SIGKILL");
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // The program ended by itself while its last steps were read: it must have left nothing either.
    }
    this.killed.resolve(performance.now());
    void this.#child.status.then(() => this.#threads.forEach((thread) => signal(thread, "SIGCONT")));
  }

  /** strace says when it is there. */
  async #readErrors(): Promise<string> {
    let text = "";
    for await (const chunk of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (/strace: Process \d+ attached/.test(text)) this.#attached.resolve();
    }
    this.#attached.resolve();
    return text;
  }

  #handle(line: string): void {
    const [, thread, text] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (thread === undefined || text === undefined || text.startsWith("<...")) return;
    this.#first ??= Number(thread);
    this.#threads.add(Number(thread));
    if (thread === this.#due) {
      // Usually at its SIGSTOP. One may get lost when another thread is let go on at that moment.
      this.#due = undefined;
      this.#killedAfter = this.#steps.at(-1);
      this.#kill();
      return;
    }
    if (/^\w+\(/.test(text) && COUNTED.some((pattern) => pattern.test(text)) && !text.includes("EEXIST")) {
      this.#steps.push(text);
      const { killAt } = this.#options;
      const isDue = typeof killAt === "number" ? this.#steps.length === killAt : killAt.test(text);
      if (isDue) this.#due = thread;
    }
    // A thread's id does for its process.
    if (text.startsWith("--- SIGSTOP")) signal(Number(thread), "SIGCONT");
  }
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It has ended.
  }
}
