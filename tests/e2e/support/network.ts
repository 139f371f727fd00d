/**
 * A whole Firezone network of ours in the lab: portal, relays, gateways, a site with a web server and a name server, a
 * client, and an internet between them. Every part is the real program in a namespace of its own.
 *
 * ```text
 *   portal  relay-1  relay-2  public (web, DNS)          all behind the router "internet"
 *     └───────┴────────┴────────┘
 *   client [client-nat] ── internet ── [gateway-N-nat] gateway-N ──┬── site-web 172.20.0.10, fd20::10
 *                                                                  └── site-dns 172.20.0.53
 * ```
 */

import assert from "node:assert/strict";
import type { Host } from "../../../io/lab/host.ts";
import type { Lab } from "../../../io/lab/lab.ts";
import type { Interface, Segment } from "../../../io/lab/link.ts";
import { enableNat, type NatKind } from "../../../io/lab/nat.ts";
import type { LabProcess } from "../../../io/lab/process.ts";
import { Events } from "./events.ts";
import { seedFor, type SeedOptions, TOKENS } from "./seed.ts";

export type Underlay = "dual" | "ipv4" | "ipv6";

export interface NetworkOptions extends SeedOptions {
  readonly underlay?: Underlay;
  readonly clientNat?: NatKind;
  readonly gatewayNat?: NatKind;
  readonly gateways?: 1 | 2;
  readonly relays?: 1 | 2;
  /** Puts the client and the gateways on one segment, without NAT. */
  readonly sameLan?: boolean;
}

/** A network that the client is in: its own interface, and the router there. */
export interface ClientUplink {
  readonly inside: Interface;
  readonly router: Host;
  /** The router's address as the client sees it: gateway and resolver. */
  readonly gateway: string;
}

/** A running role and its story. */
export interface Role {
  readonly host: Host;
  readonly process: LabProcess;
  readonly events: Events;
}

const MAIN = new URL("../../../main.ts", import.meta.url).pathname;
const WEB = new URL("./web.ts", import.meta.url).pathname;
const ADMIN_SOCKET = "/run/fz-admin.sock";

export class Network {
  readonly lab: Lab;
  readonly #options: NetworkOptions;
  readonly #hosts = new Map<string, Host>();
  readonly #uplinks = new Map<string, Interface>();
  readonly #roles = new Map<string, Role>();
  #stories = 0;
  #site: Segment | undefined;

  private constructor(lab: Lab, options: NetworkOptions) {
    this.lab = lab;
    this.#options = options;
  }

  /** Builds the hosts and starts everything but the client. */
  static async start(lab: Lab, options: NetworkOptions = {}): Promise<Network> {
    const network = new Network(lab, options);
    await network.#wire();
    await network.#startServices();
    await network.startPortal();
    await Promise.all([
      ...range(options.relays ?? 1).map((index) => network.startRelay(index)),
      ...range(options.gateways ?? 1).map((index) => network.startGateway(index)),
    ]);
    return network;
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    assert.ok(host, `no host "${name}"`);
    return host;
  }

  /** The interface by which `name` (or the NAT in front of it) reaches the internet. */
  uplink(name: string): Interface {
    const uplink = this.#uplinks.get(name);
    assert.ok(uplink, `no uplink of "${name}"`);
    return uplink;
  }

  role(name: string): Role {
    const role = this.#roles.get(name);
    assert.ok(role, `"${name}" was not started`);
    return role;
  }

  get client(): Host {
    return this.host("client");
  }

  /**
   * Puts the client into one more network, number `net`, behind a NAT of its own, and gives it no default route there. A
   * resolver on the router knows `where.test` by the text "from NAME", and the portal as `portal.test`.
   */
  async addClientUplink(name: string, net: number, kind: NatKind = "port-restricted"): Promise<ClientUplink> {
    const router = await this.lab.router(`${name}-nat`);
    this.#hosts.set(`${name}-nat`, router);
    const outside = await this.#joinInternet(router, net);
    await enableNat(router, outside, kind);
    const [inside] = await this.lab.link([this.client, {
      ...this.#addresses(`192.168.${net}.2/24`, `fd88:${net}::2/64`),
      name,
    }], [router, this.#addresses(`192.168.${net}.1/24`, `fd88:${net}::1/64`)]);
    const { v4, v6 } = this.uplink("portal");
    await startDnsmasq(router, [
      `--txt-record=where.test,from ${name}`,
      `--host-record=${["portal.test", v4, v6].filter((part) => part !== undefined).join(",")}`,
    ]);
    return { inside, router, gateway: this.#has4 ? `192.168.${net}.1` : `fd88:${net}::1` };
  }

  async startPortal(): Promise<Role> {
    const host = this.host("portal");
    await host.writeFile("/run/seed.json", JSON.stringify(seedFor(this.#options)));
    const any = this.#has6 ? "[::]" : "0.0.0.0";
    return await this.#startRole("portal", [
      "portal",
      ...["--listen", `${any}:8081`, "--seed", "/run/seed.json"],
      ...["--database", "/run/portal.sqlite", "--admin-socket", ADMIN_SOCKET],
    ], {});
  }

  async startRelay(index = 1): Promise<Role> {
    const host = `relay-${index}`;
    const uplink = this.uplink(host);
    return await this.#startRole(host, ["relay"], {
      FIREZONE_API_URL: this.portalUrl,
      FIREZONE_TOKEN: TOKENS.relay,
      ...(uplink.v4 === undefined ? {} : { PUBLIC_IP4_ADDR: uplink.v4 }),
      ...(uplink.v6 === undefined ? {} : { PUBLIC_IP6_ADDR: uplink.v6 }),
    });
  }

  async startGateway(index = 1): Promise<Role> {
    return await this.#startRole(`gateway-${index}`, ["gateway"], {
      FIREZONE_API_URL: this.portalUrl,
      FIREZONE_TOKEN: TOKENS.gateway,
      FIREZONE_ID: `gateway-${index}`,
      FIREZONE_NAME: `gateway-${index}`,
    });
  }

  /** Starts the client and waits until its tunnel is configured. */
  async startClient(
    options: { args?: string[]; env?: Record<string, string>; dnsControl?: string; main?: string } = {},
  ): Promise<Role> {
    return await this.#startRole(
      "client",
      ["run", "--dns-control", options.dnsControl ?? "etc-resolv-conf", ...options.args ?? []],
      this.clientEnv(options.env),
      options.main,
    );
  }

  /** The environment of `fz run`, for tests that start it themselves. */
  clientEnv(extra: Record<string, string> = {}): Record<string, string> {
    return {
      FIREZONE_API_URL: this.portalUrl,
      FIREZONE_TOKEN: TOKENS.client,
      FIREZONE_NAME: "client",
      ...extra,
    };
  }

  /** Runs `fz` with `args` on the client's host and returns how it ended. */
  async fz(args: string[], env: Record<string, string>) {
    return await this.client.run(this.command(args), { env: inherit(env) });
  }

  /** Returns the command that runs `fz` with `args`, for tests that start it themselves. */
  command(args: readonly string[]): string[] {
    return [Deno.execPath(), "run", "-A", "--quiet", MAIN, ...args];
  }

  /** `clientEnv` with what the program needs to run at all. */
  programEnv(extra: Record<string, string> = {}): Record<string, string> {
    return inherit(this.clientEnv(extra));
  }

  get portalUrl(): string {
    const { v4, v6 } = this.uplink("portal");
    return `ws://${v4 ?? `[${v6}]`}:8081/`;
  }

  /** Asks the portal's admin API; returns the decoded answer and throws on any status but 2xx. */
  async admin(method: string, path: string, body?: unknown): Promise<unknown> {
    const data = body === undefined
      ? []
      : ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
    const answer = await this.host("portal").must([
      ...["curl", "-sS", "--fail-with-body", "--unix-socket", ADMIN_SOCKET, "-X", method, ...data],
      `http://admin${path}`,
    ]);
    return answer === "" ? undefined : JSON.parse(answer);
  }

  /** Fetches `url` with curl on the client; returns the body and throws if that fails. */
  async curl(url: string, ...args: string[]): Promise<string> {
    return await this.client.must(["curl", "-sS", "--fail", "--max-time", "20", ...args, url]);
  }

  /** Throws with the logs of all roles added to `error`, so that a failed test tells why. */
  explain(error: unknown): never {
    const logs = [...this.#roles].map(([name, role]) => `=== ${name}\n${role.process.describe()}`);
    throw new Error(`${error instanceof Error ? error.stack : error}\n${logs.join("\n")}`, { cause: error });
  }

  get #has4(): boolean {
    return this.#options.underlay !== "ipv6";
  }

  get #has6(): boolean {
    return this.#options.underlay !== "ipv4";
  }

  async #wire(): Promise<void> {
    const { clientNat, gatewayNat, gateways = 1, relays = 1, sameLan = false } = this.#options;
    this.#hosts.set("internet", await this.lab.router("internet"));
    await this.#attach("portal", 1);
    for (const index of range(relays)) await this.#attach(`relay-${index}`, 1 + index);
    await this.#attach("public", 9);
    this.#site = await this.lab.segment();
    if (sameLan) {
      await this.#shareLan(["client", ...range(gateways).map((index) => `gateway-${index}`)]);
    } else {
      await this.#attach("client", 10, clientNat);
      for (const index of range(gateways)) {
        await this.#attach(`gateway-${index}`, 10 * (1 + index), gatewayNat);
      }
    }
    for (const index of range(gateways)) {
      const gateway = this.host(`gateway-${index}`);
      await this.#site.attach(gateway, {
        v4: `172.20.0.${index}/24`,
        v6: `fd20::${index}/64`,
        name: "site0",
      });
      await gateway.setResolvers(["172.20.0.53"]);
    }
    for (const [name, last] of [["site-web", 10], ["site-dns", 53]] as const) {
      const host = await this.lab.host(name);
      this.#hosts.set(name, host);
      await this.#site.attach(host, { v4: `172.20.0.${last}/24`, v6: `fd20::${last}/64` });
    }
    const { v4, v6 } = this.uplink("public");
    await this.client.setResolvers([v4 ?? v6!]);
  }

  /** Joins a new host to the internet by network number `net`, with a NAT in between if asked for. */
  async #attach(name: string, net: number, nat?: NatKind): Promise<void> {
    const host = nat === undefined ? await this.lab.host(name) : await this.#behindNat(name, net, nat);
    this.#hosts.set(name, host);
    if (nat !== undefined) return;
    this.#uplinks.set(name, await this.#joinInternet(host, net));
  }

  async #behindNat(name: string, net: number, kind: NatKind): Promise<Host> {
    const nat = await this.lab.router(`${name}-nat`);
    this.#hosts.set(`${name}-nat`, nat);
    const outside = await this.#joinInternet(nat, net);
    this.#uplinks.set(name, outside);
    await enableNat(nat, outside, kind);
    const host = await this.lab.host(name);
    await this.lab.link([host, this.#addresses(`192.168.${net}.2/24`, `fd88:${net}::2/64`)], [
      nat,
      this.#addresses(`192.168.${net}.1/24`, `fd88:${net}::1/64`),
    ]);
    if (this.#has4) await host.setDefaultRoute(`192.168.${net}.1`);
    if (this.#has6) await host.setDefaultRoute(`fd88:${net}::1`);
    return host;
  }

  async #joinInternet(host: Host, net: number): Promise<Interface> {
    const [own] = await this.lab.link(
      [host, this.#addresses(`198.18.${net}.2/24`, `2001:db8:${net}::2/64`)],
      [
        this.host("internet"),
        this.#addresses(`198.18.${net}.1/24`, `2001:db8:${net}::1/64`),
      ],
    );
    if (this.#has4) await host.setDefaultRoute(`198.18.${net}.1`);
    if (this.#has6) await host.setDefaultRoute(`2001:db8:${net}::1`);
    return own;
  }

  async #shareLan(names: readonly string[]): Promise<void> {
    const lan = await this.lab.segment();
    await lan.attach(this.host("internet"), this.#addresses("198.18.50.1/24", "2001:db8:50::1/64"));
    for (const [index, name] of names.entries()) {
      const host = await this.lab.host(name);
      this.#hosts.set(name, host);
      const own = await lan.attach(
        host,
        this.#addresses(`198.18.50.${index + 10}/24`, `2001:db8:50::${index + 10}/64`),
      );
      this.#uplinks.set(name, own);
      if (this.#has4) await host.setDefaultRoute("198.18.50.1");
      if (this.#has6) await host.setDefaultRoute("2001:db8:50::1");
    }
  }

  #addresses(v4: string, v6: string) {
    return { ...(this.#has4 ? { v4 } : {}), ...(this.#has6 ? { v6 } : {}) };
  }

  async #startServices(): Promise<void> {
    const web = [Deno.execPath(), "run", "-A", "--quiet", WEB, "80", "8080"];
    const publicAddress = this.uplink("public");
    const started = [
      this.host("site-web").spawn(web, { env: inherit() }).waitFor(/ready/),
      this.host("public").spawn(web, { env: inherit() }).waitFor(/ready/),
      startDnsmasq(this.host("site-dns"), SITE_RECORDS),
      startDnsmasq(this.host("public"), [
        ...(publicAddress.v4 === undefined ? [] : [`--address=/www.public.test/${publicAddress.v4}`]),
        ...(publicAddress.v6 === undefined ? [] : [`--address=/www.public.test/${publicAddress.v6}`]),
        "--txt-record=www.public.test,from the public resolver",
        "--mx-host=public.test,mail.public.test,10",
        `--txt-record=long.public.test,${Array(10).fill("x".repeat(200)).join(",")}`,
      ]),
    ];
    const echo = ["socat", "-T30", "UDP6-RECVFROM:7,fork", "EXEC:cat"];
    this.host("site-web").spawn(echo);
    await Promise.all(started);
  }

  async #startRole(
    name: string,
    args: string[],
    env: Record<string, string>,
    main = MAIN,
  ): Promise<Role> {
    const host = this.host(name);
    const path = `/run/events-${this.#stories++}.ndjson`;
    const command = [Deno.execPath(), "run", "-A", "--quiet", main, ...args];
    const process = host.spawn(command, {
      env: inherit({ RUST_LOG: Deno.env.get("FZ_TEST_LOG") ?? "info", FZ_EVENTS: path, ...env }),
    });
    const role = { host, process, events: new Events(`/proc/${host.pid}/root${path}`) };
    this.#roles.set(name, role);
    try {
      await role.events.waitFor("ready");
    } catch (error) {
      this.explain(error);
    }
    return role;
  }
}

/** Names that the site's resolver knows. */
const SITE_RECORDS = [
  ...["web.site.test", "exact.site.test"].flatMap((name) => [
    `--host-record=${name},172.20.0.10,fd20::10`,
  ]),
  "--address=/wild.site.test/172.20.0.10",
  "--address=/wild.site.test/fd20::10",
  ...["only4.site.test", "late.site.test"].map((name) => `--host-record=${name},172.20.0.10`),
  "--srv-host=_http._tcp.web.site.test,web.site.test,80",
  "--txt-record=web.site.test,from the site",
];

async function startDnsmasq(host: Host, records: readonly string[]): Promise<void> {
  const process = host.spawn([
    ...["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"],
    ...["--user=root", "--group=root", "--pid-file=", "--log-facility=-", "--local=/test/", ...records],
  ]);
  await process.waitFor(/started/);
}

/** The environment of a child: what Deno needs to find its cache, and `extra`. */
function inherit(extra: Record<string, string> = {}): Record<string, string> {
  // Looking for a newer runtime would be the only traffic that is not the test's.
  const kept: Record<string, string> = { DENO_NO_UPDATE_CHECK: "1" };
  for (const name of ["HOME", "DENO_DIR", "XDG_CACHE_HOME"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) kept[name] = value;
  }
  return { ...kept, ...extra };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
