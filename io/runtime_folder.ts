/**
 * The folder of a session's sockets, locks and session file: open to all, for what is in it guards itself, and written by
 * its owner alone. Whoever else could make files there could lead root's writes elsewhere by a link.
 */

import { Fault } from "../lib/base/fault.ts";
import { SERVICE_USER } from "../lib/control/service/user.ts";
import { guardFolder } from "./windows_folder.ts";

/** Root's runtime folder, and the service's. */
const MACHINE_FOLDER = "/run/fz";
const OTHERS_WRITE = 0o022;
const AS_ROOT = Deno.build.os === "windows" ? "as administrator" : "with sudo";
const CHOOSE = "choose another folder by FZ_RUNTIME_DIR.";

/**
 * Makes the folder at `path`, whatever the process's mask; one that is there stays as it is. Throws a `Fault`
 * ("privilege") if it cannot be used.
 */
export function makeRuntimeFolder(path: string): void {
  try {
    if (makeFolder(path)) return;
    if (Deno.build.os === "windows") return guardFolder(path);
    const { uid, mode } = Deno.statSync(path);
    if (uid !== null && uid !== 0 && uid !== Deno.uid() && !isServices(path, uid)) {
      throw unusable(path, `it belongs to user ${uid}`, `Remove it, or ${CHOOSE}`);
    }
    // Not set right here: it may be a folder that others use, such as /tmp.
    if (mode !== null && (mode & OTHERS_WRITE) !== 0) {
      throw unusable(path, "others may write to it", `Run "chmod go-w ${path}", or ${CHOOSE}`);
    }
  } catch (error) {
    throw runtimeFolderFault(path, error);
  }
}

/** Returns the `Fault` ("privilege") for the folder at `path`, of which the system says `cause`. */
export function runtimeFolderFault(path: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  if (cause instanceof Deno.errors.AlreadyExists || cause instanceof Deno.errors.NotADirectory) {
    return unusable(path, "it is not a folder", `Remove it, or ${CHOOSE}`);
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  const isRefusal = cause instanceof Deno.errors.PermissionDenied && Deno.uid() !== 0;
  return unusable(
    path,
    reason,
    `${isRefusal ? `Run the command ${AS_ROOT}` : "See what is there"}, or ${CHOOSE}`,
  );
}

/** Returns whether it is new. */
function makeFolder(path: string): boolean {
  try {
    if (Deno.statSync(path).isDirectory) return false;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.mkdirSync(path, { recursive: true, mode: 0o755 });
  if (Deno.build.os === "windows") guardFolder(path);
  else Deno.chmodSync(path, 0o755);
  return true;
}

/** systemd gave the machine's folder to the service's own user: root may look into it, and leaves its locks to him. */
function isServices(path: string, uid: number): boolean {
  if (Deno.uid() !== 0 || path !== MACHINE_FOLDER) return false;
  try {
    const line = Deno.readTextFileSync("/etc/passwd").split("\n").find((line) =>
      line.startsWith(`${SERVICE_USER}:`)
    );
    return line?.split(":")[2] === String(uid);
  } catch {
    return false;
  }
}

function unusable(path: string, reason: string, next: string): Fault {
  return new Fault("privilege", `Cannot use the runtime folder "${path}": ${reason}`, { next });
}
