/**
 * Everything a command gets from outside, made in main.ts: streams, environment, signals, and the roles themselves.
 * Tests hand in doubles.
 */

import type { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import type { DnsFacts, DoctorFacts, DoctorQuestion } from "../lib/control/doctor.ts";
import type { ServiceRequest, Supervisor, SupervisorKind } from "../lib/control/service/service.ts";
import type { Duration } from "../lib/base/time.ts";
import type { Credentials } from "../lib/control/credential.ts";
import type { TypedLine } from "../lib/control/typed_line.ts";
import type { CompletionFacts, FactKind } from "../lib/control/completion.ts";
import type { LogDocument } from "../lib/control/api.ts";
import type { BundleReport, BundleRequest } from "../lib/control/bundle.ts";
import type {
  CleanupReport,
  ClientConfig,
  DemoConfig,
  DemoReport,
  DemoStep,
  DevConfig,
  DevFacts,
  GatewayConfig,
  LaunchConfig,
  Launched,
  PortalConfig,
  ReductionRequest,
  RelayConfig,
  SessionConfig,
} from "../lib/control/config.ts";
import type { AdminAnswer, AdminRequest } from "../lib/portal/admin.ts";
import type { NetcheckFacts, NetcheckRequest } from "../lib/control/netcheck.ts";
import type { Profiles } from "../lib/control/profile.ts";
import type { Control } from "../lib/control/control.ts";

/** What commands get from the world. */
export interface CliContext {
  /** Answers go here, and nothing else. */
  readonly stdout: Stream;
  /** Errors, progress and logs. */
  readonly stderr: Stream;
  readonly env: Environment;
  readonly signals: Signals;
  readonly prompt: Prompt;
  /** The operating system, as the runtime names it: "linux", "darwin", "windows". */
  readonly os: string;
  readonly host: Host;
}

/** The person at the terminal. */
export interface Prompt {
  /** Whether there is one: both the input and standard error are a terminal. */
  readonly isPossible: boolean;
  /** Whether the input is a terminal, wherever standard error goes. */
  readonly isInputTerminal: boolean;
  /** Asks for a line that is not shown. */
  secret(question: string): Promise<TypedLine>;
  /** Returns whether the answer is yes. */
  confirm(question: string): Promise<boolean>;
}

/** Where text goes. */
export interface Stream {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Width in columns; undefined if this is no terminal. */
  readonly columns: number | undefined;
  /** Height in lines; undefined if this is no terminal. */
  readonly rows?: number | undefined;
  /** Resolves when the reader has gone; what is written from then on is dropped. A terminal stays. */
  untilClosed?(): Promise<void>;
}

/** The process's environment variables. */
export interface Environment {
  get(name: string): string | undefined;
  /** Removes a variable, so that children and /proc do not carry a secret on. */
  delete(name: string): void;
}

/** A signal that roles react to. */
export type SignalName = "SIGINT" | "SIGTERM" | "SIGHUP";

/** The process's signals. */
export interface Signals {
  /** Calls `handler` at each of the signals until the returned function is called. */
  listen(names: readonly SignalName[], handler: (name: SignalName) => void): () => void;
  /** Ends the process at once. */
  exit(code: number): never;
}

/** A role that runs. */
export interface Running {
  /** Resolves when it serves its purpose: the client's tunnel is configured, a server listens. */
  readonly ready: Promise<void>;
  /** Resolves when it has stopped; rejects with the `Fault` that ended it. */
  readonly done: Promise<void>;
  /** Says goodbye, undoes what was changed on the host, and ends. May be called before `ready`. */
  stop(): Promise<void>;
  /** Forgets all paths and finds new ones (SIGHUP). */
  reset?(): void;
}

/** What the user asked for about logging. */
export interface LogOptions {
  /** Directives as in RUST_LOG ("debug", "info,ice=trace"). */
  readonly filter: string;
  /** Folder for log files beside standard error. */
  readonly folder: string | undefined;
  readonly format: "text" | "json";
}

/** What the machine and the program's shell do for the commands. Every function may throw a `Fault`. */
export interface Host {
  openLog(options: LogOptions): Promise<Log>;
  /** Returns the token in the file at `path`, undefined if there is no file. Throws if others could read it. */
  readToken(path: string): Promise<string | undefined>;
  /**
   * Returns the way to the running session: to ask, or also to change it. Throws `Fault` "not-running" if there is
   * none, "privilege" if it is another's.
   */
  control(authority: "read" | "change"): Promise<Control>;
  /** Returns the credentials of this user. */
  credentials(): Promise<Credentials>;
  /** Returns the profiles of this user. */
  profiles(): Promise<Profiles>;
  /** Throws what would keep a client with this configuration from starting; changes nothing. */
  checkClient(config: ClientConfig): Promise<void>;
  /**
   * As root: gives up all rights that the role does not need, for which the program begins anew, with everything in its
   * environment and on its standard input as it is. Returns why something was kept, a sentence each.
   */
  reducePrivileges(request: ReductionRequest): Promise<readonly string[]>;
  startClient(config: ClientConfig, log: Log): Promise<Running>;
  /** Starts the session of this process, with everything by which it is asked and steered. */
  startSession(config: SessionConfig, log: Log): Promise<Running>;
  /** Returns when a session answers: the one that is there, the machine's service, or a new one in the background. */
  launch(config: LaunchConfig): Promise<Launched>;
  /** Returns why the session of process `pid` ended; undefined if it was asked to. */
  whyEnded(pid: number): Promise<Fault | undefined>;
  /** Resolves with whether the session of process `pid` is gone, at the latest after `limit`. */
  untilGone(pid: number, limit: Duration): Promise<boolean>;
  /** Undoes what a killed session left behind. Throws a `Fault` while one runs. */
  cleanUp(): Promise<CleanupReport>;
  startGateway(config: GatewayConfig, log: Log): Promise<Running>;
  startRelay(config: RelayConfig, log: Log): Promise<Running>;
  startPortal(config: PortalConfig, log: Log): Promise<Running>;
  /**
   * Asks the admin API of a portal on this machine: of the one at `socketPath`, else at the usual place. Throws `Fault`
   * "not-running" if there is none, "privilege" if it is another's.
   */
  askPortal(socketPath: string | undefined, request: AdminRequest): Promise<AdminAnswer>;
  startDev(config: DevConfig, log: Log): Promise<Running & { readonly facts: DevFacts }>;
  /**
   * Runs this program again with `args` in namespaces of its own and returns its exit code; undefined if it is in them
   * already.
   */
  isolate(args: readonly string[]): Promise<number | undefined>;
  runDemo(config: DemoConfig, events: DemoEvents): Promise<DemoReport>;
  /** Names for the shell's completion: what can be had within `deadline`, and never an error. */
  completionFacts(kinds: readonly FactKind[], deadline: Duration): Promise<CompletionFacts>;
  /** Returns what was seen on this machine; never throws. */
  doctorFacts(question: DoctorQuestion): Promise<DoctorFacts>;
  /** Returns by what names would reach a session here, and why; changes nothing and never throws. */
  dnsOutlook(question: Pick<DoctorQuestion, "dnsControl" | "tunName">): Promise<DnsFacts>;
  /** Returns what keeps services on this machine. Throws a `Fault` that names the alternative where nothing does. */
  supervisor(): Promise<Supervisor>;
  /** Returns the text of the service's definition for a supervisor, by default this OS's usual one. */
  serviceDefinition(kind: SupervisorKind | undefined, request: ServiceRequest): Promise<string>;
  /** Returns what the last session without a supervisor left in its log; undefined if there is nothing. */
  keptLog(
    wanted: { readonly last: number; readonly level?: LogDocument["level"] },
  ): Promise<KeptLog | undefined>;
  /**
   * Opens the new file at `path`, for its owner only; standard output for "-". Throws a `Fault` if there is such a file,
   * unless it may be overwritten.
   */
  openOutput(path: string, options: { readonly overwrite: boolean }): Promise<ByteSink>;
  /** Measures the way to the portal and to the relays; what cannot be measured is left out. */
  netcheck(request: NetcheckRequest, signal: AbortSignal): Promise<NetcheckFacts>;
  /** Writes an archive for whoever helps. */
  makeBundle(request: BundleRequest, signal: AbortSignal): Promise<BundleReport>;
  /** Puts `text` into the file at `path` in one step: readers see the old text or the new one. */
  replaceFile(path: string, text: string): Promise<void>;
  /** Facts for `fz version --verbose`, label to value; the order is the order of printing. */
  versionFacts(): Promise<Readonly<Record<string, string>>>;
}

/** Records that a session left. */
export interface KeptLog {
  readonly path: string;
  readonly records: readonly LogDocument[];
}

/** Where bytes go. */
export interface ByteSink {
  /** Returns false when there is nobody to read them any more. */
  write(bytes: Uint8Array): boolean;
  close(): void;
}

/** How the demo talks to its command while it runs. */
export interface DemoEvents {
  step(step: DemoStep): void;
  /** With `keep`: everything runs; `commands` are what to play with. Resolves when the user has had enough. */
  kept(commands: readonly string[]): Promise<void>;
  /** Aborts when the user wants the demo to end early. */
  readonly signal: AbortSignal;
}
