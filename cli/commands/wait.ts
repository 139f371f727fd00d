/** `fz wait`: returns when resources really answer, or says why they do not. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { multiple, withDefault } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import { printable } from "../../lib/base/text.ts";
import type { Duration } from "../../lib/base/time.ts";
import type { ProbeEvent, Problem } from "../../lib/control/api.ts";
import { defineCommand } from "../command.ts";
import type { CliContext, SignalName } from "../context.ts";
import { EXIT_OK, exitCodeOf, exitCodeOfSignal } from "../exit.ts";
import { DURATION, oneOrMore, plainFlag } from "../options.ts";
import { canRedraw, printError, printNote, printText } from "../output.ts";
import { replyLine, stageText } from "../probe_text.ts";
import { cut } from "../table.ts";
import { RESOURCE } from "../values.ts";

const DEFAULT_TIMEOUT_MS = 60_000;

interface WaitOptions {
  readonly targets: readonly string[];
  readonly timeout: Duration;
  readonly json: boolean;
  readonly quiet: boolean;
}

export const waitCommand = defineCommand<WaitOptions>({
  name: "wait",
  brief: message`Wait until resources answer.`,
  description:
    message`Asks for access, connects and probes, until every target has answered once: an echo request, a TCP handshake, or, \
where a resource is more than one machine and only the resource was named, its gateway. Exits with the code of what is in the way if that takes too \
long. What only a person can change, like being signed out, is not waited for.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz wait gitlab")}${lineBreak()}
  ${commandLine("fz wait db.corp.example:5432 10.0.3.7 --timeout 2m")}`,
  options: () =>
    object({
      targets: multiple(
        argument(RESOURCE, {
          description: message`Resources, names or addresses, each with ${":PORT"} at will.`,
        }),
        { ...oneOrMore("RESOURCE"), max: 64 },
      ),
      timeout: withDefault(
        option("--timeout", DURATION, { description: message`How long to wait, in all.` }),
        DEFAULT_TIMEOUT_MS,
        { message: message`60s` },
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document a line.` }),
      quiet: plainFlag(["-q", "--quiet"], {
        description: message`Print nothing but what is in the way at the end.`,
      }),
    }),
  async run(options, context) {
    const control = await context.host.control("read");
    const abort = new AbortController();
    let interruptedBy: SignalName | undefined;
    const unlisten = context.signals.listen(["SIGINT", "SIGTERM"], (name) => {
      interruptedBy ??= name;
      abort.abort();
    });
    const report = new Report(options, context);
    try {
      const request = { targets: [...options.targets], timeoutMs: options.timeout };
      for await (const event of control.lines("wait", request, abort.signal)) report.take(event);
    } finally {
      report.end();
      unlisten();
    }
    return interruptedBy === undefined ? report.finish() : exitCodeOfSignal(interruptedBy);
  },
});

/** What there is to tell while it waits, and the end of it. */
class Report {
  readonly #options: WaitOptions;
  readonly #context: CliContext;
  readonly #open: Set<string>;
  readonly #problems = new Map<string, Problem>();
  #hasLine = false;

  constructor(options: WaitOptions, context: CliContext) {
    this.#options = options;
    this.#context = context;
    this.#open = new Set(options.targets);
  }

  take(event: ProbeEvent): void {
    const { json, quiet } = this.#options;
    if (event.event === "failure") this.#problems.set(event.target, event.problem);
    if (event.event === "done" && event.received > 0) this.#open.delete(event.target);
    if (json) this.#context.stdout.write(`${JSON.stringify({ schema: 1, ...event })}\n`);
    else if (!quiet) this.#tell(event);
  }

  /** Takes the line of progress away. */
  end(): void {
    if (this.#hasLine) this.#context.stderr.write("\r\x1b[K");
    this.#hasLine = false;
  }

  /** Says what is in the way of those that did not answer; returns the exit code. */
  finish(): number {
    let code = EXIT_OK;
    for (const target of this.#open) {
      const problem = this.#problems.get(target);
      const { next } = problem ?? {};
      const fault = new Fault(
        problem?.code ?? "not-running",
        problem?.message ?? `Cannot wait for "${target}": the session ended`,
        next === undefined ? {} : { next },
      );
      printError(this.#context, fault);
      if (code === EXIT_OK) code = exitCodeOf(fault);
    }
    return code;
  }

  #tell(event: ProbeEvent): void {
    const { stdout, stderr } = this.#context;
    switch (event.event) {
      case "reply":
        this.end();
        return printText(stdout, `${event.target}: ${replyLine(event)}`);
      case "stage":
        return event.stage === "reachable"
          ? undefined
          : this.#progress(event.target, stageText(event), stderr);
      case "failure":
        return this.#progress(event.target, `${event.problem.message}; waiting`, stderr);
      case "done":
        return;
    }
  }

  #progress(target: string, text: string, stderr: CliContext["stderr"]): void {
    const line = `${target}: ${text}`;
    if (!canRedraw(stderr, this.#context.env)) return printNote(this.#context, line);
    this.#hasLine = true;
    stderr.write(`\r\x1b[K${cut(printable(`${line} …`), (stderr.columns ?? 80) - 1)}`);
  }
}
