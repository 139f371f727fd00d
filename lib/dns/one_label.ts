/**
 * Names of one label ("gitlab") for resolvers that ask no DNS server for them unless a search domain makes them longer, as
 * systemd-resolved does. A search domain of our own carries them to us, and we take it off again. No name below it is ever
 * asked anywhere else. ".internal" is reserved for private use (ICANN resolution 2024.07.29.06).
 */

import type { Pattern } from "./pattern.ts";

/** The search domain. */
export const ONE_LABEL_DOMAIN = "one-label.fz.internal";

/**
 * Returns whether `pattern` is written for names of one label: "gitlab", "git-*". One of wildcards alone is not: it would
 * take the names of all neighbours.
 */
export function isForOneLabel(pattern: Pattern): boolean {
  return !pattern.text.includes(".") && /[^*?]/.test(pattern.text);
}

/**
 * Returns the label that stands before our search domain in `name` (lower case, no trailing dot), undefined where `name`
 * does not end with it. The empty text: there is not exactly one label, so it is no name of ours.
 */
export function oneLabelOf(name: string): string | undefined {
  if (name === ONE_LABEL_DOMAIN) return "";
  if (!name.endsWith(`.${ONE_LABEL_DOMAIN}`)) return undefined;
  const rest = name.slice(0, -ONE_LABEL_DOMAIN.length - 1);
  return rest.includes(".") ? "" : rest;
}
