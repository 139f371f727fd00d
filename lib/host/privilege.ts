/**
 * What a session needs of its machine's rights, judged before anything is changed: facts in, what is missing out, each
 * with the command that grants it. The facts are gathered by `ffi/linux/privileges.ts`; what could not be seen is
 * undefined and misses nothing.
 */

import { Fault } from "../base/fault.ts";

/** What was seen of this process and of what it stands in. */
export interface PrivilegeFacts {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** Whether CAP_NET_ADMIN is effective. */
  readonly hasNetAdmin: boolean | undefined;
  /** Whether root could give it to this process: it is in the bounding set. */
  readonly isGrantable: boolean;
  /** Whether /dev/net/tun can be opened, or made where it is missing. "another": what is there is not the TUN device. */
  readonly tun: "usable" | "missing" | "denied" | "another" | undefined;
  /** Who decides what this process may. */
  readonly surroundings: Surroundings;
}

/** A plain machine, a container, or a unit of systemd. */
export type Surroundings = "machine" | "container" | "unit";

/** One thing that is missing. */
export interface Missing {
  readonly what: "net-admin" | "tun";
  readonly code: "privilege" | "tun";
  /** For example: the capability CAP_NET_ADMIN is missing. */
  readonly state: string;
  readonly detail: string;
  /** The command or the setting that grants it. */
  readonly fix: string;
}

/** Where containers and rights are explained. */
const CONTAINERS = "docs/containers.md";
const CONTAINER_FIX =
  `docker run --cap-add NET_ADMIN --device /dev/net/tun, the same with podman, see ${CONTAINERS}`;

/** Returns what keeps a tunnel from being made, the first thing to mend first. */
export function missingPrivileges(facts: PrivilegeFacts): readonly Missing[] {
  return [netAdmin(facts), tun(facts)].filter((missing): missing is Missing => missing !== undefined);
}

/** Returns one Fault that names everything that is missing; undefined if nothing is. */
export function privilegeFault(facts: PrivilegeFacts): Fault | undefined {
  const missing = missingPrivileges(facts);
  const [first] = missing;
  if (first === undefined) return undefined;
  const states = missing.map(({ state }) => state).join(", and ");
  return new Fault(first.code, `Cannot make a tunnel: ${states}`, { next: sentence(missing) });
}

/**
 * Returns the command by which root gives this user's session the capability, once: nothing on the disk changes, and no
 * other program gets it.
 */
export function grantCommand({ uid, gid }: Pick<PrivilegeFacts, "uid" | "gid">): string {
  const capability = "--inh-caps=+net_admin --ambient-caps=+net_admin";
  return `sudo -E setpriv --reuid=${uid ?? "USER"} --regid=${
    gid ?? "GROUP"
  } --init-groups ${capability} fz run`;
}

function netAdmin(facts: PrivilegeFacts): Missing | undefined {
  if (facts.hasNetAdmin !== false) return undefined;
  return {
    what: "net-admin",
    code: "privilege",
    state: "the capability CAP_NET_ADMIN is missing",
    detail: "A tunnel needs it for its device, its addresses and its routes.",
    fix: netAdminFix(facts),
  };
}

function netAdminFix(facts: PrivilegeFacts): string {
  if (facts.surroundings === "unit") {
    return "AmbientCapabilities=CAP_NET_ADMIN and CapabilityBoundingSet=CAP_NET_ADMIN in the unit, as `fz service install` writes it";
  }
  if (facts.isGrantable && facts.uid !== 0) {
    return `sudo fz up, or sudo fz service install, or as yourself: ${grantCommand(facts)}`;
  }
  return facts.surroundings === "container"
    ? CONTAINER_FIX
    : "capsh --print shows the bounding set: start fz where cap_net_admin is in it";
}

function tun(facts: PrivilegeFacts): Missing | undefined {
  const common = { what: "tun" } as const;
  switch (facts.tun) {
    case undefined:
    case "usable":
      return undefined;
    case "missing":
      return {
        ...common,
        code: "tun",
        state: "/dev/net/tun is missing",
        ...(facts.surroundings === "container"
          ? {
            detail:
              `The container was not given the device, or its host has not loaded the kernel's module; see ${CONTAINERS}.`,
            fix: `${CONTAINER_FIX}; if its host has none: modprobe tun`,
          }
          : {
            detail: "The kernel's module is not loaded, or the container was not given the device.",
            fix: "modprobe tun; in Docker: --device /dev/net/tun",
          }),
      };
    case "another":
      return {
        ...common,
        code: "tun",
        state: "/dev/net/tun is not the TUN device",
        ...(facts.surroundings === "container"
          ? {
            detail: `The container was given something else in its place; see ${CONTAINERS}.`,
            fix: CONTAINER_FIX,
          }
          : {
            detail: "Something else is in its place: a file, another device, or a mount.",
            fix: "umount /dev/net/tun, or remove it, then modprobe tun",
          }),
      };
    case "denied":
      return { ...common, code: "privilege", state: "/dev/net/tun may not be opened", ...denied(facts) };
  }
}

function denied({ surroundings, uid }: PrivilegeFacts): Pick<Missing, "detail" | "fix"> {
  switch (surroundings) {
    case "container":
      return {
        detail: `The container may not use the device, though it is there; see ${CONTAINERS}.`,
        fix: CONTAINER_FIX,
      };
    case "unit":
      return {
        detail: "The unit does not allow the device.",
        fix: "DeviceAllow=/dev/net/tun rw in the unit",
      };
    case "machine":
      return uid === 0
        ? {
          detail: "A container or a unit does not allow the device.",
          fix: "DeviceAllow=/dev/net/tun rw in the unit",
        }
        : { detail: "Everybody may open it on most machines.", fix: "sudo chmod 666 /dev/net/tun" };
  }
}

function sentence(missing: readonly Missing[]): string {
  const all = [...new Set(missing.map(({ fix }) => fix))];
  // What another one begins with is said by that.
  const fixes = all.filter((fix) => !all.some((other) => other !== fix && other.startsWith(fix)));
  return fixes.length === 1 ? `Grant it: ${fixes[0]}.` : `Grant them: ${fixes.join("; then: ")}.`;
}
