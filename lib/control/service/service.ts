/** The background service: what its definition says, and what its supervisor does. The texts are in the files beside. */

import type { DnsControl } from "../config.ts";
import type { ServiceUser } from "./user.ts";

/** What a user decides about the service. */
export interface ServiceRequest {
  readonly profile: string;
  /** File with the token of the profile; it may be missing until somebody signs in. */
  readonly tokenFile: string;
  /** What the session will use; what fits the machine where undefined. */
  readonly dnsControl: DnsControl | undefined;
}

/** What is put into a definition. */
export interface ServiceOptions extends ServiceRequest {
  /** The program with the arguments that always come first; paths are absolute. */
  readonly program: readonly string[];
  /** Folders that the program reads and that may be in somebody's home: its text, its runtime, its packages. */
  readonly folders: readonly string[];
  /** Variables that the program needs to find its parts; no secrets. */
  readonly environment: Readonly<Record<string, string>>;
  /** The group that may ask the session; undefined where this machine has none. */
  readonly readersGroup: string | undefined;
  readonly user: ServiceUser;
}

/** Name of the service at its supervisor. */
export const SERVICE_NAME = "fz";

/** Label of the service in launchd's way of naming. */
export const LAUNCHD_LABEL = "dev.fz.client";

/** Whose language a definition speaks. */
export type SupervisorKind = "systemd" | "launchd" | "windows";

/** How the service stands. */
export interface ServiceStatus {
  readonly supervisor: SupervisorKind;
  /** Where its definition is. */
  readonly definition: string;
  readonly isInstalled: boolean;
  /** Whether it starts with the machine. */
  readonly isEnabled: boolean;
  /** The supervisor's word: "active", "activating", "failed", … */
  readonly state: string;
  /** What the session said of itself. */
  readonly text: string | undefined;
  readonly pid: number | undefined;
  readonly restarts: number | undefined;
  /** Exit code of the last process that ended by itself. */
  readonly lastExitCode: number | undefined;
}

/** The program that keeps services. Every function throws a `Fault` where it does not do what it was asked for. */
export interface Supervisor {
  readonly kind: SupervisorKind;
  /** Returns what was done, a line each; none if everything was as it should be. */
  install(request: ServiceRequest): Promise<readonly string[]>;
  /** Returns what was done, a line each; none if there was no service. */
  uninstall(): Promise<readonly string[]>;
  /** Returns when the process was started, not when its tunnel is configured. */
  start(): Promise<void>;
  stop(): Promise<void>;
  status(): Promise<ServiceStatus>;
}

/** Returns the arguments of the session's process. */
export function sessionArguments({ profile }: ServiceOptions): readonly string[] {
  return ["run", "--service", "--profile", profile];
}
