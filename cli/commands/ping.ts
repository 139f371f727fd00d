/** `fz ping`: round trips through the tunnel, and the path that each took. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { integer } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import type { Duration } from "../../lib/base/time.ts";
import type { ProbeEvent, Problem } from "../../lib/control/api.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_INTERRUPTED, EXIT_OK, exitCodeOf, exitCodeOfSignal } from "../exit.ts";
import { DURATION, plainFlag } from "../options.ts";
import { printError, printText } from "../output.ts";
import { pathChange, PingStatistics, replyLine } from "../probe_text.ts";
import { whenUnwanted } from "../unwanted.ts";
import { RESOURCE } from "../values.ts";

interface PingOptions {
  readonly target: string;
  readonly count: number | undefined;
  readonly interval: Duration | undefined;
  readonly timeout: Duration | undefined;
  readonly untilDirect: boolean;
  readonly json: boolean;
}

export const pingCommand = defineCommand<PingOptions>({
  name: "ping",
  brief: message`Measure round trips to a resource, and tell which path they take.`,
  description:
    message`Sends echo requests through the tunnel, or opens TCP connections where a port is named or nothing else is allowed. \
A resource that is more than one machine is measured at its gateway. Tells what is in the way where no answer comes. Goes on until Ctrl+C.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz ping gitlab")}${lineBreak()}
  ${commandLine("fz ping -c 3 db.corp.example:5432")}${lineBreak()}
  ${commandLine("fz ping --until-direct 10.0.3.7")}`,
  options: () =>
    object({
      target: argument(RESOURCE, {
        description: message`A resource, a name or an address, with ${":PORT"} at will.`,
      }),
      count: optional(
        option("-c", "--count", integer({ metavar: "COUNT", min: 1 }), {
          description: message`End after so many probes.`,
        }),
      ),
      interval: optional(
        option("-i", "--interval", DURATION, { description: message`Time between probes (default 1s).` }),
      ),
      timeout: optional(
        option("-W", "--timeout", DURATION, {
          description: message`How long to wait for each answer (default 5s).`,
        }),
      ),
      untilDirect: plainFlag(["--until-direct"], {
        description: message`End as soon as the path is direct.`,
      }),
      json: plainFlag(["--json"], { description: message`Print one JSON document a line.` }),
    }),
  async run(options, context) {
    const { target, count, interval, timeout } = options;
    const control = await context.host.control("read");
    const abort = new AbortController();
    let interrupted: number | undefined;
    const unlisten = whenUnwanted(context, (signal) => {
      interrupted ??= signal === undefined ? EXIT_INTERRUPTED : exitCodeOfSignal(signal);
      abort.abort();
    });
    const report = new Report(options, context);
    try {
      const request = {
        target,
        ...(count === undefined ? {} : { count }),
        ...(interval === undefined ? {} : { intervalMs: interval }),
        ...(timeout === undefined ? {} : { timeoutMs: timeout }),
      };
      for await (const event of control.lines("ping", request, abort.signal)) {
        if (report.take(event)) break;
      }
    } finally {
      abort.abort();
      unlisten();
    }
    return report.finish(interrupted);
  },
});

/** What is told of each probe, and the end of it. */
class Report {
  readonly #options: PingOptions;
  readonly #context: CliContext;
  readonly #statistics = new PingStatistics();
  #path: Extract<ProbeEvent, { event: "reply" }>["path"];
  #problem: Problem | undefined;
  #wasDirect = false;

  constructor(options: PingOptions, context: CliContext) {
    this.#options = options;
    this.#context = context;
  }

  /** Returns whether that was what was pinged for. */
  take(event: ProbeEvent): boolean {
    const { json, untilDirect } = this.#options;
    if (json) this.#context.stdout.write(`${JSON.stringify({ schema: 1, ...event })}\n`);
    switch (event.event) {
      case "reply": {
        this.#statistics.handleSent(event.sequence);
        this.#statistics.handleReply(event.rttMs);
        const change = pathChange(this.#path, event.path);
        this.#path = event.path ?? this.#path;
        if (change !== undefined) this.#print(change);
        this.#print(replyLine(event));
        this.#wasDirect ||= event.path?.kind === "direct";
        return untilDirect && this.#wasDirect;
      }
      case "failure":
        this.#statistics.handleSent(event.sequence ?? 0);
        this.#problem = event.problem;
        this.#print(event.problem.message);
        return false;
      case "done":
        this.#statistics.handleSent(event.sent);
        return false;
      case "stage":
        return false;
    }
  }

  /** Prints the summary and returns the exit code: `interrupted` if that ended it before anything could be told. */
  finish(interrupted: number | undefined): number {
    const { target, untilDirect, json } = this.#options;
    if (!json) { for (const line of this.#statistics.lines(target)) this.#print(line); }
    if (untilDirect && !this.#wasDirect && this.#statistics.received > 0) {
      if (interrupted !== undefined) return interrupted;
      throw new Fault("timeout", `No direct path to "${target}" was found`, {
        next: "See `fz netcheck` for what is in the way of direct paths.",
      });
    }
    if (this.#statistics.received > 0) return EXIT_OK;
    if (this.#problem === undefined) {
      if (interrupted !== undefined) return interrupted;
      throw ended(target);
    }
    const { code, message: text, next } = this.#problem;
    const fault = new Fault(code, text, next === undefined ? {} : { next });
    printError(this.#context, fault);
    return exitCodeOf(fault);
  }

  #print(line: string): void {
    if (!this.#options.json) printText(this.#context.stdout, line);
  }
}

function ended(target: string): Fault {
  return new Fault("not-running", `Cannot ping "${target}": the session ended`, {
    next: "Run `fz up` to connect.",
  });
}
