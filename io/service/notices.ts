/**
 * What a supervisor is told (sd_notify(3)): that the tunnel works, where the session stands, that the process lives.
 * Without NOTIFY_SOCKET nothing happens.
 */

import type { SessionState } from "../../lib/control/api.ts";
import { problemOf } from "../control/problem.ts";

/** Sends one message. */
export type SendNotice = (text: string) => void;

/** The part of the environment that is read, and removed so that children do not speak for us. */
export interface NoticeEnvironment {
  get(name: string): string | undefined;
  delete(name: string): void;
}

/** How often the time limit of a start is moved on, and by how much: offline, a start takes as long as it takes. */
const EXTEND_EVERY_MS = 20_000;
const EXTEND_BY_US = 60_000_000;

/** Speaks to the supervisor. */
export class Notices {
  readonly #send: SendNotice;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #isReady = false;

  constructor(send: SendNotice) {
    this.#send = send;
  }

  /** The tunnel is configured. */
  ready(): void {
    this.#isReady = true;
    this.#send("READY=1");
  }

  /** `line` is for people. */
  status(line: string): void {
    this.#send(`STATUS=${line.replace(/\s+/g, " ")}`);
  }

  /** The end has begun. */
  stopping(): void {
    this.#send("STOPPING=1");
  }

  /** Why the process ends though nobody asked it to: the last words that the supervisor keeps. */
  failed(error: unknown): void {
    this.status(`Failed: ${problemOf(error).message}`);
  }

  /** Says from now on that the process lives, as often as `watchdogMs` asks for, and that a start takes its time. */
  begin(watchdogMs: number | undefined): void {
    this.#extend();
    this.#timers.push(setInterval(() => this.#extend(), EXTEND_EVERY_MS));
    // A timer turns only while the event loop does, which is the point.
    if (watchdogMs !== undefined) {
      this.#timers.push(setInterval(() => this.#send("WATCHDOG=1"), watchdogMs / 2));
    }
  }

  /** Says nothing more by itself. */
  end(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #extend(): void {
    if (!this.#isReady) this.#send(`EXTEND_TIMEOUT_USEC=${EXTEND_BY_US}`);
  }
}

/** Returns the way to this process's supervisor, already begun; silent where there is none. */
export async function openNotices(env: NoticeEnvironment): Promise<Notices> {
  const path = env.get("NOTIFY_SOCKET");
  const watchdogMs = watchdogOf(env, Deno.pid);
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) env.delete(name);
  if (path === undefined || !/^[@/]/.test(path) || Deno.build.os !== "linux") return new Notices(() => {});
  const { sendNotice } = await import("../../ffi/linux/notify.ts");
  const notices = new Notices((text) => void sendNotice(path, text));
  notices.begin(watchdogMs);
  return notices;
}

/** Returns how soon the supervisor of the process `pid` wants to hear of it again; undefined if it does not. */
export function watchdogOf(env: Pick<NoticeEnvironment, "get">, pid: number): number | undefined {
  const owner = env.get("WATCHDOG_PID");
  if (owner !== undefined && owner !== "" && owner !== String(pid)) return undefined;
  const microseconds = Number(env.get("WATCHDOG_USEC") ?? "");
  return Number.isFinite(microseconds) && microseconds >= 1000 ? microseconds / 1000 : undefined;
}

/** Returns one line for people about where a session stands. */
export function stateLine(state: SessionState, problem: string | undefined): string {
  const why = problem === undefined ? "" : `: ${problem}`;
  switch (state) {
    case "signed-out":
      return `Signed out${why}`;
    case "connecting":
      return `Connecting${why}`;
    case "connected":
      return "Connected";
    case "degraded":
      return `The tunnel works, but the portal is away${why}`;
    case "stopping":
      return "Stopping";
  }
}
