/** The control API of a session: listens, lets clients in as far as there is room, and ends with the session. */

import { concatBytes, utf8 } from "../../lib/base/bytes.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Paths } from "../../lib/control/paths.ts";
import { answerHead } from "./answer_head.ts";
import type { ControlHandlers } from "./handlers.ts";
import { type Entrance, findReadersGroup, openEntrances, type Transport } from "./listeners.ts";
import { type ControlLimits, type Desk, ServerConnection } from "./server_connection.ts";

/** What serves the control API. */
export interface ControlServerOptions {
  readonly paths: Paths;
  readonly handlers: ControlHandlers;
  readonly log: Log;
  /** Where FZ_CONTROL does not say: Unix sockets wherever there are any. */
  readonly transport?: Transport;
  /** Id of the group that may ask; that of this machine's group "fz" if undefined. */
  readonly readersGroup?: number;
  readonly limits?: Partial<ControlLimits>;
  /** Check answers against the schema before they go out: for tests, and for a session whose answers are doubted. */
  readonly checkAnswers?: boolean;
}

/** A running control API. */
export interface ControlServer {
  /** Ends streams in good order, lets answers finish, removes the sockets. */
  stop(): Promise<void>;
}

/** Bounds of each socket, so that readers cannot shut the owner out. */
export const CONTROL_LIMITS: ControlLimits = {
  connections: 256,
  streams: 32,
  headMs: 15_000,
  bodyMs: 15_000,
  writeMs: 30_000,
  graceMs: 500,
};

/** Serves at `paths`. The caller holds the session's lock. Throws `Fault` if it cannot listen there. */
export function serveControl(options: ControlServerOptions): Promise<ControlServer> {
  const { paths, handlers, log } = options;
  const transport = options.transport ??
    (Deno.build.os === "windows" || Deno.env.get("FZ_CONTROL") === "tcp" ? "tcp" : "unix");
  const group = options.readersGroup ?? (Deno.build.os === "windows" ? undefined : findReadersGroup());
  const limits = { ...CONTROL_LIMITS, ...options.limits };
  const checkAnswers = options.checkAnswers ?? Deno.env.get("FZ_CONTROL_CHECK") === "1";
  return Promise.try(() => {
    const stopping = new AbortController();
    const doors = openEntrances(paths, transport, group, log).map((entrance) => {
      let streams = 0;
      return new Door(entrance, {
        ...{ handlers, log, limits, checkAnswers, guard: entrance.guard, stopping: stopping.signal },
        takeStream: () => streams < limits.streams && ++streams > 0,
        releaseStream: () => streams--,
      });
    });
    return {
      async stop() {
        for (const door of doors) door.shut();
        stopping.abort();
        await Promise.all(doors.map((door) => door.empty(2 * limits.graceMs)));
      },
    };
  });
}

/** One way in and who came by it. */
class Door {
  readonly #entrance: Entrance;
  readonly #desk: Desk;
  /** In the order in which they came. */
  readonly #connections = new Map<ServerConnection, Promise<void>>();
  #isShut = false;

  constructor(entrance: Entrance, desk: Desk) {
    this.#entrance = entrance;
    this.#desk = desk;
    this.#accept();
  }

  /** Lets nobody in any more. */
  shut(): void {
    if (this.#isShut) return;
    this.#isShut = true;
    this.#entrance.remove();
    this.#entrance.listener.close();
  }

  /** Resolves when all have left; those who have not after `ms` are put out. */
  async empty(ms: number): Promise<void> {
    for (const connection of this.#connections.keys()) if (connection.isIdle) connection.close();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await Promise.race([Promise.all(this.#connections.values()), late]);
    clearTimeout(timer);
    for (const connection of this.#connections.keys()) connection.close();
  }

  async #accept(): Promise<void> {
    while (!this.#isShut) {
      try {
        this.#admit(await this.#entrance.listener.accept());
      } catch (error) {
        if (this.#isShut) return;
        // Out of descriptors, mostly. Those who wait are let in when there are some again.
        this.#desk.log.warn("cannot accept a control connection", { error });
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #admit(accepted: Deno.Conn): void {
    if (this.#connections.size >= this.#desk.limits.connections && !this.#makeRoom()) {
      turnAway(accepted);
      return;
    }
    const connection = new ServerConnection(accepted, this.#desk);
    const served = connection.serve().finally(() => this.#connections.delete(connection));
    this.#connections.set(connection, served);
  }

  /** Puts out the one who came first of those who ask nothing; returns whether there was one. */
  #makeRoom(): boolean {
    for (const connection of this.#connections.keys()) {
      if (!connection.isIdle) continue;
      this.#connections.delete(connection);
      connection.close();
      return true;
    }
    return false;
  }
}

const RETRY_MS = 100;

const NO_ROOM = JSON.stringify({
  error: {
    code: "unexpected",
    message: "Cannot answer: too many ask at once",
    next: "Try again in a moment.",
  },
});

/** A new socket takes the few bytes at once; whoever does not read them is not waited for. */
function turnAway(connection: Deno.Conn): void {
  const body = utf8(`${NO_ROOM}\n`);
  const headers = {
    "content-type": "application/json",
    "content-length": body.length,
    "connection": "close",
  };
  connection.write(concatBytes(answerHead(503, headers), body)).catch(() => {}).finally(() =>
    connection.close()
  );
}
