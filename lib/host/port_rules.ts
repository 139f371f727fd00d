/** What a kernel's version says about routing rules by port. */

/**
 * Returns whether a kernel of `release` (uname(2)) has rules by port; before Linux 4.17 it takes such a rule for one
 * without that condition.
 */
export function hasPortRules(release: string): boolean {
  return isSince(release, 4, 17);
}

/**
 * Returns whether a kernel of `release` certainly heeds rules by port in its check: before Linux 5.14 and the patches of
 * July 2021 it looked for source ports where destination ports were (commit c69f114d0989).
 */
export function checksPortRules(release: string): boolean {
  const [major, minor, patch] = numbers(release);
  const backport = BACKPORTS.get(`${major}.${minor}`);
  return isSince(release, 5, 14) || (backport !== undefined && patch >= backport);
}

const BACKPORTS: ReadonlyMap<string, number> = new Map([["5.4", 132], ["5.10", 50], ["5.12", 17], [
  "5.13",
  2,
]]);

function isSince(release: string, major: number, minor: number): boolean {
  const [ownMajor, ownMinor] = numbers(release);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

function numbers(release: string): [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = release.split(/[.-]/, 3).map((part) => parseInt(part, 10) || 0);
  return [major, minor, patch];
}
