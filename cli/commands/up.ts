/** `fz up`: connects in the background, and says when it is done or why not. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { multiple, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import type { Duration } from "../../lib/base/time.ts";
import type { StatusDocument } from "../../lib/control/api.ts";
import type { Control } from "../../lib/control/control.ts";
import { defineCommand } from "../command.ts";
import { untilConnected, untilReachable } from "../connecting.ts";
import type { CliContext, SignalName } from "../context.ts";
import { EXIT_OK, exitCodeOfSignal } from "../exit.ts";
import { formatCount } from "../format.ts";
import { DURATION, plainFlag } from "../options.ts";
import { canRedraw, printJson, printNote, printText } from "../output.ts";
import { Stages } from "../stages.ts";
import { type SessionSettings, sessionSettings, settingOptions } from "../session_options.ts";
import { checkPortal, findToken, takeVariable } from "../token.ts";
import { RESOURCE } from "../values.ts";

const END_PATIENCE_MS = 5000;
const DEFAULT_TIMEOUT_MS = 60_000;

interface UpOptions {
  readonly failFast: boolean | undefined;
  readonly profile: string | undefined;
  readonly wait: readonly string[];
  readonly timeout: Duration;
  readonly json: boolean;
}

export const upCommand = defineCommand<UpOptions>({
  name: "up",
  brief: message`Connect, and return when the tunnel works.`,
  description:
    message`Connects in the background: by the service of this machine if one is installed, else by a session of its own \
that outlives the terminal. Says so and does nothing if it is connected already. While the portal cannot be reached the session \
goes on trying, also after this command gave up.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz up")}${lineBreak()}
  ${commandLine("fz up --wait intranet --timeout 30s")}${lineBreak()}
  ${commandLine("fz up --fail-fast --json")}`,
  options: () =>
    object({
      ...settingOptions(["failFast"]),
      wait: multiple(
        option("--wait", RESOURCE, {
          description: message`Also wait until this resource answers; may be repeated.`,
        }),
      ),
      timeout: withDefault(
        option("--timeout", DURATION, { description: message`How long to wait, in all.` }),
        DEFAULT_TIMEOUT_MS,
        { message: message`60s` },
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  run: (options, context) => new Connection(options, context).run(),
});

/** One run of the command. */
class Connection {
  readonly #options: UpOptions;
  readonly #context: CliContext;
  readonly #abort = new AbortController();
  readonly #deadline: number;
  /** Of the session, where it is known. */
  #pid: number | undefined;
  #interruptedBy: SignalName | undefined;

  constructor(options: UpOptions, context: CliContext) {
    this.#options = options;
    this.#context = context;
    this.#deadline = performance.now() + options.timeout;
  }

  async run(): Promise<number> {
    const { signals, stderr, env } = this.#context;
    const unlisten = signals.listen(["SIGINT", "SIGTERM"], (name) => {
      this.#interruptedBy ??= name;
      this.#abort.abort();
    });
    const timer = setTimeout(() => this.#abort.abort(), this.#options.timeout);
    const stages = new Stages(stderr, canRedraw(stderr, env), "session");
    try {
      return await this.#connect(stages);
    } finally {
      stages.end();
      clearTimeout(timer);
      unlisten();
    }
  }

  async #connect(stages: Stages): Promise<number> {
    const held = await sessionSettings(this.#context, this.#options);
    const token = takeVariable(this.#context);
    const found = await this.#findSession();
    if (found !== undefined) this.#pid = await this.#requireProfile(found, held);
    const control = found ?? await this.#startSession(held, token);
    let outcome = await untilConnected(control, found === undefined, stages, this.#abort.signal);
    // One that we started has it, and was turned away with it.
    if (found !== undefined && outcome.type === "signed-out" && token !== undefined) {
      await (await this.#context.host.control("change")).ask("credential", { token });
      outcome = await untilConnected(control, found === undefined, stages, this.#abort.signal);
    }
    switch (outcome.type) {
      case "connected":
        break;
      case "signed-out":
        throw this.#signedOut(outcome.problem);
      case "ended":
        this.#pid ??= outcome.pid;
        throw await this.#ended();
      case "aborted":
        if (this.#interruptedBy !== undefined) return this.#interrupted(this.#interruptedBy, stages);
        throw await this.#tooLate(held.settings.failFast, outcome.problem);
    }
    if (this.#options.wait.length > 0) {
      const left = Math.max(this.#deadline - performance.now(), 0);
      // The session's own limit ends the wait with its cause; ours would end it without.
      const signal = this.#interruption();
      await untilReachable(control, this.#options.wait, left, stages, signal);
      if (this.#interruptedBy !== undefined) return this.#interrupted(this.#interruptedBy, stages);
    }
    stages.end();
    const status = await control.ask("status", {});
    this.#answer(status, found !== undefined && outcome.wasConnected);
    if (held.settings.dnsControl === undefined) this.#noteDns(status);
    return EXIT_OK;
  }

  /** Returns the session that answers, the user's own or the machine's. */
  async #findSession(): Promise<Control | undefined> {
    try {
      return await this.#context.host.control("read");
    } catch (error) {
      if (error instanceof Fault && error.code === "not-running") return undefined;
      throw error;
    }
  }

  /** A session of other settings is not what was asked for. Returns the process id of one that is. */
  async #requireProfile(control: Control, { profile }: SessionSettings): Promise<number> {
    const { profile: running, pid } = await control.ask("status", {});
    if (running === profile.name) return pid;
    const what = `a session with the profile "${running}" runs (pid ${pid})`;
    throw new Fault("tun", `Cannot connect with the profile "${profile.name}": ${what}`, {
      next: "Run `fz down` to end it first.",
    });
  }

  async #startSession(held: SessionSettings, token: string | undefined): Promise<Control> {
    const { host } = this.#context;
    if (token === undefined) await this.#requireToken(held);
    const args = held.settings.failFast ? ["--fail-fast"] : [];
    const patience = Math.max(this.#deadline - performance.now(), 0);
    this.#pid = (await host.launch({ profile: held.profile.name, token, args, patience })).pid;
    try {
      return await host.control("read");
    } catch (error) {
      // It was there a moment ago.
      throw error instanceof Fault && error.code === "not-running" ? await this.#ended() : error;
    }
  }

  /** Nothing is started for somebody who cannot sign in. */
  async #requireToken({ settings, origins }: SessionSettings): Promise<void> {
    const isChosen = origins.tokenPath.type !== "default";
    const found = await findToken(this.#context, settings.tokenPath, isChosen);
    if (found !== undefined) return await checkPortal(this.#context, found.token, settings);
    throw new Fault("rejected", "Cannot connect: nobody is signed in", {
      next: "Run `fz sign-in`, or set FIREZONE_TOKEN.",
    });
  }

  /** Aborts when the user does not want to wait, and not when time is up. */
  #interruption(): AbortSignal {
    const abort = new AbortController();
    if (this.#interruptedBy !== undefined) abort.abort();
    else this.#abort.signal.addEventListener("abort", () => this.#interruptedBy && abort.abort());
    return abort.signal;
  }

  #signedOut(problem: StatusDocument["problem"]): Fault {
    return new Fault(
      problem?.code ?? "rejected",
      `Cannot connect: ${problem?.message ?? "nobody is signed in"}`,
      {
        next: problem?.next ?? "Run `fz sign-in`.",
      },
    );
  }

  async #ended(): Promise<Fault> {
    const { host } = this.#context;
    const pid = this.#pid;
    // It says why when it has tidied up.
    if (pid !== undefined) await host.untilGone(pid, END_PATIENCE_MS);
    const why = pid === undefined ? undefined : await host.whyEnded(pid);
    return why ?? new Fault("not-running", "Cannot connect: the session ended before it was connected", {
      next: "Run `fz log` to see why.",
    });
  }

  async #tooLate(failFast: boolean, problem: StatusDocument["problem"]): Promise<Fault> {
    if (failFast) {
      try {
        const control = await this.#context.host.control("change");
        await control.ask("stop", {});
      } catch (error) {
        // It comes to its end by itself, and says why.
        if (error instanceof Fault && error.code === "not-running") return await this.#ended();
        throw error;
      }
    }
    const cause = problem?.message ?? "it took too long";
    const rest = failFast ? "" : "; the session goes on trying";
    return new Fault(problem?.code ?? "timeout", `Cannot connect: ${cause}${rest}`, {
      next: failFast
        ? "Check the network and the portal's URL, then try again."
        : "Run `fz status` to see how far it is, or `fz down` to end it.",
    });
  }

  #interrupted(by: SignalName, stages: Stages): number {
    stages.end();
    printNote(
      this.#context,
      "The session goes on connecting: `fz status` shows how far it is, `fz down` ends it",
    );
    return exitCodeOfSignal(by);
  }

  /** Who did not ask for it shall not have to find it out. */
  #noteDns({ dns }: StatusDocument): void {
    if (dns?.control !== "disabled") return;
    const why = dns.reason === undefined ? "" : `: ${dns.reason}`;
    printNote(this.#context, `Names of resources are not found${why}; see \`fz dns status\``);
  }

  #answer(status: StatusDocument, wasConnected: boolean): void {
    const { pid, profile, state, tunnel, internet, resources } = status;
    if (this.#options.json) {
      const shown = resources.map(({ id, name, type, state }) => ({ id, name, type, state }));
      const facts = { state, wasConnected, pid, profile, tunnel, internet, resources: shown };
      return printJson(this.#context, facts);
    }
    const where = tunnel === undefined ? "" : `, ${tunnel.device} ${tunnel.ipv4}`;
    const outcome = wasConnected ? "Already connected" : "Connected";
    printText(this.#context.stdout, `${outcome}: ${formatCount(resources.length, "resource")}${where}`);
  }
}
