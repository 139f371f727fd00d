/** What this process may do for a tunnel, as `lib/host/privilege.ts` judges it. Looks only, except for `makeTunDevice`. */

import { Capability, hasCapability } from "../../lib/host/capabilities.ts";
import { type PrivilegeFacts, privilegeFault, type Surroundings } from "../../lib/host/privilege.ts";
import { readCredentials } from "./capabilities.ts";
import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/** Where the kernel's TUN driver is (Documentation/networking/tuntap.rst). */
export const TUN_DEVICE_PATH = "/dev/net/tun";

/** Returns what was seen. */
export function readPrivileges(): PrivilegeFacts {
  const credentials = readCredentials();
  const has = (capability: number) =>
    credentials === undefined ? undefined : hasCapability(credentials.effective, capability);
  return {
    uid: Deno.uid() ?? undefined,
    gid: Deno.gid() ?? undefined,
    hasNetAdmin: has(Capability.NET_ADMIN),
    isGrantable: credentials === undefined || hasCapability(credentials.bounding, Capability.NET_ADMIN),
    tun: tunState(has(Capability.MKNOD) === true),
    surroundings: findSurroundings(),
  };
}

/** Throws the Fault that names every right for a tunnel that is missing. */
export function checkPrivileges(): void {
  const fault = privilegeFault(readPrivileges());
  if (fault !== undefined) throw fault;
}

/** Makes the device node, as containers often lack it; needs CAP_MKNOD. Returns whether it is there. */
export function makeTunDevice(): boolean {
  const path = arena.allocate(PATH_CAPACITY);
  try {
    Deno.mkdirSync("/dev/net", { recursive: true, mode: 0o755 });
    arena.setText(path, TUN_DEVICE_PATH, PATH_CAPACITY);
    if (libc.mknod(arena.address(path), S_IFCHR | 0o666, TUN_DEVICE_NUMBER) !== 0) return false;
    // Whatever the mask left of it: the device asks for a capability itself.
    Deno.chmodSync(TUN_DEVICE_PATH, 0o666);
    return true;
  } catch {
    return false;
  } finally {
    arena.release(path, PATH_CAPACITY);
  }
}

function tunState(canMake: boolean): PrivilegeFacts["tun"] {
  try {
    const { isCharDevice, rdev } = Deno.statSync(TUN_DEVICE_PATH);
    if (isCharDevice !== true || BigInt(rdev ?? 0) !== TUN_DEVICE_NUMBER) return "another";
    Deno.openSync(TUN_DEVICE_PATH, { read: true, write: true }).close();
    return "usable";
  } catch (error) {
    const { NotFound, PermissionDenied, NotCapable } = Deno.errors;
    if (error instanceof NotFound) return canMake ? "usable" : "missing";
    // A node without a driver behind it (ENXIO, ENODEV) is as good as none.
    return error instanceof PermissionDenied || error instanceof NotCapable ? "denied" : "missing";
  }
}

function findSurroundings(): Surroundings {
  const isContainer = MARKS.some((path) => exists(path)) || isSet("container") ||
    isSet("KUBERNETES_SERVICE_HOST");
  if (isContainer) return "container";
  // The variable alone is inherited by everything that a desktop starts.
  return isSet("INVOCATION_ID") && Deno.ppid === 1 ? "unit" : "machine";
}

function isSet(name: string): boolean {
  return (Deno.env.get(name) ?? "") !== "";
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Docker's, podman's, and that of everybody whom systemd recognises. */
const MARKS = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];

const PATH_CAPACITY = 16;
const TUN_DEVICE_NUMBER = (10n << 8n) | 200n;
const S_IFCHR = 0o020000;
