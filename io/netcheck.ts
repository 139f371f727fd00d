/** Measures what `fz netcheck` judges: the way to the portal, and to the relays by UDP. Changes nothing. */

import { platform as thisPlatform } from "../ffi/mod.ts";
import type { Platform, UdpSocket } from "../ffi/platform.ts";
import { toBase64 } from "../lib/base/bytes.ts";
import { Fault } from "../lib/base/fault.ts";
import { IpAddress, SocketAddress } from "../lib/base/ip.ts";
import type { NetcheckFacts, NetcheckRequest, PortalFacts, RelayFacts } from "../lib/control/netcheck.ts";
import { decodeClientInbound } from "../lib/wire/portal/client.ts";
import { decodeStun, Method, StunWriter, TRANSACTION_ID_LENGTH } from "../lib/wire/stun.ts";
import { connectControl } from "./control/client.ts";
import { deviceId, externalId } from "./device_id.ts";
import { systemLookup } from "./host_lookup.ts";
import { PortalConnection } from "./portal_connection.ts";
import { systemRng } from "./rng.ts";

const PORTAL_LIMIT_MS = 8000;
const JOIN_LIMIT_MS = 10_000;
/** Packets get lost: the same question again after so many milliseconds. */
const ASK_AT_MS = [0, 300, 900, 1800];
const ANSWER_LIMIT_MS = 3000;
const MAX_RELAYS = 16;
/** As the client's, so that a session's full tunnel is passed by. */
const MARK = 0xfd00_2021;

/** Returns what was measured; what cannot be measured is left out. */
export async function netcheck(request: NetcheckRequest, signal: AbortSignal): Promise<NetcheckFacts> {
  const away = new AbortController();
  const measuring = measurePortal(
    request.apiUrl,
    AbortSignal.any([signal, AbortSignal.timeout(PORTAL_LIMIT_MS)]),
  );
  const joining = findRelays(request, AbortSignal.any([signal, away.signal]));
  const portal = await measuring;
  // Nobody has to wait for a portal that is known not to be there.
  if (portal.failure !== undefined) away.abort();
  const known = await joining;
  const relays = known.relays.slice(0, MAX_RELAYS);
  return {
    portal,
    relays: relays.length === 0 || signal.aborted ? [] : await askRelays(relays, signal),
    relaySource: known.source,
    relayFailure: known.failure,
  };
}

async function measurePortal(apiUrl: string, signal: AbortSignal): Promise<PortalFacts> {
  const url = new URL(apiUrl.replace(/^ws/, "http"));
  let facts: PortalFacts = {
    url: apiUrl,
    lookupMs: undefined,
    families: [],
    connectMs: undefined,
    tlsMs: undefined,
    answerMs: undefined,
    clockSkewMs: undefined,
    failure: undefined,
  };
  let connection: Deno.Conn | undefined;
  const abort = () => connection?.close();
  try {
    const lookup = stopwatch();
    const addresses = await systemLookup(url.hostname);
    if (addresses.length === 0) return { ...facts, failure: `no address of "${url.hostname}" is found` };
    facts = { ...facts, lookupMs: lookup(), families: [...new Set(addresses.map(({ family }) => family))] };
    const isTls = url.protocol === "https:";
    const port = Number(url.port || (isTls ? 443 : 80));
    const connect = stopwatch();
    connection = await connectAny(addresses, port, signal);
    facts = { ...facts, connectMs: connect() };
    signal.addEventListener("abort", abort);
    if (isTls) {
      const tls = stopwatch();
      const secure = await Deno.startTls(connection as Deno.TcpConn, { hostname: url.hostname });
      connection = secure;
      await secure.handshake();
      facts = { ...facts, tlsMs: tls() };
    }
    const answer = stopwatch();
    const head = await askHead(connection, url.host);
    const answerMs = answer();
    const date = Date.parse(/^date: *(.*)$/im.exec(head)?.[1] ?? "");
    // The header counts whole seconds.
    const clockSkewMs = Number.isNaN(date) ? undefined : Date.now() - answerMs / 2 - (date + 500);
    return { ...facts, answerMs, clockSkewMs };
  } catch (error) {
    return { ...facts, failure: signal.aborted ? "it does not answer in time" : reasonOf(error) };
  } finally {
    signal.removeEventListener("abort", abort);
    try {
      connection?.close();
    } catch {
      // Closed by the limit.
    }
  }
}

async function connectAny(
  addresses: readonly IpAddress[],
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  let last: unknown = new Error("there is no address");
  for (const address of addresses) {
    try {
      return await Deno.connect({ hostname: address.toString(), port, signal });
    } catch (error) {
      last = error;
      if (signal.aborted) break;
    }
  }
  throw last;
}

/** Asks for anything; any answer will do. Returns the beginning of it. */
async function askHead(connection: Deno.Conn, host: string): Promise<string> {
  const question = `HEAD / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(question));
  const bytes = new Uint8Array(8192);
  const length = await connection.read(bytes);
  if (length === null) throw new Error("the connection was closed without an answer");
  return new TextDecoder().decode(bytes.subarray(0, length));
}

interface KnownRelays {
  readonly relays: readonly SocketAddress[];
  readonly source: NetcheckFacts["relaySource"];
  readonly failure: string | undefined;
}

/** The session knows them; without one the portal tells them to whoever joins. */
async function findRelays(request: NetcheckRequest, signal: AbortSignal): Promise<KnownRelays> {
  try {
    const status = await (await connectControl("read")).ask("status", {});
    const relays = status.relays.flatMap(({ address }) => SocketAddress.parse(address ?? "") ?? []);
    if (relays.length > 0) return { relays: unique(relays), source: "session", failure: undefined };
    // Joining would end the session's own connection.
    return { relays: [], source: "none", failure: "the session has no relays yet" };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "not-running") {
      return { relays: [], source: "none", failure: reasonOf(error) };
    }
  }
  const { token } = request;
  if (token === undefined) {
    return {
      relays: [],
      source: "none",
      failure: "no session runs, and there is no credential to ask the portal with",
    };
  }
  try {
    return {
      relays: unique(await joinForRelays(request, token, signal)),
      source: "portal",
      failure: undefined,
    };
  } catch (error) {
    return { relays: [], source: "none", failure: reasonOf(error) };
  }
}

async function joinForRelays(
  request: NetcheckRequest,
  token: string,
  signal: AbortSignal,
): Promise<SocketAddress[]> {
  const outcome = Promise.withResolvers<SocketAddress[]>();
  const id = externalId(await deviceId({ role: "client", configured: request.id }));
  const connection = new PortalConnection({
    role: "client",
    url: request.apiUrl,
    token,
    parameters: () => ({
      external_id: id,
      name: request.name ?? Deno.hostname(),
      public_key: toBase64(systemRng.bytes(32)),
    }),
    onEvent: (event) => {
      if (event.type === "fatal") outcome.reject(event.fault);
      if (event.type !== "message" || event.event !== "init") return;
      const decoded = decodeClientInbound("init", event.payload);
      if (!decoded.ok || decoded.value.event !== "init") return outcome.resolve([]);
      outcome.resolve(decoded.value.payload.relays.flatMap(({ addr }) => SocketAddress.parse(addr) ?? []));
    },
  });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(JOIN_LIMIT_MS)]);
  const onLimit = () => outcome.reject(new Error(connection.trouble?.reason ?? "the portal does not answer"));
  limit.addEventListener("abort", onLimit);
  if (limit.aborted) onLimit();
  try {
    connection.start();
    return await outcome.promise;
  } finally {
    limit.removeEventListener("abort", onLimit);
    await connection.stop();
  }
}

async function askRelays(relays: readonly SocketAddress[], signal: AbortSignal): Promise<RelayFacts[]> {
  const platform = await thisPlatform();
  const found = await Promise.all(
    ([4, 6] as const).map((family) =>
      askFamily(platform, family, relays.filter((relay) => relay.family === family), signal)
    ),
  );
  return found.flat();
}

/** Asks from one socket, so that what differs between the answers is the NAT's doing. */
async function askFamily(
  platform: Platform,
  family: 4 | 6,
  relays: readonly SocketAddress[],
  signal: AbortSignal,
): Promise<RelayFacts[]> {
  if (relays.length === 0) return [];
  const any = SocketAddress.from(family === 4 ? "0.0.0.0:0" : "[::]:0");
  const socket = platform.bindUdp({ address: any, mark: MARK });
  if (socket === undefined) return relays.map((relay) => unanswered(relay, 0));
  const poller = platform.createPoller();
  try {
    poller.add(socket);
    return await new Survey(socket, relays).run((timeoutMs) => poller.wait(timeoutMs), signal);
  } finally {
    poller.remove(socket);
    await poller.close();
    socket.close();
  }
}

class Survey {
  readonly #socket: UdpSocket;
  readonly #relays: readonly SocketAddress[];
  /** By transaction. */
  readonly #asked = new Map<string, { readonly relay: SocketAddress; readonly at: number }>();
  readonly #answers = new Map<unknown, RelayFacts>();
  readonly #local = new Set(Deno.networkInterfaces().map(({ address }) => IpAddress.parse(address)?.key));

  constructor(socket: UdpSocket, relays: readonly SocketAddress[]) {
    this.#socket = socket;
    this.#relays = relays;
  }

  async run(wait: (timeoutMs: number) => Promise<unknown>, signal: AbortSignal): Promise<RelayFacts[]> {
    const elapsed = stopwatch();
    let asked = 0;
    while (this.#answers.size < this.#relays.length && elapsed() < ANSWER_LIMIT_MS && !signal.aborted) {
      if (asked < ASK_AT_MS.length && elapsed() >= ASK_AT_MS[asked]!) {
        asked++;
        this.#ask();
      }
      await wait(Math.max(1, (ASK_AT_MS[asked] ?? ANSWER_LIMIT_MS) - elapsed()));
      while (this.#socket.receive((_local, remote, payload) => this.#take(remote, payload))) {
        /* until dry */
      }
    }
    const { port } = this.#socket.local;
    return this.#relays.map((relay) => this.#answers.get(relay.key) ?? unanswered(relay, port));
  }

  #ask(): void {
    const { local } = this.#socket;
    for (const relay of this.#relays) {
      if (this.#answers.has(relay.key)) continue;
      const id = systemRng.bytes(TRANSACTION_ID_LENGTH);
      this.#asked.set(id.toHex(), { relay, at: performance.now() });
      const payload = new StunWriter(Method.Binding, "request", id).addFingerprint().finish();
      this.#socket.send({ local, remote: relay, payload });
    }
    this.#socket.flush();
  }

  #take(remote: SocketAddress, payload: Uint8Array): void {
    const now = performance.now();
    const decoded = decodeStun(payload);
    if (!decoded.ok || decoded.value.class !== "success") return;
    const question = this.#asked.get(decoded.value.transactionKey);
    const mapped = decoded.value.mappedAddress;
    if (question === undefined || mapped === undefined || !question.relay.equals(remote)) return;
    if (this.#answers.has(remote.key)) return;
    this.#answers.set(remote.key, {
      relay: remote,
      localPort: this.#socket.local.port,
      rttMs: now - question.at,
      mapped,
      isLocal: this.#local.has(mapped.ip.key),
    });
  }
}

function unanswered(relay: SocketAddress, localPort: number): RelayFacts {
  return { relay, localPort, rttMs: undefined, mapped: undefined, isLocal: false };
}

function unique(relays: readonly SocketAddress[]): SocketAddress[] {
  return [...new Map(relays.map((relay) => [relay.key, relay])).values()];
}

function stopwatch(): () => number {
  const start = performance.now();
  return () => performance.now() - start;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/ \(os error \d+\)$/, "") : String(error);
}
