/** Credentials in memory. */

import type { Credentials, Identity, SignInRequest } from "../../lib/control/credential.ts";

export interface FakeCredentials extends Credentials {
  /** What is stored, by path. */
  readonly stored: Map<string, { token: string; identity: Identity | undefined }>;
  readonly requests: SignInRequest[];
  /** Tokens that the portal was asked to forget. */
  readonly revoked: string[];
  /** URLs that were opened. */
  readonly opened: string[];
}

/** Returns credentials that hold nothing, at a portal that takes every token and tells nothing. */
export function fakeCredentials(overrides: Partial<Credentials> = {}): FakeCredentials {
  const stored: FakeCredentials["stored"] = new Map();
  const requests: SignInRequest[] = [];
  const revoked: string[] = [];
  const opened: string[] = [];
  return {
    stored,
    requests,
    revoked,
    opened,
    exists: (path) => Promise.resolve(stored.has(path)),
    identity: (path, token) => {
      const entry = stored.get(path);
      return Promise.resolve(entry?.token === token ? entry.identity : undefined);
    },
    store: (path, token, identity) => {
      stored.set(path, { token, identity });
      return Promise.resolve();
    },
    remove: (path) => Promise.resolve(stored.delete(path)),
    signIn: (request) => {
      requests.push(request);
      return Promise.resolve({});
    },
    ask: () => Promise.resolve(undefined),
    revoke: (_apiUrl, token) => {
      revoked.push(token);
      return Promise.resolve({ type: "not-offered" as const });
    },
    readInput: () => Promise.reject(new Error("not faked")),
    openBrowser: (url) => {
      opened.push(url);
      return Promise.resolve(false);
    },
    device: ({ name, id }) => Promise.resolve({ name: name ?? "machine", id: id ?? "device-id" }),
    ...overrides,
  };
}
