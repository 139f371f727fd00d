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

const STRICT = 1;

function readValue(path: string): number {
  return Number(Deno.readTextFileSync(path));
}
