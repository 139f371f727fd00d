/** Where a person signs in with a browser. portal-protocol §6.1. */

/** Portals whose pages are on another host. */
const PAGES_OF: ReadonlyMap<string, string> = new Map([
  ["api.firezone.dev", "https://app.firezone.dev"],
  ["api.firez.one", "https://app.firez.one"],
]);

/** Returns where the pages of the portal at `apiUrl` are: on the same host and port, unless it is Firezone's own. */
export function authBaseOf(apiUrl: string): string {
  const url = new URL(apiUrl.replace(/^ws/i, "http"));
  const known = PAGES_OF.get(url.hostname);
  if (known !== undefined) return known;
  // Without a port a portal is at 443, whatever the scheme (portal-protocol §1.1).
  const port = url.port === "" && url.protocol === "http:" && !/:80(\/|$)/.test(apiUrl) ? ":443" : "";
  return `${url.origin}${port}${url.pathname.replace(/\/+$/, "")}`;
}

/** Returns the page that hands out a token for pasting; without an account it asks for one first. */
export function signInUrl(authBase: string, accountSlug: string | undefined): string {
  const url = new URL(authBase);
  const folder = url.pathname.replace(/\/+$/, "");
  url.pathname = `${folder}/${accountSlug === undefined ? "" : encodeURIComponent(accountSlug)}`;
  url.search = "?as=headless-client";
  url.hash = "";
  return url.href;
}
