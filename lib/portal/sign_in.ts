/**
 * Sign-in with a browser: pages that ask for account, e-mail address and password, and hand out a client token.
 * portal-protocol §6.1–6.4; the only provider is the portal's own passwords. Checking a password is slow, so the driver
 * does it: an answer can be a `PasswordCheck`, to be finished with the outcome.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex, utf8 } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip.ts";
import type { Rng } from "../base/rng.ts";
import { type Duration, type Instant, minutes, seconds, type WallClock } from "../base/time.ts";
import { AttemptLimiter } from "./attempts.ts";
import { uuidOf } from "./credentials.ts";
import type { Directory } from "./directory.ts";
import { readCookie, readForm, writeForm } from "./form.ts";
import { html } from "./html.ts";
import type { Account, Actor } from "./model.ts";
import {
  accountPage,
  handOverPage,
  messagePage,
  redirect,
  signInPage,
  tokenPage,
  type WebAnswer,
} from "./pages.ts";
import { NOBODYS_PASSWORD, PASSWORD_LENGTH } from "./password.ts";
import type { Portal } from "./portal.ts";
import { Sealer } from "./seal.ts";
import { issueSignInToken } from "./sign_in_token.ts";

/** A request to the pages. Header names are lower-case; `path` and `query` are as they came. */
export interface WebRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Undefined if it was too long. */
  readonly body: string | undefined;
  readonly remoteIp: IpAddress | undefined;
  /** Whether it came by TLS. */
  readonly isSecure: boolean;
}

/** Returns whether `request` comes from a browser: programs do not ask for HTML. */
export function wantsPage({ headers }: WebRequest): boolean {
  return headers["accept"]?.includes("text/html") === true;
}

/** A password to check before there is an answer. */
export interface PasswordCheck {
  readonly type: "check";
  readonly password: string;
  /** What is kept of the right one. */
  readonly kept: string;
  finish(isRight: boolean, now: Instant): WebAnswer;
}

/** What pages need. */
export interface WebContext {
  readonly portal: Portal;
  readonly rng: Rng;
  readonly wallClock: WallClock;
}

/** What the browser carries through all pages. */
interface Flow {
  readonly as: "headless-client" | "gui-client" | "client";
  readonly nonce: string;
  readonly state: string;
}

export class SignInDesk {
  readonly #context: WebContext;
  readonly #sealer: Sealer;
  readonly #addresses = new AttemptLimiter(ADDRESS_LIMITS);
  readonly #names = new AttemptLimiter(NAME_LIMITS);

  constructor(context: WebContext) {
    this.#context = context;
    this.#sealer = new Sealer(context.rng.bytes(32));
  }

  /** Answers a request for `/`: which account? */
  chooseAccount(request: WebRequest): WebAnswer {
    const fields = readForm(request.query);
    const as = fields.get("as") || "headless-client";
    const wanted = fields.get("account")?.trim();
    if (wanted === undefined || wanted === "") return accountPage(200, as, undefined);
    const account = findAccount(this.#context.portal.directory, wanted);
    return account === undefined
      ? unknownAccount(wanted)
      : redirect(`/${encodeURIComponent(account.slug)}?${writeForm({ as })}`);
  }

  /** Answers a request for `/{account}/…`; `rest` is what follows the account. */
  handle(
    request: WebRequest,
    reference: string,
    rest: readonly string[],
    now: Instant,
  ): WebAnswer | PasswordCheck | undefined {
    const account = findAccount(this.#context.portal.directory, reference);
    if (account === undefined) {
      return rest.length === 0 && wantsPage(request) ? unknownAccount(reference) : undefined;
    }
    if (account.isDisabled) return disabledAccount(account);
    const isPost = request.method === "POST";
    const [section, provider, id] = rest;
    if (rest.length === 0) return isPost ? undefined : this.#ask(request, account, now);
    if (section !== "sign_in") return undefined;
    if (provider === "userpass" && rest.length === 3 && id === providerId(account)) {
      return isPost ? this.#attempt(request, account, now) : this.#ask(request, account, now);
    }
    if (provider === "client_redirect" && rest.length === 2) return this.#toClient(request, account, now);
    if (provider === "client_auth_error" && rest.length === 2) return authError();
    return undefined;
  }

  #ask(request: WebRequest, account: Account, now: Instant): WebAnswer {
    const flow = readFlow(readForm(request.query));
    return "status" in flow ? flow : this.#form(200, request, account, flow, now);
  }

  #attempt(request: WebRequest, account: Account, now: Instant): WebAnswer | PasswordCheck {
    if (request.body === undefined) {
      return messagePage(413, "Too long", "The form that your browser sent is too long.");
    }
    const fields = readForm(request.body);
    const flow = readFlow(fields);
    if ("status" in flow) return flow;
    const again = (status: number, complaint: string, headers: Readonly<Record<string, string>> = {}) =>
      this.#form(status, request, account, flow, now, fields.get("email"), complaint, headers);
    if (!this.#isOwnForm(request, account, fields.get("form") ?? "", now)) {
      return again(
        403,
        "The form was open for too long, or your browser keeps no cookies. Please try again.",
      );
    }
    const email = (fields.get("email") ?? "").trim().toLowerCase();
    const password = fields.get("password") ?? "";
    if (email === "" || email.length > MAX_EMAIL || password.length > PASSWORD_LENGTH.max) {
      return again(403, WRONG);
    }
    const [addressKey, nameKey] = [limitedAddress(request.remoteIp), `${account.id} ${email}`];
    const wait = this.#addresses.take(addressKey, now) ?? this.#names.take(nameKey, now);
    if (wait !== undefined) {
      return again(429, `Too many attempts. Try again in ${waitText(wait)}.`, {
        "retry-after": String(Math.ceil(wait / 1000)),
      });
    }
    const { directory } = this.#context.portal;
    const found = actorByEmail(directory, account, email);
    return {
      type: "check",
      password,
      // Whether there is such a person takes no less time to find out.
      kept: found?.passwordHash ?? NOBODYS_PASSWORD,
      finish: (isRight, finishedAt) => {
        const actor = actorByEmail(directory, account, email);
        const owner = directory.get("accounts", account.id);
        const isSame = actor !== undefined && actor.passwordHash === found?.passwordHash;
        if (!isRight || !isSame || owner === undefined) return again(403, WRONG);
        this.#addresses.giveBack(addressKey);
        this.#names.forget(nameKey);
        if (owner.isDisabled) return disabledAccount(owner);
        if (actor.isDisabled || actor.type === "service_account") {
          return messagePage(
            403,
            "You cannot sign in",
            actor.isDisabled
              ? "Your account with this portal is disabled."
              : "Service accounts do not sign in here.",
            html`<p>Ask an administrator of ${owner.name}.</p>`,
          );
        }
        return this.#succeed(request, owner, actor, flow, finishedAt);
      },
    };
  }

  #succeed(request: WebRequest, account: Account, actor: Actor, flow: Flow, now: Instant): WebAnswer {
    const { portal, rng, wallClock } = this.#context;
    const unixSeconds = Math.floor(wallClock.unixMs(now) / 1000);
    const { token, fragment } = portal.change(
      (directory) => issueSignInToken(directory, account, actor, flow.nonce, rng, unixSeconds),
      now,
    );
    const email = actor.email ?? "";
    if (flow.as === "headless-client") {
      const until = untilText(token.expiresAt!, unixSeconds);
      return tokenPage(fragment, { actorName: actor.name, email, accountName: account.name }, until);
    }
    const link = writeForm({
      account_name: account.name,
      account_slug: account.slug,
      actor_name: actor.name,
      fragment,
      identity_provider_identifier: email,
      state: flow.state,
    });
    const sealed = this.#sealer.seal(link, `link ${account.id}`, unixSeconds + LINK_LIFETIME_SECONDS);
    const path = `/${encodeURIComponent(account.slug)}/sign_in/client_redirect`;
    const cookie = cookieText(request, LINK_COOKIE, sealed, path, LINK_LIFETIME_SECONDS);
    return handOverPage(path, actor.name, { "set-cookie": cookie });
  }

  #toClient(request: WebRequest, account: Account, now: Instant): WebAnswer {
    const sealed = readCookie(request.headers["cookie"], LINK_COOKIE) ?? "";
    const link = this.#sealer.unseal(sealed, `link ${account.id}`, this.#unixSeconds(now));
    const path = `/${encodeURIComponent(account.slug)}/sign_in`;
    if (link === undefined) return redirect(`${path}/client_auth_error?error=missing_cookie`);
    const gone = cookieText(request, LINK_COOKIE, "", `${path}/client_redirect`, 0);
    return redirect(`${CLIENT_SCHEME}://handle_client_sign_in_callback?${link}`, { "set-cookie": gone });
  }

  #form(
    status: number,
    request: WebRequest,
    account: Account,
    flow: Flow,
    now: Instant,
    email = "",
    complaint?: string,
    headers: Readonly<Record<string, string>> = {},
  ): WebAnswer {
    const name = formCookie(request);
    const known = readCookie(request.headers["cookie"], name);
    const cookie = known !== undefined && COOKIE_VALUE.test(known)
      ? known
      : toHex(this.#context.rng.bytes(16));
    const until = this.#unixSeconds(now) + FORM_LIFETIME_SECONDS;
    const form = this.#sealer.seal("", `form ${account.id} ${cookie}`, until);
    const action = `/${encodeURIComponent(account.slug)}/sign_in/userpass/${providerId(account)}`;
    const hidden = Object.fromEntries(Object.entries({ ...flow, form }).filter(([, value]) => value !== ""));
    const shown = email.slice(0, MAX_EMAIL);
    return signInPage(status, { accountName: account.name, action, hidden, email: shown, complaint }, {
      ...headers,
      "set-cookie": cookieText(request, name, cookie, "/", FORM_LIFETIME_SECONDS),
    });
  }

  /** Whether the form was made for this browser, and not long ago: other sites cannot know its seal or set the cookie. */
  #isOwnForm(request: WebRequest, account: Account, form: string, now: Instant): boolean {
    if (request.headers["sec-fetch-site"] === "cross-site") return false;
    const cookie = readCookie(request.headers["cookie"], formCookie(request)) ?? "";
    return COOKIE_VALUE.test(cookie) &&
      this.#sealer.unseal(form, `form ${account.id} ${cookie}`, this.#unixSeconds(now)) !== undefined;
  }

  #unixSeconds(now: Instant): number {
    return Math.floor(this.#context.wallClock.unixMs(now) / 1000);
  }
}

/** Returns what the browser carries, or the page that says what is wrong with it. */
function readFlow(fields: ReadonlyMap<string, string>): Flow | WebAnswer {
  const as = fields.get("as") ?? "";
  if (as === "headless-client") return { as, nonce: "", state: "" };
  if (as !== "client" && as !== "gui-client") {
    return messagePage(
      200,
      "Sign in from a client",
      "This portal has no pages for administrators: whoever runs it uses “fz portal” on its machine.",
      html`<p>To sign a terminal in, run <code>fz sign-in</code> there, or <a href="?as=headless-client">get a token
here</a>.</p>`,
    );
  }
  const nonce = fields.get("nonce") ?? "";
  const state = fields.get("state") ?? "";
  if (NONCE.test(nonce) && STATE.test(state)) return { as, nonce, state };
  return messagePage(
    400,
    "Cannot sign in",
    "The program that opened this page sent no usable nonce and state.",
  );
}

function findAccount(directory: Directory, reference: string): Account | undefined {
  const slug = reference.toLowerCase();
  return directory.find("accounts", (account) => account.slug === slug || account.id === slug);
}

function actorByEmail(directory: Directory, account: Account, email: string): Actor | undefined {
  return directory.find(
    "actors",
    (it) => it.accountId === account.id && it.passwordHash !== undefined && it.email?.toLowerCase() === email,
  );
}

/** The id of the account's only provider: its own passwords. */
function providerId(account: Account): string {
  return uuidOf(sha256(utf8(`userpass ${account.id}`)));
}

function unknownAccount(reference: string): WebAnswer {
  return accountPage(404, "headless-client", `There is no account “${reference.slice(0, 64)}” here.`);
}

function disabledAccount(account: Account): WebAnswer {
  return messagePage(403, "Account disabled", `Nobody can sign in to ${account.name} at the moment.`);
}

function authError(): WebAnswer {
  const text = "The time to go back to the client ran out, or your browser keeps no cookies.";
  return messagePage(
    400,
    "Sign-in did not reach the client",
    text,
    html`<p>Start again from the client.</p>`,
  );
}

/** Neighbours of one IPv6 network are one guesser. */
function limitedAddress(ip: IpAddress | undefined): string {
  return ip?.family === 6 ? toHex(ip.bytes.subarray(0, 8)) : ip?.toString() ?? "";
}

function waitText(wait: Duration): string {
  const count = Math.ceil(wait / minutes(1));
  return count === 1 ? "a minute" : `${count} minutes`;
}

function untilText(expiresAt: number, unixSeconds: number): string {
  const moment = new Date(expiresAt * 1000).toISOString().replace("T", " ").slice(0, 16);
  const hours = Math.round((expiresAt - unixSeconds) / 3600);
  return `${moment} UTC (${hours >= 48 ? `${Math.round(hours / 24)} days` : `${hours} hours`})`;
}

function formCookie({ isSecure }: WebRequest): string {
  // The prefix keeps neighbours on the same domain from setting it.
  return isSecure ? `__Host-${FORM_COOKIE}` : FORM_COOKIE;
}

function cookieText(
  { isSecure }: WebRequest,
  name: string,
  value: string,
  path: string,
  maxAge: number,
): string {
  return `${name}=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${
    isSecure ? "; Secure" : ""
  }`;
}

const WRONG = "E-mail address or password is wrong.";
const CLIENT_SCHEME = "firezone-fd0020211111";
const FORM_COOKIE = "fz_form";
const LINK_COOKIE = "fz_client_auth";
const COOKIE_VALUE = /^[0-9a-f]{32}$/;
const NONCE = /^[\x21-\x2d\x2f-\x7e]{1,128}$/;
const STATE = /^[\x21-\x7e]{1,256}$/;
const MAX_EMAIL = 320;
const FORM_LIFETIME_SECONDS = 3600;
const LINK_LIFETIME_SECONDS = 120;
/** Enough for an office behind one address. */
const ADDRESS_LIMITS = { burst: 30, interval: seconds(20) };
const NAME_LIMITS = { burst: 10, interval: minutes(1) };
