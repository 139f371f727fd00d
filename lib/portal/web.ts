/**
 * What the portal answers to plain HTTP: pages for sign-in, and for programs `GET /v1/whoami` and `POST /v1/sign-out`
 * with the token in `X-Authorization`. Sockets are `admission.ts`. `io/portal_web.ts` carries requests here.
 */

import type { Instant } from "../base/time.ts";
import { bearerOf, judgeToken, type Refusal, refusal } from "./admission.ts";
import { readPath } from "./form.ts";
import { messagePage, type WebAnswer } from "./pages.ts";
import { type PasswordCheck, SignInDesk, wantsPage, type WebContext, type WebRequest } from "./sign_in.ts";

export class PortalWeb {
  readonly #context: WebContext;
  readonly #desk: SignInDesk;

  constructor(context: WebContext) {
    this.#context = context;
    this.#desk = new SignInDesk(context);
  }

  /** Returns the answer to `request`, or the password that decides it. */
  handle(request: WebRequest, now: Instant): WebAnswer | PasswordCheck {
    const { method, path } = request;
    const isRead = method === "GET" || method === "HEAD";
    if (!isRead && method !== "POST") return notAllowed("GET, HEAD, POST");
    if (path === "/healthz" && isRead) return text(200, "ok\n");
    if (path.endsWith("/websocket")) {
      return problem(400, "Bad Request", "not_websocket", "This path only takes WebSocket upgrades");
    }
    const segments = readPath(path);
    if (segments === undefined) return notFound(request);
    const [first, ...rest] = segments;
    if (first === undefined) return isRead ? this.#desk.chooseAccount(request) : notAllowed("GET, HEAD");
    if (first === "v1") return this.#api(request, rest.join("/"), isRead, now);
    return this.#desk.handle(request, first, rest, now) ?? notFound(request);
  }

  #api(request: WebRequest, noun: string, isRead: boolean, now: Instant): WebAnswer {
    switch (noun) {
      case "whoami":
        return isRead ? this.#whoAmI(request, now) : notAllowed("GET, HEAD");
      case "sign-out":
        return isRead ? notAllowed("POST") : this.#signOut(request, now);
      default:
        return notFound(request);
    }
  }

  #whoAmI(request: WebRequest, now: Instant): WebAnswer {
    const token = this.#identify(request, now);
    if ("type" in token) return withoutStore(token);
    const { directory, presence } = this.#context.portal;
    const account = directory.get("accounts", token.accountId);
    const actor = directory.get("actors", token.actorId);
    if (account === undefined || actor === undefined) return notFound(request);
    const online = [...presence.clients.values()].find((peer) => peer.tokenId === token.id);
    const device = directory.get("devices", online?.deviceId);
    return json({
      account: { slug: account.slug, name: account.name },
      actor: { name: actor.name, email: actor.email, type: actor.type },
      device: device === undefined
        ? undefined
        : { id: device.id, name: device.name, ipv4: device.ipv4, ipv6: device.ipv6 },
      token: {
        expiresAt: token.expiresAt === undefined ? undefined : new Date(token.expiresAt * 1000).toISOString(),
      },
    });
  }

  /** Ends a sign-in. Tokens that an administrator made are not the client's to delete: others may use them too. */
  #signOut(request: WebRequest, now: Instant): WebAnswer {
    const token = this.#identify(request, now);
    if ("type" in token) return withoutStore(token);
    if (token.isInteractive !== true) {
      return problem(
        403,
        "Forbidden",
        "not_a_sign_in",
        "An administrator made this token and can revoke it: fz portal token revoke",
      );
    }
    this.#context.portal.change((directory) => directory.remove("tokens", token.id), now);
    return { type: "answer", status: 204, headers: { "cache-control": "no-store" }, body: "" };
  }

  #identify(request: WebRequest, now: Instant) {
    const { portal, wallClock } = this.#context;
    return judgeToken(
      portal.directory,
      bearerOf(request.headers),
      "client",
      wallClock.unixMs(now) / 1000,
    );
  }
}

/** Browsers get a page, programs a problem document. */
function notFound(request: WebRequest): WebAnswer {
  return wantsPage(request)
    ? messagePage(404, "Nothing here", "There is no page at this address.")
    : problem(404, "Not Found", "not_found", "There is nothing at this path");
}

function notAllowed(allow: string): WebAnswer {
  return problem(405, "Method Not Allowed", "method_not_allowed", `This path takes ${allow}`, { allow });
}

function problem(
  status: number,
  title: string,
  code: string,
  detail: string,
  headers?: Readonly<Record<string, string>>,
): WebAnswer {
  return withoutStore(refusal(status, title, code, detail, headers));
}

function withoutStore({ status, headers, body }: Refusal): WebAnswer {
  return { type: "answer", status, headers: { ...headers, "cache-control": "no-store" }, body };
}

function json(document: unknown): WebAnswer {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return { type: "answer", status: 200, headers, body: `${JSON.stringify(document)}\n` };
}

function text(status: number, body: string): WebAnswer {
  return { type: "answer", status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}
