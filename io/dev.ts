/** `fz dev`: portal, relay and gateway in one process, and an account that uses them. The roles meet here only. */

import { Fault } from "../lib/base/fault.ts";
import { IpNetwork } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import { toHex } from "../lib/base/bytes.ts";
import type { DevConfig, DevFacts } from "../lib/control/config.ts";
import type { SeedInput } from "../lib/portal/seed.ts";
import { platform as thisPlatform } from "../ffi/mod.ts";
import { startGateway } from "./gateway.ts";
import { startPortal } from "./portal_server.ts";
import { startRelay } from "./relay.ts";
import { systemRng } from "./rng.ts";

/** A network in one process. */
export interface Dev {
  readonly facts: DevFacts;
  /** Resolves when a client can be served. */
  readonly ready: Promise<void>;
  /** Resolves when all three have stopped; rejects with the first `Fault` that stopped one of them. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

interface Part {
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

/** Starts the three. Throws a `Fault` if one of them cannot, with nothing left running. */
export async function startDev(config: DevConfig, log: Log): Promise<Dev> {
  const folder = await Deno.makeTempDir({ prefix: "fz-dev-" });
  const parts: Part[] = [{
    done: new Promise(() => {}),
    stop: () => Deno.remove(folder, { recursive: true }),
  }];
  try {
    return await start(config, log, `${folder}/admin.sock`, parts);
  } catch (error) {
    await stopAll(parts);
    throw error;
  }
}

/** Adds to `parts` what it has started, so that it can be stopped whatever happens next. */
async function start(config: DevConfig, log: Log, adminSocket: string, parts: Part[]): Promise<Dev> {
  const { address } = config;
  const tokens = { client: newToken(), gateway: newToken(), relay: newToken(), service: newToken() };
  const password = newPassword();
  const portal = await startPortal({
    listen: { host: `${address}`, port: config.port },
    seed: seedFor(config.resources, tokens, password),
    adminSocket,
    connectInterval: 0,
    log,
  });
  parts.push({ done: portal.stopped, stop: portal.stop });
  const relay = await startRelay({
    publicAddress: address.family === 4 ? { 4: address } : { 6: address },
    bindAddress: address.family === 4 ? { 4: address } : { 6: address },
    name: "dev",
    portal: { url: portal.url, token: tokens.relay },
    platform: await thisPlatform(),
    log,
  });
  parts.push(relay);
  const gateway = await startGateway({
    ...{
      apiUrl: portal.url,
      token: tokens.gateway,
      name: "dev",
      id: "fz-dev-gateway",
      maxPartitionTime: undefined,
    },
    ...{
      masquerade: true,
      tunName: undefined,
      healthAddress: undefined,
      increaseBuffers: false,
      flowLogs: false,
    },
  }, log);
  parts.push(gateway);
  let stopping: Promise<void> | undefined;
  const stop = () => stopping ??= stopAll(parts);
  const done = Promise.race(parts.map((part) => part.done)).finally(stop);
  done.catch(() => {});
  const relayText = address.family === 4 ? `${address}:3478` : `[${address}]:3478`;
  const facts = {
    portalUrl: portal.url,
    relay: relayText,
    adminSocket,
    clientToken: tokens.client,
    gatewayToken: tokens.gateway,
    relayToken: tokens.relay,
    serviceToken: tokens.service,
    authBaseUrl: portal.url.replace(/^ws/, "http"),
    accountSlug: ACCOUNT,
    email: EMAIL,
    password,
    resources: config.resources,
  };
  return { facts, ready: gateway.ready, done, stop };
}

/** Ends what was started, last first: the gateway says goodbye while there still is a relay. */
async function stopAll(parts: readonly Part[]): Promise<void> {
  for (const part of parts.toReversed()) await part.stop();
}

function seedFor(
  resources: readonly string[],
  tokens: Readonly<Record<"client" | "gateway" | "relay" | "service", string>>,
  password: string,
): SeedInput {
  return {
    account: { slug: ACCOUNT, name: "Development" },
    sites: [{ name: "Here" }],
    actors: [{ name: "Dev", email: EMAIL, password }, { name: "ci", type: "service_account" }],
    // "Everyone" is people only.
    groups: [{ name: "Machines", members: ["ci"] }],
    resources: resources.map((target) => ({
      name: target,
      site: "Here",
      address: target,
      type: typeOf(target),
    })),
    policies: resources.flatMap((resource) => ["Everyone", "Machines"].map((group) => ({ group, resource }))),
    tokens: [
      { kind: "client", actor: "Dev", token: tokens.client },
      { kind: "client", actor: "ci", token: tokens.service },
      { kind: "gateway", site: "Here", token: tokens.gateway },
      { kind: "relay", token: tokens.relay },
    ],
  };
}

function typeOf(target: string): "dns" | "cidr" | "ip" {
  const network = IpNetwork.parse(target);
  if (network !== undefined) return target.includes("/") ? "cidr" : "ip";
  if (/^[\w*?.-]+$/.test(target)) return "dns";
  throw new Fault("usage", `Cannot make a resource of "${target}": it is no name, address or network`);
}

/** Four groups of four letters: easy to type off a screen, and too many to guess. */
function newPassword(): string {
  const letters = Array.from(systemRng.bytes(16), (byte) => LETTERS[byte % LETTERS.length]!).join("");
  return letters.replace(/(.{4})(?=.)/g, "$1-");
}

function newToken(): string {
  return `dev-${toHex(systemRng.bytes(16))}`;
}

const ACCOUNT = "dev";
const EMAIL = "dev@fz.test";
/** 32 of them, none that looks like another. */
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
