/** A context of the command line whose streams are text and whose host records what it was asked. */

import type { CliContext, Host, Running, SignalName } from "../../cli/context.ts";
import { Fault } from "../../lib/base/fault.ts";
import { fakeCredentials } from "./fake_credentials.ts";
import { fakeProfiles } from "./fake_profiles.ts";
import { silentLog } from "../../lib/base/log.ts";

export interface FakeContext extends CliContext {
  /** What was written. */
  readonly written: { stdout: string; stderr: string };
  /** Environment left. */
  readonly variables: Map<string, string>;
  /** Names of the host's functions that were called, with their first argument. */
  readonly calls: [name: string, argument: unknown][];
  /** Sends a signal to the command. */
  signal(name: SignalName): void;
}

export interface FakeOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly host?: Partial<Host>;
  readonly isTerminal?: boolean;
  /** Linux by default. */
  readonly os?: string;
  /** The person at the terminal; nobody by default. */
  readonly prompt?: Partial<CliContext["prompt"]>;
}

/** Thrown by the fake where the process would end. */
export class Exited extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

export function fakeContext(options: FakeOptions = {}): FakeContext {
  const written = { stdout: "", stderr: "" };
  const variables = new Map(Object.entries(options.env ?? {}));
  const calls: [string, unknown][] = [];
  const handlers = new Set<(name: SignalName) => void>();
  const stream = (name: "stdout" | "stderr") => ({
    isTerminal: options.isTerminal ?? false,
    columns: undefined,
    write: (text: string) => {
      written[name] += text;
    },
  });
  const start = (name: string) => (config: unknown) => {
    calls.push([name, config]);
    return Promise.resolve(finished());
  };
  const host: Host = {
    openLog: () => Promise.resolve(silentLog),
    readToken: () => Promise.resolve(undefined),
    control: () => Promise.reject(new Fault("not-running", "No session runs")),
    credentials: () => Promise.resolve(fakeCredentials()),
    profiles: () => Promise.resolve(fakeProfiles({})),
    checkClient: (config) => {
      calls.push(["checkClient", config]);
      return Promise.resolve();
    },
    reducePrivileges: () => Promise.resolve([]),
    startClient: start("startClient"),
    startSession: start("startSession"),
    launch: (config) => {
      calls.push(["launch", config]);
      return Promise.resolve({ how: "started", pid: 4711 });
    },
    whyEnded: () => Promise.resolve(undefined),
    untilGone: () => Promise.resolve(true),
    cleanUp: () => {
      calls.push(["cleanUp", undefined]);
      return Promise.resolve({ session: undefined, network: [], wasDnsRestored: false, files: [] });
    },
    startGateway: start("startGateway"),
    startRelay: start("startRelay"),
    startPortal: start("startPortal"),
    askPortal: () => Promise.reject(new Fault("not-running", "No portal runs")),
    startDev: () => Promise.reject(new Error("not faked")),
    isolate: () => Promise.resolve(undefined),
    runDemo: () => Promise.reject(new Error("not faked")),
    completionFacts: () => Promise.resolve({}),
    doctorFacts: () => Promise.reject(new Error("not faked")),
    dnsOutlook: () => Promise.reject(new Error("not faked")),
    supervisor: () => Promise.reject(new Fault("not-running", "No supervisor")),
    serviceDefinition: (kind) => Promise.resolve(`definition for ${kind}\n`),
    keptLog: () => Promise.resolve(undefined),
    openOutput: () => Promise.reject(new Error("not faked")),
    netcheck: () => Promise.reject(new Error("not faked")),
    makeBundle: () => Promise.reject(new Error("not faked")),
    replaceFile: (path, text) => {
      calls.push(["replaceFile", [path, text]]);
      return Promise.resolve();
    },
    versionFacts: () => Promise.resolve({ kernel: "6.1", crypto: "noble" }),
    ...options.host,
  };
  return {
    written,
    variables,
    calls,
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    env: { get: (name) => variables.get(name), delete: (name) => variables.delete(name) },
    signals: {
      listen: (names, handler) => {
        const filtered = (name: SignalName) => names.includes(name) && handler(name);
        handlers.add(filtered);
        return () => handlers.delete(filtered);
      },
      exit: (code) => {
        throw new Exited(code);
      },
    },
    prompt: {
      isPossible: false,
      isInputTerminal: options.prompt?.isPossible ?? false,
      secret: () => Promise.reject(new Error("nobody is there to ask")),
      confirm: () => Promise.reject(new Error("nobody is there to ask")),
      ...options.prompt,
    },
    os: options.os ?? "linux",
    host,
    signal: (name) => {
      for (const handler of [...handlers]) handler(name);
    },
  };
}

/** A role that has ended already. */
export function finished(): Running {
  return { ready: Promise.resolve(), done: Promise.resolve(), stop: () => Promise.resolve() };
}

/** A role that runs until it is stopped, and counts its resets. */
export function endless(): Running & { resets: number; stops: number } {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  return {
    ready: Promise.resolve(),
    done,
    resets: 0,
    stops: 0,
    stop() {
      this.stops++;
      resolve();
      return Promise.resolve();
    },
    reset() {
      this.resets++;
    },
  };
}
