/**
 * A session: one for the whole life of its process. It owns the engine (`startClient`) while there is a credential,
 * says where it stands, and takes a new credential without a restart. `session.ts` gives it its place on the machine,
 * `handlers.ts` opens it to the control API.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { Log } from "../../lib/base/log.ts";
import { Turns } from "../../lib/base/turns.ts";
import type { ResourceStatus } from "../../lib/client/status.ts";
import { findResource, nearestResource } from "../../lib/client/target.ts";
import type {
  Problem,
  ResourceDocument,
  SessionEvent,
  SessionState,
  StatusDocument,
} from "../../lib/control/api.ts";
import type { ClientConfig } from "../../lib/control/config.ts";
import type { EventSink, RunEvent } from "../../lib/control/event.ts";
import type { Client, ClientEnvironment, Routing } from "../client.ts";
import { monotonicNow } from "../clock.ts";
import { Lifetime, type RunningRole } from "../lifetime.ts";
import { resourceDocument, type SessionFacts, statusDocument, timeText } from "./documents.ts";
import { Hub } from "./hub.ts";
import { NO_WISHES, type Wishes } from "./wishes.ts";
import { problemOf } from "../control/problem.ts";

/** What the engine tells the service. */
export type EngineHooks = Required<Pick<ClientEnvironment, "events" | "onPortal">>;

/** What a session is made of. */
export interface ServiceOptions {
  readonly profile: string;
  readonly config: Omit<ClientConfig, "token">;
  /** Names or ids of resources that stay out of the tunnel. */
  readonly disabledResources: readonly string[];
  /** What was switched in earlier sessions: to be kept, too. The settings say already what of it holds. */
  readonly wishes?: Wishes;
  /** Keeps what is switched for the next session. */
  readonly keepWishes?: (wishes: Wishes) => void;
  /** Whether it waits for a credential when there is none or a dead one, instead of ending. */
  readonly waitsForCredential: boolean;
  readonly log: Log;
  readonly startEngine: (config: ClientConfig, hooks: EngineHooks) => Promise<Client>;
  /** Throws what would keep an engine from starting; changes nothing. */
  readonly checkEngine: (config: ClientConfig) => Promise<void>;
  /** Hears what the readers of the event stream hear. */
  readonly events: EventSink;
}

/** Why nothing is connected where there is no credential at all. */
const NO_CREDENTIAL: Problem = {
  code: "rejected",
  message: "Nobody is signed in",
  next: "Run `fz sign-in`.",
};
const UNREACHABLE_NEXT = "Check the network and the portal's URL; the session goes on trying.";

/** A running session. */
export class Service implements RunningRole {
  readonly log: Log;
  readonly #options: ServiceOptions;
  readonly #life = new Lifetime("session", () => this.#shutDown());
  readonly #hub = new Hub<SessionEvent>({ time: "", event: "dropped", reason: "the reader was too slow" });
  readonly #startedAt = Date.now();
  #engine: Client | undefined;
  /** Until `start` knows better. */
  #isStarting = true;
  /** Of the engine that runs. */
  #readyAt: number | undefined;
  #portalSince: number | undefined;
  /** Why nobody is signed in. */
  #problem: Problem | undefined;
  #internetWanted: boolean;
  #routing: Routing;
  readonly #disabled: Set<string>;
  #wishes: Wishes;
  /** As the engine has it. */
  #disabledIds = "";
  #announced = "";
  readonly #turns = new Turns();

  constructor(options: ServiceOptions) {
    this.log = options.log;
    this.#options = options;
    this.#wishes = options.wishes ?? NO_WISHES;
    this.#internetWanted = options.config.internetResource;
    this.#routing = { excluded: options.config.excluded, lan: options.config.lan };
    this.#disabled = new Set(options.disabledResources);
  }

  /** See `RunningRole`: resolves when the tunnel is configured for the first time. */
  get ready(): Promise<void> {
    return this.#life.ready;
  }

  /** See `RunningRole`. */
  get done(): Promise<void> {
    return this.#life.done;
  }

  /** Starts with `token`, or waits for one. Throws the Fault that keeps it from starting, with nothing changed. */
  async start(token: string | undefined): Promise<void> {
    if (token !== undefined) return await this.#turns.take(() => this.#startEngine(token));
    if (!this.#options.waitsForCredential) throw new Fault("rejected", NO_CREDENTIAL.message);
    await this.#options.checkEngine({ ...this.#options.config, token: "" });
    this.#isStarting = false;
    this.#problem = NO_CREDENTIAL;
    this.#announce();
  }

  /** The engine; undefined while nobody is signed in. */
  get engine(): Client | undefined {
    return this.#engine;
  }

  /** After the end: why this machine's DNS is not as it was. */
  get leftBehind(): Fault | undefined {
    return this.#engine?.leftBehind;
  }

  /** Where the session stands. */
  get state(): SessionState {
    if (this.#life.isEnding) return "stopping";
    if (this.#engine === undefined) return this.#isStarting ? "connecting" : "signed-out";
    if (this.#readyAt === undefined) return "connecting";
    return this.#engine.trouble === undefined ? "connected" : "degraded";
  }

  /** Why it is not connected. */
  get problem(): Problem | undefined {
    const trouble = this.#engine?.trouble;
    return trouble === undefined ? this.#problem : {
      code: "unreachable",
      message: `Cannot reach the portal: ${trouble.reason}`,
      next: UNREACHABLE_NEXT,
    };
  }

  /** Returns everything there is to tell. */
  facts(): SessionFacts {
    const { profile, config } = this.#options;
    const engine = this.#engine;
    return {
      pid: Deno.pid,
      profile,
      state: this.state,
      startedAt: this.#startedAt,
      readyAt: this.#readyAt,
      problem: this.problem,
      retryAt: this.#retryAt(),
      portalUrl: config.apiUrl,
      portalSince: this.#portalSince,
      deviceName: config.name ?? Deno.hostname(),
      internetWanted: this.#internetWanted,
      engine: engine && { status: engine.status(), facts: engine.facts(), underlay: engine.underlay() },
    };
  }

  /** Returns everything there is to tell, as the API does. */
  status(): StatusDocument {
    return statusDocument(this.facts());
  }

  /** Returns what happens from now on. The first is a "status". Ends with the session, or with `signal`. */
  follow(signal: AbortSignal): AsyncIterableIterator<SessionEvent> {
    return this.#hub.subscribe(signal, [{ ...this.status(), time: timeText(Date.now()), event: "status" }]);
  }

  /** Connects with `token` in place of whatever was there. Throws the Fault that keeps it from starting. */
  useCredential(token: string): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#life.isEnding) {
        throw new Fault("not-running", "Cannot take the credential: the session is ending");
      }
      const before = this.#engine;
      this.#forgetEngine();
      this.#isStarting = true;
      await before?.stop();
      try {
        await this.#startEngine(token);
      } catch (error) {
        if (error instanceof Fault) void this.#life.end(error);
        throw error;
      }
    });
  }

  /** Switches full tunnel, for this engine and those after it. */
  setInternet(active: boolean): void {
    this.#internetWanted = active;
    this.#keep({ internet: active });
    this.#engine?.setInternetResource(active);
  }

  /** Changes what passes the tunnel by, for this engine and those after it. */
  async setRouting(change: Partial<Routing>): Promise<void> {
    if (Object.keys(change).length === 0) return;
    this.#routing = { ...this.#routing, ...change };
    this.#keep(change);
    await this.#engine?.setRouting(change);
  }

  /** Resolves when the machine is set up as was asked for so far: what is answered then is true. Never rejects. */
  async settled(): Promise<void> {
    await this.#engine?.settled();
  }

  /** Takes the resource of this name or id out of the tunnel or puts it back, for this engine and those after it. */
  setResource(nameOrId: string, enabled: boolean): ResourceDocument {
    const resources = this.#engine?.status().resources ?? [];
    const resource = oneResource(nameOrId, resources);
    if (resource.type === "internet") this.setInternet(enabled);
    else {
      for (const key of [resource.id, resource.name]) this.#disabled.delete(key);
      if (!enabled) this.#disabled.add(resource.id);
      const others = this.#wishes.disabledResources.filter((id) => id !== resource.id);
      this.#keep({ disabledResources: enabled ? others : [...others, resource.id] });
      this.#applyDisabled();
    }
    const after = this.#engine?.status().resources.find(({ id }) => id === resource.id);
    return resourceDocument(after ?? resource);
  }

  /** Forgets all paths and finds new ones. */
  reset(): void {
    this.#engine?.reset();
  }

  /** Undoes what was changed on the machine, says goodbye, and ends. */
  async stop(): Promise<void> {
    await this.#life.end();
  }

  async #startEngine(token: string): Promise<void> {
    if (this.#life.isEnding) return;
    this.#isStarting = true;
    this.#problem = undefined;
    this.#announce();
    try {
      const wanted = { internetResource: this.#internetWanted, ...this.#routing };
      const config = { ...this.#options.config, ...wanted, token };
      const engine = await this.#options.startEngine(config, {
        events: (event) => this.#forward(event),
        onPortal: () => this.#announce(),
      });
      this.#engine = engine;
      this.#applyDisabled();
      engine.ready.then(() => this.#handleReady(engine), () => {});
      engine.done.then(() => this.#handleEnd(engine), (error) => this.#handleEnd(engine, error));
    } finally {
      this.#isStarting = false;
    }
    this.#announce();
  }

  #handleReady(engine: Client): void {
    if (this.#engine !== engine) return;
    this.#readyAt = Date.now();
    this.#announce();
    this.#life.becomeReady();
  }

  /** The engine has undone its changes of the machine already. */
  #handleEnd(engine: Client, error?: unknown): void {
    if (this.#engine !== engine || this.#life.isEnding) return;
    this.#forgetEngine();
    const fault = error === undefined || error instanceof Fault
      ? error
      : new Fault("unexpected", "Cannot go on: the client failed", { cause: error });
    const isDead = fault?.code === "rejected" || fault?.code === "expired";
    if (!isDead || !this.#options.waitsForCredential) return void this.#life.end(fault);
    this.log.warn("the credential is not accepted any more; waiting for another one", {
      reason: fault.message,
    });
    this.#problem = problemOf(fault);
    this.#announce();
  }

  #forgetEngine(): void {
    this.#engine = undefined;
    this.#disabledIds = "";
    this.#readyAt = undefined;
    this.#portalSince = undefined;
  }

  #retryAt(): number | undefined {
    const trouble = this.#engine?.trouble;
    const wait = trouble === undefined ? 0 : trouble.retryAt - monotonicNow();
    return wait > 0 ? Date.now() + wait : undefined;
  }

  /** Passes on what the engine tells. Its end is not the session's. */
  #forward(event: RunEvent): void {
    if (event.event === "stopping" || event.event === "stopped") return;
    if (event.event === "portal-connected") this.#portalSince = Date.now();
    if (event.event === "portal-lost") this.#portalSince = undefined;
    this.#tell(event);
    if (event.event === "resources-changed") this.#applyDisabled();
  }

  #keep(changed: Partial<Wishes>): void {
    this.#wishes = { ...this.#wishes, ...changed };
    this.#options.keepWishes?.(this.#wishes);
  }

  /** Names come to mean something, or something else, when resources change. */
  #applyDisabled(): void {
    const engine = this.#engine;
    if (engine === undefined || (this.#disabled.size === 0 && this.#disabledIds === "")) return;
    const named = engine.status().resources.filter(({ name }) => this.#disabled.has(name)).map(({ id }) =>
      id
    );
    // Ids also of resources that are yet to come: not one packet of theirs shall get through.
    const ids = [...new Set([...this.#disabled, ...named])];
    if (ids.join() === this.#disabledIds) return;
    this.#disabledIds = ids.join();
    engine.setDisabledResources(ids);
  }

  /** Tells where the session stands, if that changed. */
  #announce(): void {
    const { state, problem } = this;
    const text = `${state} ${problem?.code} ${problem?.message}`;
    if (text === this.#announced) return;
    this.#announced = text;
    this.#tell({ event: "state-changed", state, ...(problem === undefined ? {} : { problem }) });
  }

  #tell(event: RunEvent): void {
    this.#options.events(event);
    this.#hub.publish({ time: timeText(Date.now()), ...event });
  }

  async #shutDown(): Promise<void> {
    // Whoever ends us may still be in the middle of a turn.
    await Promise.resolve();
    this.#announce();
    this.#tell({ event: "stopping" });
    await this.#turns.take(() => {});
    await this.#engine?.stop();
    this.#tell({ event: "stopped" });
    this.#hub.close();
  }
}

/** Throws a Fault if no resource, or more than one, is called that. */
function oneResource(nameOrId: string, resources: readonly ResourceStatus[]): ResourceStatus {
  const found = findResource(nameOrId, resources);
  if (found === "several") {
    throw new Fault("usage", `Cannot tell which resource is meant by "${nameOrId}": several have that name`, {
      next: "Use the id, as `fz resource list --json` tells it.",
    });
  }
  if (found !== undefined) return found;
  const similar = nearestResource(nameOrId, resources);
  throw new Fault("unknown-resource", `Cannot find the resource "${nameOrId}": there is none of that name`, {
    next: similar === undefined
      ? "Run `fz resource list` to see all."
      : `Did you mean "${similar}"? Run \`fz resource list\` to see all.`,
  });
}
