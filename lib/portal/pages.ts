/**
 * The pages that people see when they sign in: small, self-contained, readable without scripts. Everything that is not
 * a constant is escaped by `html.ts`; the policy in the headers allows the one style and the one script below only.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { toBase64, utf8 } from "../base/bytes.ts";
import { type Html, html, NOTHING, trusted } from "./html.ts";

/** An answer to a browser or a program. */
export interface WebAnswer {
  readonly type: "answer";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a page is made of. */
export interface Page {
  readonly status: number;
  readonly title: string;
  readonly content: Html;
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the browser goes next by itself. */
  readonly next?: string;
}

/** What the browser asked for and gets back with the form. */
export interface SignInForm {
  readonly accountName: string;
  readonly action: string;
  /** Fields that the form carries along. */
  readonly hidden: Readonly<Record<string, string>>;
  readonly email: string;
  /** What was wrong with the last attempt. */
  readonly complaint: string | undefined;
}

/** Returns `page` as an answer. */
export function page({ status, title, content, headers = {}, next }: Page): WebAnswer {
  const refresh = next === undefined ? NOTHING : html`<meta http-equiv="refresh" content="0; url=${next}">`;
  const document = html`
    <!doctype html>
    <html lang="en">
      <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${title}</title>
    ${refresh}<style>${trusted(STYLE)}</style>
      </head>
      <body>
        <main>
    ${content}
        </main>
        <footer>fz portal</footer>
        <script>${trusted(SCRIPT)}</script>
      </body>
    </html>
  `;
  return { type: "answer", status, headers: { ...PAGE_HEADERS, ...headers }, body: document.html };
}

/** Returns an answer that sends the browser to `location`. */
export function redirect(location: string, headers: Readonly<Record<string, string>> = {}): WebAnswer {
  const shared = { "cache-control": "no-store", "referrer-policy": "no-referrer" };
  return { type: "answer", status: 303, headers: { ...shared, ...headers, location }, body: "" };
}

/** Returns a page with one sentence about what cannot be, and perhaps what to do. */
export function messagePage(
  status: number,
  title: string,
  text: string,
  next?: Html,
  headers?: Readonly<Record<string, string>>,
): WebAnswer {
  const content = html`<h1>${title}</h1>
<p>${text}</p>
${next ?? NOTHING}`;
  return page({ status, title, content, ...(headers === undefined ? {} : { headers }) });
}

/** Returns the page that asks which account is meant. */
export function accountPage(status: number, as: string, complaint: string | undefined): WebAnswer {
  const content = html`
    <h1>Sign in</h1>
    ${complaintOf(complaint)}<form method="get" action="/">
      <input type="hidden" name="as" value="${as}">
      <label for="account">Account</label>
      <input id="account" name="account" autocomplete="organization" autocapitalize="none" spellcheck="false"
        maxlength="64" required autofocus>
      <p class="hint">The short name of your organisation. Whoever runs this portal can tell it.</p>
      <button>Continue</button>
    </form>
  `;
  return page({ status, title: "Sign in", content });
}

/** Returns the page that asks for e-mail address and password. */
export function signInPage(
  status: number,
  { accountName, action, hidden, email, complaint }: SignInForm,
  headers: Readonly<Record<string, string>>,
): WebAnswer {
  const fields = Object.entries(hidden).map(([name, value]) =>
    html`
      <input type="hidden" name="${name}" value="${value}">
    `
  );
  const focus = trusted(" autofocus");
  const content = html`<h1>Sign in to ${accountName}</h1>
${complaintOf(complaint)}<form method="post" action="${action}">
${fields}<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" value="${email}" maxlength="320" required${
    email === "" ? focus : NOTHING
  }>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required${
    email === "" ? NOTHING : focus
  }>
<button>Sign in</button>
</form>`;
  return page({ status, title: `Sign in to ${accountName}`, content, headers });
}

/** Returns the page that hands the token over. `until` is a text for people. */
export function tokenPage(
  token: string,
  owner: { readonly actorName: string; readonly email: string; readonly accountName: string },
  until: string,
): WebAnswer {
  const content = html`
    <h1>You are signed in</h1>
    <p>Copy this token and paste it into the terminal that waits for it.</p>
    <label for="token">Token</label>
    <textarea id="token" rows="3" readonly spellcheck="false" autofocus>${token}</textarea>
    <button id="copy" type="button" hidden>Copy</button>
    <p id="copied" role="status"></p>
    <dl>
      <dt>Signed in as</dt>
      <dd>${owner.actorName} (${owner.email})</dd>
      <dt>Account</dt>
      <dd>${owner.accountName}</dd>
      <dt>Valid until</dt>
      <dd>${until}</dd>
    </dl>
    <p class="hint">Treat it like a password: whoever has it can connect as you. It is shown this once;
    close the page when you have pasted it.</p>
  `;
  return page({ status: 200, title: "Your token", content });
}

/** Returns the page that goes on to the program that opened the browser. */
export function handOverPage(
  location: string,
  actorName: string,
  headers: Readonly<Record<string, string>>,
): WebAnswer {
  const content = html`<h1>You are signed in</h1>
<p>Signed in as ${actorName}. The client takes over now; you may close this page.</p>
<p><a href="${location}">Continue to the client</a> if nothing happens.</p>`;
  return page({ status: 200, title: "You are signed in", content, headers, next: location });
}

function complaintOf(complaint: string | undefined): Html {
  return complaint === undefined ? NOTHING : html`
    <p class="complaint" role="alert">${complaint}</p>
  `;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #5b6470; --paper: #f4f5f7; --card: #fff; --line: #c9ced6;
  --strong: #1f5fbf; --on-strong: #fff; --bad: #a4161a; --bad-paper: #fdecec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --faint: #a0a8b3; --paper: #14171b; --card: #1d2126;
  --line: #4a525d; --strong: #8ab4f8; --on-strong: #10233f; --bad: #ffb4ab; --bad-paper: #3b1f1e; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; align-items: center; padding: 8vh 1rem 1rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 27rem; padding: 1.75rem 2rem 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.4rem; line-height: 1.25; }
p { margin: 0 0 1rem; }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600; }
input, textarea { width: 100%; padding: .6rem .7rem; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--line); border-radius: .4rem; }
textarea { font-family: ui-monospace, monospace; font-size: .9rem; resize: none; word-break: break-all; display: block; }
button { width: 100%; margin-top: 1.25rem; padding: .65rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-strong); background: var(--strong); border: 0; border-radius: .4rem; }
#copy { margin-top: .75rem; }
#copied { min-height: 1.5em; margin: .25rem 0 .5rem; text-align: center; color: var(--faint); }
:focus-visible { outline: 3px solid var(--strong); outline-offset: 2px; }
a { color: var(--strong); }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 0 1rem; }
dt { color: var(--faint); } dd { margin: 0; }
.hint { margin: .5rem 0 0; color: var(--faint); font-size: .9rem; }
.complaint { padding: .6rem .8rem; color: var(--bad); background: var(--bad-paper); border-radius: .4rem; }
footer { margin-top: 1rem; color: var(--faint); font-size: .85rem; }
`;

/** The clipboard of browsers needs a secure origin; elsewhere the old command does it. */
const SCRIPT = `
const token = document.getElementById("token");
const copy = document.getElementById("copy");
if (token && copy) {
  copy.hidden = false;
  token.addEventListener("focus", () => token.select());
  token.select();
  copy.addEventListener("click", async () => {
    token.select();
    let isCopied = false;
    try {
      await navigator.clipboard.writeText(token.value);
      isCopied = true;
    } catch {
      isCopied = document.execCommand("copy");
    }
    document.getElementById("copied").textContent = isCopied ? "Copied." : "Press Ctrl+C to copy it.";
  });
}
`;

const hashOf = (text: string) => `'sha256-${toBase64(sha256(utf8(text)))}'`;

const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy":
    `default-src 'none'; style-src ${hashOf(STYLE)}; script-src ${hashOf(SCRIPT)}; form-action 'self'; ` +
    "base-uri 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
};
