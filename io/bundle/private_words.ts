/** The words of this machine and session that a bundle must not hold, wherever they turn up in it. */

import type { BundleRequest } from "../../lib/control/bundle.ts";
import { pathsOf } from "../../lib/control/paths.ts";
import type { PrivateWords } from "../../lib/control/redact.ts";
import { readIdentity } from "../credential/identity_file.ts";
import { readTokenFile } from "../token_file.ts";
import { pathContext } from "../path_context.ts";
import type { Part } from "./parts.ts";

/** Fields of our documents that hold names that people gave. */
const NAME_FIELDS: ReadonlySet<string> = new Set([
  "account",
  "account-slug",
  "actor",
  "actorName",
  "addressDescription",
  "deviceName",
  "disabled-resources",
  "email",
  "id",
  "name",
  "profile",
  "resource",
  "siteName",
  "slug",
]);
/** Fields that hold domain names or patterns. */
const DOMAIN_FIELDS: ReadonlySet<string> = new Set([
  "address",
  "domain",
  "pattern",
  "searchDomain",
  "url",
  "upstream",
]);
/** Interfaces that tell nothing by their names. */
const USUAL_INTERFACE =
  /^(?:lo|eth\d+|en[opsx][0-9a-z]+|wl[opsx]?[0-9a-z]+|ww[0-9a-z]+|docker\d+|veth[0-9a-f]+|br-[0-9a-f]+|virbr\d+|tun\d*|tap\d*|tun-firezone|fz\d*|wg\d+|utun\d+|tailscale\d+|sit\d+|dummy\d+|bond\d+|ip6tnl\d+|teql\d+|ifb\d+|gre\w*|erspan\d+)$/;
const MAX_PROFILES = 1000;
const SECRET_VARIABLE = /TOKEN|SECRET|PASSW|KEY|CREDENTIAL|COOKIE|AUTH/i;

/** Returns the words; those in `parts`, on this machine, and of whoever is signed in. */
export async function privateWords(parts: readonly Part[], request: BundleRequest): Promise<PrivateWords> {
  const names = new Set<string>([...machineNames(), ...profileNames()]);
  const domains = new Set<string>(searchDomains(parts));
  for (const one of parts) {
    // Names there are those of files and interfaces.
    if (one.name.startsWith("machine/") || one.name === "session/files.json") continue;
    if (one.type === "document") collect(one.value, names, domains);
    if (one.type === "lines") { for (const value of one.values) collect(value, names, domains); }
  }
  const secrets = Object.entries(Deno.env.toObject())
    .filter(([name]) => SECRET_VARIABLE.test(name)).map(([, value]) => value);
  const token = await readTokenFile(request.tokenPath ?? "").catch(() => undefined);
  if (token !== undefined && request.tokenPath !== undefined) {
    secrets.push(token);
    collect(await readIdentity(request.tokenPath, token), names, domains);
  }
  return { secrets, names: [...names], users: userNames(), domains: [...domains] };
}

function collect(value: unknown, names: Set<string>, domains: Set<string>, field = ""): void {
  if (typeof value === "string") {
    if (NAME_FIELDS.has(field)) names.add(value);
    if (DOMAIN_FIELDS.has(field)) addDomain(value, domains);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  // Elements of a list mean what the list means.
  for (const [name, inner] of Object.entries(value)) {
    collect(inner, names, domains, Array.isArray(value) || name === "value" ? field : name);
  }
}

function addDomain(text: string, domains: Set<string>): void {
  const host = URL.canParse(text) ? new URL(text).hostname : text;
  const isAddress = /^[\d./]+$/.test(host) || host.includes(":");
  if (host !== "" && host !== "api.firezone.dev" && !isAddress) domains.add(host);
}

/** Of all profiles, not only the one in use: the list of files shows them. */
function profileNames(): string[] {
  try {
    return [...Deno.readDirSync(`${pathsOf(pathContext()).config}/profiles`)].slice(0, MAX_PROFILES)
      .map(({ name }) => name.replace(/\..*$/, ""));
  } catch {
    return [];
  }
}

function machineNames(): string[] {
  const host = Deno.hostname();
  const interfaces = new Set(Deno.networkInterfaces().map(({ name }) => name));
  return [host, host.split(".")[0]!, ...[...interfaces].filter((name) => !USUAL_INTERFACE.test(name))];
}

function userNames(): string[] {
  const { env } = Deno;
  const home = (env.get("HOME") ?? env.get("USERPROFILE"))?.split(/[/\\]/).at(-1);
  const found = [env.get("USER"), env.get("LOGNAME"), env.get("SUDO_USER"), env.get("USERNAME"), home];
  return found.filter((name) => name !== undefined && name !== "") as string[];
}

function searchDomains(parts: readonly Part[]): string[] {
  return parts.flatMap((one) =>
    one.type === "text" && /resolv/.test(one.name)
      ? [...one.text.matchAll(/^\s*(?:search|domain|DNS Domain:)\s+(.*)$/gim)].flatMap(([, list]) =>
        list!.split(/\s+/)
      )
      : []
  ).filter((domain) => domain !== "" && domain !== "~.").map((domain) => domain.replace(/^~/, ""));
}
