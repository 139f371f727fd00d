/**
 * Makes text fit to be shown to strangers: secrets, names and addresses become pseudonyms that stay the same within one
 * `Redactor`, so that what is left can still be read. When in doubt it takes away too much: an address that is none costs
 * a reader a puzzle, one that is missed costs a user his privacy. Escapes are resolved first (JSON's, percent signs), so
 * the result is for people, not for parsers.
 */

import { addressRules } from "./redact_addresses.ts";
import { domainPseudonym, domainRule } from "./redact_domains.ts";
import { Pseudonyms } from "./redact_pseudonyms.ts";
import { applyRules, type Rule, rule } from "./redact_rules.ts";

/** Words that are known to be private, whatever they look like. */
export interface PrivateWords {
  /** Credentials; each of their occurrences goes, also inside other words. */
  readonly secrets: readonly string[];
  /** Names of resources, sites, accounts, people, devices, hosts, networks. */
  readonly names: readonly string[];
  /** Names of users of this machine. */
  readonly users: readonly string[];
  /** Domain names and patterns. */
  readonly domains: readonly string[];
}

/** How much is taken away. */
export interface RedactOptions {
  /** Only secrets; names and addresses stay. */
  readonly secretsOnly?: boolean;
}

/** Takes private things out of texts, the same one always for the same pseudonym. */
export class Redactor {
  readonly #pseudonyms = new Pseudonyms();
  readonly #rules: readonly Rule[];
  readonly #rulesOfCategories: readonly Rule[];
  readonly #isPrivate: ReadonlySet<string>;

  constructor(words: PrivateWords, { secretsOnly = false }: RedactOptions = {}) {
    const names = this.#pseudonyms;
    const secrets = secretRules(words.secrets, names);
    const others = secretsOnly ? [] : [
      ...identifierRules(names),
      ...knownRules(words, names),
      ...contactRules(names),
      ...addressRules(names),
      ...homeRules(names),
    ];
    this.#rulesOfCategories = [...secrets, ...others];
    this.#rules = secretsOnly ? secrets : [...this.#rulesOfCategories, domainRule(names)];
    this.#isPrivate = new Set(
      secretsOnly ? [] : [...words.names, ...words.users].map((name) => name.toLowerCase()).filter(isTelling),
    );
  }

  /** How many different things of a kind were replaced so far. */
  get counts(): Readonly<Record<string, number>> {
    return this.#pseudonyms.counts;
  }

  /** Returns `text` without what is private. */
  text(text: string): string {
    return applyRules(this.#rules, resolveEscapes(text));
  }

  /** Returns a JSON value without what is private. Names of fields stay where they are plain words. */
  value(value: unknown, field = ""): unknown {
    if (typeof value === "string") {
      if (SECRET_FIELD.test(field)) return this.#pseudonyms.of("secret", value);
      // "client.dns" is no domain there.
      if (field === "category") return applyRules(this.#rulesOfCategories, resolveEscapes(value));
      return this.text(value);
    }
    if (Array.isArray(value)) return value.map((item) => this.value(item, field));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [this.#field(name), this.value(inner, name)]),
    );
  }

  #field(name: string): string {
    const isPlain = /^[A-Za-z][A-Za-z0-9_-]{0,40}$/.test(name) && !this.#isPrivate.has(name.toLowerCase());
    return isPlain ? name : this.text(name);
  }
}

const SECRET_WORDS =
  "token|secret|passw(?:or)?d|passphrase|api[-_]?key|private[-_]?key|authorization|cookie|credential";
const SECRET_FIELD = new RegExp(`^(?:\\w*[_-])?(?:${SECRET_WORDS})s?$`, "i");
const MIN_SECRET_LENGTH = 4;
/** Words that say nothing about anybody. */
const COMMON: ReadonlySet<string> = new Set([
  "default",
  "firezone",
  "fz",
  "internet",
  "internet resource",
  "localhost",
  "main",
  "nobody",
  "root",
]);
/** A name so long is found inside other words, too. */
const LONG_NAME = 6;
const PATH_ROOT = /^\/(?:bin|dev|etc|home|lib|opt|proc|root|run|sys|tmp|usr|var)\//;

function secretRules(secrets: readonly string[], names: Pseudonyms): Rule[] {
  const secret = ([text]: RegExpExecArray) => names.of("secret", text);
  const known = secrets.map((text) => text.trim()).filter(({ length }) => length >= MIN_SECRET_LENGTH);
  return [
    ...(known.length === 0
      ? []
      : [rule(new RegExp(longestFirst(known).map(RegExp.escape).join("|"), "gi"), secret)]),
    rule(/-----BEGIN [^-]+-----[^]*?(?:-----END [^-]+-----|$)/g, secret),
    // The tokens of portals (portal-protocol §1), and JSON web tokens.
    rule(/(?:[\w-]{1,256}\.)?(?:SFMyNTY|eyJ[\w-]{5,})\.[\w.=-]{4,}/gi, secret),
    rule(/dev-[0-9a-f]{16,}/gi, secret),
    rule(/(?<=\b(?:bearer|basic)\s+)[^\s"',;]{6,}/gi, secret),
    rule(
      new RegExp(`(?<=(?:${SECRET_WORDS})s?["'\\\\]*(?:\\s*[:=]\\s*\\\\*["']|=))[^\\s"',;&}\\\\]{2,}`, "gi"),
      secret,
    ),
    rule(/(?<=:\/\/)[^\s/@"']+(?=@)/g, secret),
    // Keys: 32 bytes are 43 characters of base64, or 64 of hexadecimal.
    rule(/[A-Za-z0-9+/_-]{43,}={0,2}/g, (match) => {
      const [text] = match;
      return PATH_ROOT.test(text) || /^[-_+/]+$/.test(text) ? undefined : secret(match);
    }),
  ];
}

function identifierRules(names: Pseudonyms): Rule[] {
  const id = ([text]: RegExpExecArray) => names.of("id", text.toLowerCase());
  return [
    rule(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi, id),
    rule(/(?<![0-9a-f])[0-9a-f]{32,}(?![0-9a-f])/gi, id),
  ];
}

function knownRules({ names: known, users, domains }: PrivateWords, names: Pseudonyms): Rule[] {
  const kinds = new Map<string, { kind: "name" | "user" | "domain"; word: string }>();
  const add = (kind: "name" | "user" | "domain", words: readonly string[]) => {
    for (const given of words) {
      const word = given.normalize("NFC");
      if (isTelling(word)) kinds.set(skeleton(word), { kind, word });
    }
  };
  add("domain", domains.map((domain) => domain.replace(/^[*?.]+/, "")));
  add("user", users);
  add("name", known);
  if (kinds.size === 0) return [];
  const patterns = longestFirst([...kinds.values()].map(({ word }) => word)).map(patternOf);
  return [
    rule(new RegExp(patterns.join("|"), "giu"), ([text]) => {
      const { kind, word } = kinds.get(skeleton(text)) ?? { kind: "name", word: text };
      return kind === "domain" ? domainPseudonym(word, names) : names.of(kind, skeleton(word));
    }),
  ];
}

/** E-mail addresses and hardware addresses. */
function contactRules(names: Pseudonyms): Rule[] {
  const mac = ([text]: RegExpExecArray) => {
    const digits = text.replace(/[^0-9a-f]/gi, "").toLowerCase();
    return /^(?:0+|f+)$/.test(digits) ? text : names.of("mac", digits);
  };
  return [
    rule(
      /[\p{L}\p{N}._%+-]{1,64}@(?![\d.]+(?:[^\p{L}\p{N}]|$))[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*/gu,
      ([text]) => text.endsWith(".service") ? undefined : names.of("email", text.toLowerCase()),
    ),
    rule(
      /(?<![0-9a-f:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}(?![0-9a-f]|[:-][0-9a-f])/gi,
      mac,
    ),
    rule(/(?<![0-9a-f.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![0-9a-f.])/gi, mac),
    // Names of interfaces that are made of one.
    rule(/(?<=\b(?:en|wl|ww)x)[0-9a-f]{12}(?![0-9a-f])/gi, mac),
  ];
}

function homeRules(names: Pseudonyms): Rule[] {
  return [
    rule(
      /(?<=[/\\](?:home|Users|Documents and Settings)[/\\]+)[^/\\\s"':;,]+/gi,
      ([text]) => names.of("user", skeleton(text)),
    ),
  ];
}

/** Letters and digits alone, so that "Acme Corp", "acme-corp" and "ACME_CORP" are one name. */
function skeleton(word: string): string {
  return word.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}

function isTelling(word: string): boolean {
  return !COMMON.has(word.toLowerCase()) && skeleton(word).length >= 2;
}

function patternOf(word: string): string {
  const parts = word.match(/[\p{L}\p{N}]+/gu) ?? [];
  const pattern = parts.map(RegExp.escape).join("[^\\p{L}\\p{N}]{0,6}");
  if (skeleton(word).length >= LONG_NAME) return pattern;
  return `(?<![\\p{L}\\p{N}])${pattern}(?![\\p{L}\\p{N}])`;
}

function longestFirst(words: readonly string[]): string[] {
  return [...words].sort((a, b) => b.length - a.length);
}

/** Escapes inside escapes: so many times. */
const PASSES = 3;

function resolveEscapes(text: string): string {
  let current = text.normalize("NFC");
  for (let pass = 0; pass < PASSES; pass++) {
    if (!/[\\%]/.test(current)) return current;
    const resolved = current
      .replace(
        /\\+u([0-9a-f]{4})|\\+x([0-9a-f]{2})/gi,
        (escape, long, short) => visible(String.fromCharCode(Number.parseInt(long ?? short, 16))) ?? escape,
      )
      .replaceAll("\\/", "/")
      .replace(/(?:%[0-9a-f]{2})+/gi, (run) => decodePercent(run));
    if (resolved === current) return current;
    current = resolved;
  }
  return current;
}

function decodePercent(run: string): string {
  try {
    return [...decodeURIComponent(run)].map((character) =>
      visible(character) ?? encodeURIComponent(character)
    )
      .join("");
  } catch {
    return run.replace(/%[0-7][0-9a-f]/gi, (one) => visible(decodeURIComponent(one)) ?? one);
  }
}

/** Returns `character` unless it is a control character, which stays as it was written. */
function visible(character: string): string | undefined {
  return /\p{Cc}/u.test(character) ? undefined : character;
}
