/**
 * One HTTP GET with a bounded body and with a say in which addresses a host name has. `fetch` always asks the system's
 * resolver, which is us while a session runs: a DoH server's name could then never be found.
 */

import * as http from "node:http";
import * as https from "node:https";
import { IpAddress } from "../lib/base/ip.ts";

/** Returns the addresses of a host. */
export type HttpLookup = (host: string, signal: AbortSignal) => Promise<readonly IpAddress[]>;

/** What came back. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
}

/** What a GET may need. */
export interface HttpGetOptions {
  readonly accept: string;
  /** Longest body accepted, in bytes. */
  readonly maxLength: number;
  readonly signal: AbortSignal;
  /** Undefined leaves names to the system. */
  readonly lookup: HttpLookup | undefined;
}

/** Fetches one document. */
export type HttpGet = (url: URL, options: HttpGetOptions) => Promise<HttpAnswer>;

/** GET by the runtime's own client; connections are kept for a while and shared. */
export const nodeHttpGet: HttpGet = (url, options) => {
  return new Promise((resolve, reject) => {
    const { signal, lookup } = options;
    const secure = url.protocol === "https:";
    const request = (secure ? https : http).request(url, {
      method: "GET",
      headers: { accept: options.accept },
      agent: secure ? SECURE_AGENT : PLAIN_AGENT,
      signal,
      ...(lookup === undefined || IpAddress.parse(bareHost(url)) !== undefined
        ? {}
        : { lookup: asNodeLookup(lookup, signal) }),
    }, (response) => {
      const chunks: Uint8Array[] = [];
      let length = 0;
      response.on("data", (chunk: Uint8Array) => {
        length += chunk.length;
        chunks.push(chunk);
        if (length <= options.maxLength) return;
        reject(new Error("the answer is too long"));
        response.destroy();
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          contentType: response.headers["content-type"],
          body: joined(chunks, length),
        }));
    });
    request.on("error", reject);
    request.end();
  });
};

const AGENT_OPTIONS = { keepAlive: true, maxSockets: 8, maxFreeSockets: 2, timeout: 30_000 } as const;
const SECURE_AGENT = new https.Agent(AGENT_OPTIONS);
const PLAIN_AGENT = new http.Agent(AGENT_OPTIONS);

type NodeLookup = NonNullable<http.RequestOptions["lookup"]>;

function asNodeLookup(lookup: HttpLookup, signal: AbortSignal): NodeLookup {
  return (host, options, callback) => {
    lookup(host, signal).then((addresses) => {
      const wanted = addresses.filter(({ family }) =>
        (options.family !== 4 && options.family !== 6) || family === options.family
      );
      const first = wanted[0];
      if (first === undefined) return callback(new Error(`no address for ${host}`), "", 0);
      if (options.all !== true) return callback(null, first.toString(), first.family);
      callback(null, wanted.map((address) => ({ address: address.toString(), family: address.family })));
    }, (error) => callback(error instanceof Error ? error : new Error(String(error)), "", 0));
  };
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}
