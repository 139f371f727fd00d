/**
 * Asks DNS servers from the host: Do53 over UDP and TCP (RFC 1035, RFC 7766), and DNS over HTTPS (RFC 8484, GET).
 * The sockets come from factories, so that on Linux they can carry the mark that keeps them out of the tunnel.
 */

import * as dgram from "node:dgram";
import { Buffer } from "node:buffer";
import { SocketAddress } from "../lib/base/ip.ts";
import { type Duration, seconds } from "../lib/base/time.ts";
import type { DnsServer } from "../lib/dns/sentinels.ts";
import { frameMessage, MessageReader } from "../lib/dns/tcp_server.ts";
import type { UpstreamOutcome } from "../lib/dns/upstream.ts";
import { decodeDnsQuery, DNS_HEADER_LENGTH, type DnsQuery, isAnswerTo, withDnsId } from "../lib/wire/dns.ts";
import { type HttpGet, type HttpLookup, nodeHttpGet } from "./https_get.ts";

/** A UDP socket with a random source port for one exchange. */
export interface UdpExchange {
  /** Sends `payload` and passes what comes back from `remote` to `accept` until it returns true; then resolves. */
  exchange(
    payload: Uint8Array,
    remote: SocketAddress,
    accept: (answer: Uint8Array) => boolean,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
}

/** A connected TCP stream. */
export interface TcpStream {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Where sockets come from; the defaults are the runtime's plain ones. */
export interface UpstreamSockets {
  readonly udp: UdpExchange;
  readonly connectTcp: (remote: SocketAddress, signal: AbortSignal) => Promise<TcpStream>;
  readonly httpGet: HttpGet;
}

/** What can be set. */
export interface UpstreamDnsOptions {
  readonly sockets?: Partial<UpstreamSockets>;
  /** Returns addresses of a DoH server's host, past the tunnel. Undefined leaves it to the system's resolver. */
  readonly lookup?: HttpLookup;
  readonly maxInFlight?: number;
}

/** The resolver. All its queries end by themselves; `close` ends them now. */
export class UpstreamDns {
  readonly #sockets: UpstreamSockets;
  readonly #lookup: HttpLookup | undefined;
  readonly #maxInFlight: number;
  readonly #closing = new AbortController();
  #inFlight = 0;

  constructor(options: UpstreamDnsOptions = {}) {
    this.#sockets = {
      udp: options.sockets?.udp ?? plainUdp,
      connectTcp: options.sockets?.connectTcp ?? connectPlainTcp,
      httpGet: options.sockets?.httpGet ?? nodeHttpGet,
    };
    this.#lookup = options.lookup;
    this.#maxInFlight = options.maxInFlight ?? MAX_IN_FLIGHT;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Asks `server` and returns how it ended; never throws. The answer has the id of `message`. */
  async ask(
    server: DnsServer,
    transport: "udp" | "tcp",
    message: Uint8Array,
    timeout: Duration = QUERY_TIMEOUT,
  ): Promise<UpstreamOutcome> {
    const query = decodeDnsQuery(message);
    if (!query.ok) return { type: "failed", reason: query.reason };
    if (this.#closing.signal.aborted) return { type: "failed", reason: "closed" };
    if (this.#inFlight >= this.#maxInFlight) return { type: "failed", reason: "too many queries in flight" };
    const timer = new AbortController();
    const alarm = setTimeout(() => timer.abort(), Math.max(0, timeout));
    const signal = AbortSignal.any([this.#closing.signal, timer.signal]);
    this.#inFlight++;
    try {
      return { type: "answer", message: await this.#dispatch(server, transport, query.value, signal) };
    } catch (error) {
      if (timer.signal.aborted) return { type: "timeout" };
      return { type: "failed", reason: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(alarm);
      this.#inFlight--;
    }
  }

  /** Ends everything in flight with a failure. */
  close(): void {
    this.#closing.abort();
  }

  #dispatch(
    server: DnsServer,
    transport: "udp" | "tcp",
    query: DnsQuery,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (server.type === "doh") return this.#askHttps(server.url, query, signal);
    return transport === "udp"
      ? this.#askUdp(server.address, query, signal)
      : this.#askTcp(server.address, query, signal);
  }

  #askUdp(server: SocketAddress, query: DnsQuery, signal: AbortSignal): Promise<Uint8Array> {
    const accept = (answer: Uint8Array) => isAnswerTo(answer, query.id, query);
    return this.#sockets.udp.exchange(query.message, server, accept, signal);
  }

  async #askTcp(server: SocketAddress, query: DnsQuery, signal: AbortSignal): Promise<Uint8Array> {
    const stream = await this.#sockets.connectTcp(server, signal);
    const abort = () => stream.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      const framed = frameMessage(query.message);
      for (let sent = 0; sent < framed.length;) sent += await stream.write(framed.subarray(sent));
      const reader = new MessageReader();
      const buffer = new Uint8Array(READ_BUFFER);
      while (true) {
        const count = await stream.read(buffer);
        if (count === null) throw new Error("the server closed the connection");
        for (const answer of reader.push(buffer.subarray(0, count))) {
          if (isAnswerTo(answer, query.id, query)) return answer;
        }
      }
    } finally {
      signal.removeEventListener("abort", abort);
      if (!signal.aborted) stream.close();
    }
  }

  async #askHttps(url: string, query: DnsQuery, signal: AbortSignal): Promise<Uint8Array> {
    const target = new URL(url);
    // Id 0 makes equal questions equal to HTTP caches (RFC 8484 §4.1).
    const encoded = withDnsId(query.message, 0).toBase64({ alphabet: "base64url", omitPadding: true });
    target.searchParams.set("dns", encoded);
    const response = await this.#sockets.httpGet(target, {
      accept: DNS_MESSAGE,
      maxLength: MAX_MESSAGE,
      signal,
      lookup: this.#lookup,
    });
    if (response.status !== 200) throw new Error(`the server answered with HTTP status ${response.status}`);
    const contentType = /^[^;\s]*/.exec(response.contentType ?? "")![0];
    if (contentType.toLowerCase() !== DNS_MESSAGE) {
      throw new Error(`the server answered with "${contentType}", not a DNS message`);
    }
    if (response.body.length < DNS_HEADER_LENGTH || !isAnswerTo(response.body, 0, query)) {
      throw new Error("the server answered another question");
    }
    return withDnsId(response.body, query.id);
  }
}

/** UDP by the runtime's own sockets, one for each query, so that each has a source port of its own (RFC 5452). */
export const plainUdp: UdpExchange = {
  exchange(payload, remote, accept, signal) {
    return new Promise((resolve, reject) => {
      const socket = dgram.createSocket(remote.family === 4 ? "udp4" : "udp6");
      const settle = (action: () => void) => {
        signal.removeEventListener("abort", abort);
        socket.removeAllListeners("message");
        try {
          socket.close();
        } catch {
          // Already closed by its own error.
        }
        action();
      };
      const abort = () => settle(() => reject(new Error("aborted")));
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      socket.on("error", (error) => settle(() => reject(error)));
      socket.on("message", (answer, sender) => {
        const from = SocketAddress.parse(
          sender.family === "IPv6"
            ? `[${sender.address.split("%", 1)[0]}]:${sender.port}`
            : `${sender.address}:${sender.port}`,
        );
        if (from === undefined || !from.equals(remote)) return;
        const bytes = Uint8Array.from(answer);
        if (accept(bytes)) settle(() => resolve(bytes));
      });
      socket.send(Buffer.from(payload), remote.port, remote.ip.toString(), (error) => {
        if (error) settle(() => reject(error));
      });
    });
  },
};

/** Connects over TCP by the runtime's own sockets. */
export async function connectPlainTcp(remote: SocketAddress, signal: AbortSignal): Promise<TcpStream> {
  const scope = remote.scopeId === undefined ? "" : `%${remote.scopeId}`;
  const connection = await Deno.connect({ hostname: `${remote.ip}${scope}`, port: remote.port, signal });
  return {
    read: (buffer) => connection.read(buffer),
    write: (bytes) => connection.write(bytes),
    close: () => {
      try {
        connection.close();
      } catch {
        // Closed twice: by the end of the query and by its abort.
      }
    },
  };
}

const QUERY_TIMEOUT = seconds(5);
const MAX_IN_FLIGHT = 1000;
const READ_BUFFER = 4096;
const MAX_MESSAGE = 65_535;
const DNS_MESSAGE = "application/dns-message";
