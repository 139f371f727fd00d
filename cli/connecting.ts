/** Waits until a session is connected, and then for its resources, and tells how far it has come. */

import { Fault } from "../lib/base/fault.ts";
import type { ProbeEvent, Problem, SessionEvent, SessionState, StatusDocument } from "../lib/control/api.ts";
import type { Control } from "../lib/control/control.ts";
import { formatCount } from "./format.ts";
import type { Stages } from "./stages.ts";

/** How the wait for a connection ended. */
export type Connecting =
  | { readonly type: "connected"; readonly wasConnected: boolean }
  /** No credential, or a dead one. */
  | { readonly type: "signed-out"; readonly problem: Problem | undefined }
  /** The session has gone. */
  | { readonly type: "ended"; readonly pid: number | undefined }
  /** The signal aborted; `problem` is what was in the way. */
  | { readonly type: "aborted"; readonly problem: Problem | undefined };

/** Follows the session until its tunnel is configured, it cannot be, or `signal` aborts. `isNew`: it just began. */
export async function untilConnected(
  control: Control,
  isNew: boolean,
  stages: Stages,
  signal: AbortSignal,
): Promise<Connecting> {
  const reached = new Set<string>();
  let pid: number | undefined;
  let problem: Problem | undefined;
  try {
    for await (const event of control.lines("events", {}, signal)) {
      // What was reached long ago is no progress.
      if (isNew || event.event !== "status" || event.state !== "connected") report(event, stages, reached);
      if (event.event !== "status" && event.event !== "state-changed") continue;
      if (typeof event.pid === "number") pid = event.pid;
      const state = event.state as SessionState;
      problem = event.problem as Problem | undefined;
      if (state === "connected" || state === "degraded") {
        return { type: "connected", wasConnected: event.event === "status" };
      }
      if (state === "signed-out") return { type: "signed-out", problem };
      if (problem !== undefined) stages.note(problem.message);
    }
  } catch (error) {
    const isGone = error instanceof Fault && error.code === "not-running";
    if (!signal.aborted && !isGone) throw error;
  }
  return signal.aborted ? { type: "aborted", problem } : { type: "ended", pid };
}

/** Waits until all `targets` answer. Throws why one does not. */
export async function untilReachable(
  control: Control,
  targets: readonly string[],
  timeoutMs: number,
  stages: Stages,
  signal: AbortSignal,
): Promise<void> {
  const failures = new Map<string, Problem>();
  const waiting = new Set(targets);
  for await (const event of control.lines("wait", { targets: [...targets], timeoutMs }, signal)) {
    takeProbe(event, failures, waiting, stages);
  }
  if (signal.aborted) return;
  for (const target of waiting) {
    const { code = "timeout", message = `"${target}" does not answer`, next } = failures.get(target) ?? {};
    throw new Fault(code, message, next === undefined ? {} : { next });
  }
}

function takeProbe(
  event: ProbeEvent,
  failures: Map<string, Problem>,
  waiting: Set<string>,
  stages: Stages,
): void {
  switch (event.event) {
    case "failure":
      failures.set(event.target, event.problem);
      return stages.note(event.problem.message);
    case "done":
      if (event.received === 0 || !waiting.delete(event.target)) return;
      return stages.reach(`"${event.target}" answers`, "waiting");
    case "stage":
      if (event.stage !== "reachable" || !waiting.delete(event.target)) return;
      return stages.reach(`"${event.target}" answers`, "waiting");
    case "reply":
      return;
  }
}

/** Says what was reached, each once: the first event tells what was before it. */
function report(event: SessionEvent, stages: Stages, reached: Set<string>): void {
  const reach = (stage: string, text: string, next: string) => {
    if (reached.has(stage)) return;
    reached.add(stage);
    stages.reach(text, next);
  };
  const countOf = (list: unknown) => formatCount(Array.isArray(list) ? list.length : 0, "resource");
  switch (event.event) {
    case "status": {
      const { portal, tunnel, resources } = event as Partial<StatusDocument>;
      reach("session", "session", "portal");
      if (portal?.connected === true) reach("portal", "portal", "resources");
      if (tunnel !== undefined) reach("resources", countOf(resources), "tunnel");
      return;
    }
    case "portal-connected":
      return reach("portal", "portal", "resources");
    case "signed-in":
      return reach("resources", countOf(event.resources), "tunnel");
    case "ready":
      return reach("tunnel", "tunnel", "finishing");
  }
}
