/**
 * The kernel's check whether a packet came by the way that an answer would take (RFC 3704; rp_filter in
 * Documentation/networking/ip-sysctl.rst). It is of IPv4 alone.
 */

/**
 * Returns whether the check is strict at any interface but `device`. Where it cannot be read it may be; an interface
 * that comes later takes the default.
 */
export function isReversePathStrict(device: string, root = "/proc/sys/net/ipv4/conf"): boolean {
  try {
    const all = readValue(`${root}/all/rp_filter`);
    for (const { name } of Deno.readDirSync(root)) {
      if (name === "all" || name === "lo" || name === device) continue;
      // The kernel takes the higher of both, and loose (2) is higher.
      if (Math.max(all, readValue(`${root}/${name}/rp_filter`)) === STRICT) return true;
    }
    return false;
  } catch {
    return true;
  }
}

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

const STRICT = 1;
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

function readValue(path: string): number {
  return Number(Deno.readTextFileSync(path));
}
