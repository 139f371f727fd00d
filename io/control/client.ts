/**
 * The command line's way to a running session. Written on the bare socket because every command pays at its start for
 * what it loads: `node:http` costs 25 to 45 ms, `fetch` 5 to 10, this about one.
 */

import * as v from "valibot";
import { Fault } from "../../lib/base/fault.ts";
import { type AnswerOf, type Route, type RouteName, ROUTES } from "../../lib/control/api.ts";
import type { Control } from "../../lib/control/control.ts";
import type { PathContext, Paths } from "../../lib/control/paths.ts";
import { VERSION } from "../../lib/control/version.ts";
import { pathContext } from "../path_context.ts";
import { findEndpoint, StuckFault } from "./endpoint.ts";
import { Exchange, lostFault } from "./exchange.ts";

/** Whose session is meant, and how patient the client is. */
export interface ControlClientOptions {
  readonly context?: PathContext;
  /** How long the beginning of an answer may take, in milliseconds. */
  readonly answerMs?: number;
}

/** How long the beginning of an answer may take, in milliseconds. */
const ANSWER_MS = 10_000;
/** The same for what waits for other machines. */
const SLOW_ANSWER_MS = 60_000;
const SLOW: ReadonlySet<RouteName> = new Set(["dnsQuery", "credential", "stop"]);

/** Returns the way to the session that this user means. Throws `Fault` "not-running" or "privilege". */
export async function connectControl(
  authority: "read" | "change",
  { context = pathContext(), answerMs }: ControlClientOptions = {},
): Promise<Control> {
  const endpoint = await findEndpoint(context, authority, notRunning);

  async function open(name: RouteName, request: unknown): Promise<Exchange> {
    const patience = answerMs ?? (SLOW.has(name) ? SLOW_ANSWER_MS : ANSWER_MS);
    try {
      return await Exchange.open(endpoint, ROUTES[name], request, patience);
    } catch (error) {
      if (error instanceof StuckFault) throw await error.named(endpoint.paths);
      // Found a moment ago, so it has just gone.
      throw error instanceof Fault ? error : lostFault(error);
    }
  }

  async function* stream<T>(
    name: RouteName,
    request: unknown,
    signal: AbortSignal | undefined,
    read: (exchange: Exchange) => AsyncIterable<T>,
  ): AsyncGenerator<T, void> {
    if (signal?.aborted) return;
    let exchange: Exchange | undefined;
    const abort = () => exchange?.close();
    signal?.addEventListener("abort", abort);
    try {
      exchange = await open(name, request);
      if (signal?.aborted) return;
      yield* read(exchange);
    } catch (error) {
      // Closed by us in the middle of reading.
      if (!signal?.aborted) throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      exchange?.close();
    }
  }

  return {
    async ask(name, request) {
      const exchange = await open(name, request);
      try {
        return checked(name, ROUTES[name], await exchange.document(), exchange) as AnswerOf<typeof name>;
      } finally {
        exchange.close();
      }
    },
    lines: (name, request, signal) =>
      stream(name, request, signal, async function* (exchange) {
        for await (const value of exchange.documents()) {
          yield checked(name, ROUTES[name], value, exchange) as AnswerOf<typeof name>;
        }
      }),
    bytes: (name, request, signal) => stream(name, request, signal, (exchange) => exchange.bytes()),
  };
}

/** Returns `value` without the fields that this version does not know. */
function checked(name: RouteName, { answer }: Route, value: unknown, { version }: Exchange): unknown {
  if (answer === undefined) return value;
  const parsed = v.safeParse(answer, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const field = v.getDotPath(issue) ?? "the document";
  throw new Fault(
    "unexpected",
    `Cannot read the session's answer to "${name}": "${field}" is not as expected; the session is fz ${version}, this command fz ${VERSION}`,
    {
      next: version === VERSION
        ? "This is a mistake in fz: please report it with `fz bundle`."
        : "Start the session anew, so that both are of one version: `fz down`, then `fz up`.",
    },
  );
}

async function notRunning(candidates: readonly Paths[]): Promise<Fault> {
  const { whyNotRunning } = await import("../service/why_not_running.ts");
  return await whyNotRunning(candidates);
}
