/** What people and programs ask of a running client besides its status: what would happen, and what answers. */

import type { IpAddress } from "../lib/base/ip.ts";
import type { Duration } from "../lib/base/time.ts";
import type { WishOutcome } from "../lib/client/access.ts";
import type { LocalAnswer } from "../lib/client/dns_replies.ts";
import type { EchoOutcome } from "../lib/client/echo.ts";
import type { Explanation } from "../lib/client/explain.ts";
import type { ClientSession } from "../lib/client/session.ts";
import type { AccessStatus } from "../lib/client/status.ts";
import { monotonicNow } from "./clock.ts";

/** The part of a session that answers. */
export type Answerer = Pick<
  ClientSession,
  "explain" | "accessStatus" | "requestAccess" | "sendEcho" | "pollEcho" | "askDns" | "pollDnsAnswer"
>;

/** Questions to one session. */
export class Questions {
  readonly #session: Answerer;
  readonly #poke: () => void;
  readonly #echoes = new Map<number, (result: EchoOutcome["result"]) => void>();
  readonly #lookups = new Map<number, (answer: LocalAnswer | undefined) => void>();

  /** `poke` makes the loop of the session look for what it has to do. */
  constructor(session: Answerer, poke: () => void) {
    this.#session = session;
    this.#poke = poke;
  }

  /** Returns what would happen to traffic for `target`, a name or an address. */
  explain(target: string): Explanation {
    return this.#session.explain(target, monotonicNow());
  }

  /** Returns what is known of one resource and its gateway. */
  accessStatus(resourceId: string): AccessStatus {
    return this.#session.accessStatus(resourceId, monotonicNow());
  }

  /** Makes the connection to a resource without waiting for a packet. */
  requestAccess(resourceId: string): WishOutcome {
    const state = this.#session.requestAccess(resourceId, monotonicNow());
    this.#poke();
    return state;
  }

  /** Sends an echo request through the tunnel. Resolves with what came of it; undefined if it cannot be sent now. */
  echo(destination: IpAddress, timeout: Duration): Promise<EchoOutcome["result"] | undefined> {
    const id = this.#session.sendEcho(destination, timeout, monotonicNow());
    if (id === undefined) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<EchoOutcome["result"]>();
    this.#echoes.set(id, resolve);
    this.#poke();
    return promise;
  }

  /** Asks as an application would. Resolves with the answer; undefined if `message` is no query or nobody answers. */
  askDns(message: Uint8Array): Promise<LocalAnswer | undefined> {
    if (this.#lookups.size >= MAX_LOOKUPS) return Promise.resolve(undefined);
    const id = this.#session.askDns(message, monotonicNow());
    if (id === undefined) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<LocalAnswer | undefined>();
    const timer = setTimeout(() => {
      this.#lookups.delete(id);
      resolve(undefined);
    }, LOOKUP_LIMIT_MS);
    this.#lookups.set(id, (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    this.#poke();
    return promise;
  }

  /** To be called at every turn of the loop: hands out what the session has learnt. */
  handleTurn(): void {
    const session = this.#session;
    for (let outcome = session.pollEcho(); outcome !== undefined; outcome = session.pollEcho()) {
      this.#echoes.get(outcome.id)?.(outcome.result);
      this.#echoes.delete(outcome.id);
    }
    for (let answer = session.pollDnsAnswer(); answer !== undefined; answer = session.pollDnsAnswer()) {
      this.#lookups.get(answer.id)?.(answer);
      this.#lookups.delete(answer.id);
    }
  }

  /** The session is over: nobody waits any longer. */
  close(): void {
    for (const resolve of this.#echoes.values()) resolve({ type: "timeout" });
    this.#echoes.clear();
    for (const resolve of this.#lookups.values()) resolve(undefined);
    this.#lookups.clear();
  }
}

const MAX_LOOKUPS = 256;
/** Longer than the session itself tries. */
const LOOKUP_LIMIT_MS = 12_000;
