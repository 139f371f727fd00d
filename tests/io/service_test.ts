import assert from "node:assert/strict";
import * as v from "valibot";
import type { Client, Routing } from "../../io/client.ts";
import { type EngineHooks, Service } from "../../io/service/service.ts";
import { serviceHandlers } from "../../io/service/handlers.ts";
import { Lifetime } from "../../io/lifetime.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpNetwork } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { ChannelTrouble } from "../../lib/channel/client.ts";
import type { ClientStatus, ResourceStatus } from "../../lib/client/status.ts";
import { HealthDocument, type SessionEvent, StatusDocument } from "../../lib/control/api.ts";
import type { ClientConfig } from "../../lib/control/config.ts";
import type { RunEvent } from "../../lib/control/event.ts";
import type { Wishes } from "../../io/service/wishes.ts";

const CONFIG: Omit<ClientConfig, "token"> = {
  apiUrl: "wss://portal.test/",
  name: "box",
  id: undefined,
  maxPartitionTime: undefined,
  failFast: false,
  dnsControl: "disabled",
  internetResource: false,
  tunName: undefined,
  mtu: undefined,
  port: undefined,
  excluded: [],
  lan: "allow",
  increaseBuffers: false,
  flowLogs: false,
};

/** An engine whose life the test decides. */
class FakeEngine {
  routing: Routing = { excluded: [], lan: "allow" };
  readonly config: ClientConfig;
  readonly hooks: EngineHooks;
  readonly life = new Lifetime("client", () => Promise.resolve());
  trouble: ChannelTrouble | undefined;
  resources: ResourceStatus[] = [];
  readonly disabled: string[][] = [];
  readonly internet: boolean[] = [];
  resets = 0;
  /** What is under way on the machine. */
  work: Promise<void> = Promise.resolve();

  constructor(config: ClientConfig, hooks: EngineHooks) {
    this.config = config;
    this.hooks = hooks;
  }

  get ready(): Promise<void> {
    return this.life.ready;
  }

  get done(): Promise<void> {
    return this.life.done;
  }

  status(): ClientStatus {
    return {
      isPortalJoined: this.trouble === undefined,
      interface: undefined,
      internet: { isAvailable: false, isWanted: false, isActive: false },
      dns: { sentinels: [], answered: {}, inFlight: 0, cacheEntries: 0 } as unknown as ClientStatus["dns"],
      resources: this.resources,
      gateways: [],
      relays: [],
      drops: {},
    };
  }

  facts() {
    return {
      deviceName: "box",
      deviceId: "id",
      tunName: "fz0",
      mtu: 1280,
      dnsControl: "disabled",
      dns: { control: "disabled", reason: "asked for", evidence: ["one"], repairs: 1, problem: "two" },
      resolvers: [],
      ...this.routing,
      degraded: ["This machine has no IPv6: resources are reached by IPv4 alone"],
    } as const;
  }

  underlay() {
    return { hasPath: true, sockets: [], sendErrors: { ENETUNREACH: 2 }, resets: 1 };
  }

  setDisabledResources(ids: Iterable<string>): void {
    this.disabled.push([...ids]);
  }

  setInternetResource(active: boolean): void {
    this.internet.push(active);
  }

  setRouting(change: Partial<Routing>): Promise<void> {
    this.routing = { ...this.routing, ...change };
    return Promise.resolve();
  }

  settled(): Promise<void> {
    return this.work;
  }

  reset(): void {
    this.resets++;
  }

  stop(): Promise<void> {
    return this.life.end();
  }

  fail(code: Fault["code"]): Promise<void> {
    return this.life.end(new Fault(code, `it is ${code}`));
  }
}

function setUp(options: Partial<ConstructorParameters<typeof Service>[0]> = {}) {
  const engines: FakeEngine[] = [];
  const events: RunEvent[] = [];
  const service = new Service({
    profile: "default",
    config: CONFIG,
    disabledResources: [],
    waitsForCredential: true,
    log: silentLog,
    startEngine: (config, hooks) => {
      const engine = new FakeEngine(config, hooks);
      engines.push(engine);
      return Promise.resolve(engine as unknown as Client);
    },
    checkEngine: () => Promise.resolve(),
    events: (event) => events.push(event),
    ...options,
  });
  const states = () =>
    events.flatMap((event) =>
      event.event === "state-changed" ? [`${event.state} ${event.problem?.code ?? ""}`.trim()] : []
    );
  return { service, engines, events, states };
}

/** Lets everything happen that has no reason to wait. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function resource(id: string, name: string): ResourceStatus {
  return {
    id,
    name,
    type: "dns",
    address: "a.test",
    addressDescription: undefined,
    ipStack: "dual",
    filters: [],
    sites: [],
    devices: [],
    state: "unknown",
    isActive: true,
    access: "none",
    gatewayId: undefined,
    denial: undefined,
    warning: undefined,
  } as ResourceStatus;
}

Deno.test("Service: goes from connecting to connected, degraded and back, and stops", async () => {
  const { service, engines, events, states } = setUp();
  await service.start("token");
  assert.equal(engines[0]!.config.token, "token");
  assert.equal(service.state, "connecting");
  engines[0]!.life.becomeReady();
  await service.ready;
  assert.equal(service.state, "connected");
  engines[0]!.trouble = { reason: "gone", status: undefined, retryAt: Infinity };
  engines[0]!.hooks.onPortal();
  assert.equal(service.state, "degraded");
  engines[0]!.trouble = undefined;
  engines[0]!.hooks.onPortal();
  await service.stop();
  await service.done;
  assert.deepEqual(states(), ["connecting", "connected", "degraded unreachable", "connected", "stopping"]);
  assert.deepEqual(events.slice(-2).map(({ event }) => event), ["stopping", "stopped"]);
});

Deno.test("Service: says why the portal is away before it was ever there", async () => {
  const { service, engines } = setUp();
  await service.start("token");
  engines[0]!.trouble = {
    reason: "connection refused",
    status: undefined,
    retryAt: performance.now() + 5000,
  };
  engines[0]!.hooks.onPortal();
  const document = service.status();
  assert.equal(document.state, "connecting");
  assert.equal(document.problem?.code, "unreachable");
  assert.match(document.problem?.message ?? "", /connection refused/);
  assert.ok(Date.parse(document.retryAt!) > Date.now());
  assert.ok(v.is(StatusDocument, JSON.parse(JSON.stringify(document))));
  await service.stop();
});

Deno.test("Service: waits for a credential where there is none, and connects with it", async () => {
  const { service, engines, states } = setUp();
  await service.start(undefined);
  assert.equal(service.state, "signed-out");
  assert.equal(service.problem?.code, "rejected");
  assert.equal(service.status().problem?.next, "Run `fz sign-in`.");
  await service.useCredential("fresh");
  engines[0]!.life.becomeReady();
  await service.ready;
  assert.equal(engines[0]!.config.token, "fresh");
  assert.equal(service.problem, undefined);
  assert.deepEqual(states(), ["signed-out rejected", "connecting", "connected"]);
  await service.stop();
});

Deno.test("Service: outlives a dead credential, and another one revives it", async (t) => {
  for (const code of ["rejected", "expired"] as const) {
    await t.step(code, async () => {
      const { service, engines, events } = setUp();
      await service.start("old");
      engines[0]!.life.becomeReady();
      await engines[0]!.fail(code);
      await settle();
      assert.equal(service.state, "signed-out");
      assert.equal(service.problem?.code, code);
      assert.equal(service.engine, undefined);
      await service.useCredential("new");
      assert.equal(engines.length, 2);
      engines[1]!.life.becomeReady();
      await settle();
      assert.equal(service.state, "connected");
      assert.ok(!events.some(({ event }) => event === "stopped"));
      await service.stop();
    });
  }
});

Deno.test("Service: ends with a dead credential where nobody brings another one", async () => {
  const { service, engines } = setUp({ waitsForCredential: false });
  await service.start("old");
  await engines[0]!.fail("expired");
  await assert.rejects(service.done, (error) => error instanceof Fault && error.code === "expired");
});

Deno.test("Service: ends with every other failure of the engine", async (t) => {
  for (const code of ["unreachable", "tun", "dns", "privilege", "unexpected"] as const) {
    await t.step(code, async () => {
      const { service, engines } = setUp();
      await service.start("token");
      await engines[0]!.fail(code);
      await assert.rejects(service.done, (error) => error instanceof Fault && error.code === code);
    });
  }
});

Deno.test("Service: tells what keeps an engine from starting, with a token and without", async () => {
  const broken = () => Promise.reject(new Fault("privilege", "Cannot make a TUN device"));
  const { service } = setUp({ startEngine: broken });
  await assert.rejects(service.start("token"), /TUN device/);
  const { service: other } = setUp({ checkEngine: broken });
  await assert.rejects(other.start(undefined), /TUN device/);
});

Deno.test("Service: ends when the engine of a new credential does not start", async () => {
  const { service } = setUp({
    startEngine: () => Promise.reject(new Fault("tun", "Cannot open TUN device")),
  });
  await service.start(undefined);
  await assert.rejects(service.useCredential("new"), /TUN device/);
  await assert.rejects(service.done, /TUN device/);
});

Deno.test("Service: replaces a living engine, one after the other", async () => {
  const { service, engines } = setUp();
  await service.start("one");
  await Promise.all([service.useCredential("two"), service.useCredential("three")]);
  assert.deepEqual(engines.map(({ config }) => config.token), ["one", "two", "three"]);
  assert.deepEqual(engines.map(({ life }) => life.isEnding), [true, true, false]);
  assert.notEqual(service.state, "signed-out");
  await service.stop();
  assert.ok(engines[2]!.life.isEnding);
  await assert.rejects(service.useCredential("four"), /is ending/);
});

Deno.test("Service.follow: begins with the status, goes on with what happens, and ends with the session", async () => {
  const { service, engines } = setUp();
  await service.start("token");
  const stream = service.follow(new AbortController().signal);
  engines[0]!.hooks.events({ event: "portal-connected" });
  engines[0]!.hooks.events({ event: "stopped" });
  await service.stop();
  const heard: SessionEvent[] = [];
  for await (const event of stream) heard.push(event);
  assert.deepEqual(
    heard.map(({ event }) => event),
    ["status", "portal-connected", "state-changed", "stopping", "stopped"],
  );
  assert.equal(heard[0]!.state, "connecting");
});

Deno.test("Service: keeps resources out of the tunnel by name or id, also after a new sign-in", async () => {
  const { service, engines } = setUp({ disabledResources: ["web"] });
  await service.start("token");
  assert.deepEqual(engines[0]!.disabled, [["web"]], "ids hold before the resources are known");
  engines[0]!.resources = [resource("1", "web"), resource("2", "db")];
  engines[0]!.hooks.events({ event: "resources-changed" });
  engines[0]!.hooks.events({ event: "resources-changed" });
  assert.deepEqual(engines[0]!.disabled.slice(1), [["web", "1"]]);
  service.setResource("2", false);
  service.setResource("Web", true);
  assert.deepEqual(engines[0]!.disabled.slice(2), [["web", "2", "1"], ["2"]]);
  assert.throws(
    () => service.setResource("dp", false),
    (error) => error instanceof Fault && error.code === "unknown-resource" && /"db"/.test(error.next ?? ""),
  );
  await service.useCredential("other");
  engines[1]!.resources = engines[0]!.resources;
  engines[1]!.hooks.events({ event: "resources-changed" });
  assert.deepEqual(engines[1]!.disabled, [["2"]]);
  await service.stop();
});

Deno.test("Service.setRouting: holds for the engine and those that follow", async () => {
  const { service, engines } = setUp();
  await service.start("token");
  const excluded = [IpNetwork.from("10.0.0.0/8")];
  await service.setRouting({ excluded });
  await service.setRouting({ lan: "deny" });
  assert.deepEqual(engines[0]!.routing, { excluded, lan: "deny" });
  const { network } = service.status();
  assert.deepEqual(network?.excluded, ["10.0.0.0/8"]);
  assert.equal(network?.lan, "deny");
  assert.equal(network?.degraded.length, 1);
  await service.useCredential("other");
  assert.deepEqual([engines[1]!.config.excluded, engines[1]!.config.lan], [excluded, "deny"]);
  await service.stop();
});

Deno.test("Service: remembers what was switched, for the next session", async () => {
  const kept: Wishes[] = [];
  const { service, engines } = setUp({ disabledResources: ["1"], keepWishes: (wishes) => kept.push(wishes) });
  await service.start("token");
  engines[0]!.resources = [resource("1", "web"), resource("2", "db")];
  service.setResource("db", false);
  service.setInternet(true);
  service.setResource("web", true);
  assert.deepEqual(kept.at(-1), { internet: true, disabledResources: ["2"] });
  await service.setRouting({ lan: "deny" });
  assert.deepEqual(kept.at(-1), { internet: true, disabledResources: ["2"], lan: "deny" });
  await service.stop();
});

Deno.test("Service: what the settings say holds, and what was switched before stays remembered", async () => {
  const kept: Wishes[] = [];
  const { service, engines } = setUp({
    wishes: { internet: true, disabledResources: ["1", "2"] },
    disabledResources: ["3"],
    keepWishes: (wishes) => kept.push(wishes),
  });
  await service.start("token");
  assert.equal(engines[0]!.config.internetResource, false);
  assert.deepEqual(engines[0]!.disabled, [["3"]]);
  engines[0]!.resources = [resource("1", "web"), resource("2", "db"), resource("3", "wiki")];
  service.setResource("web", true);
  assert.deepEqual(kept, [{ internet: true, disabledResources: ["2"] }]);
  await service.stop();
});

Deno.test("Service.setResource: asks which one is meant where several have the name", async () => {
  const { service, engines } = setUp();
  await service.start("token");
  engines[0]!.resources = [resource("1", "web"), resource("2", "web")];
  assert.throws(
    () => service.setResource("web", false),
    (error) => error instanceof Fault && error.code === "usage" && /several/.test(error.message),
  );
  assert.equal(service.setResource("2", false).id, "2");
  await service.stop();
});

Deno.test("Service.setInternet: holds for the engines that follow", async () => {
  const { service, engines } = setUp();
  await service.start("token");
  service.setInternet(true);
  assert.deepEqual(engines[0]!.internet, [true]);
  await service.useCredential("other");
  assert.equal(engines[1]!.config.internetResource, true);
  await service.stop();
});

Deno.test("serviceHandlers: answer what was switched when the machine is set up so", async () => {
  const { service, engines } = setUp();
  await service.start("token");
  const handlers = serviceHandlers(service);
  const engine = engines[0]!;
  engine.resources = [resource("1", "web")];
  for (
    const ask of [
      () => handlers.setInternet({ active: true }),
      () => handlers.setResource({ resource: "web", enabled: false }),
    ]
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    engine.work = promise;
    let isAnswered = false;
    const answer = Promise.resolve(ask()).then(() => isAnswered = true);
    await new Promise((done) => setTimeout(done, 5));
    assert.equal(isAnswered, false);
    resolve();
    await answer;
  }
  assert.deepEqual([engine.internet, engine.disabled.at(-1)], [[true], ["1"]]);
  await service.stop();
});

Deno.test("serviceHandlers: answer by the schema, and say why not while nobody is signed in", async () => {
  const { service, engines } = setUp();
  await service.start(undefined);
  const handlers = serviceHandlers(service);
  assert.deepEqual(await handlers.health({}), {
    schema: 1,
    live: true,
    ready: false,
    state: "signed-out",
    problem: service.problem,
  });
  assert.ok(v.is(HealthDocument, await handlers.health({})));
  for (const ask of [() => handlers.dns({}), () => handlers.reset({})]) {
    await assert.rejects(
      async () => await ask(),
      (error) => error instanceof Fault && error.code === "rejected" && error.next === "Run `fz sign-in`.",
    );
  }
  await handlers.credential({ token: "fresh" });
  engines[0]!.life.becomeReady();
  await service.ready;
  await handlers.reset({});
  assert.equal(engines[0]!.resets, 1);
  assert.equal((await handlers.health({})).ready, true);
  await handlers.stop({});
  await service.done;
});
