/**
 * Puts a file back that a killed session wrote over, from what the journal has of it: bytes, mode, owner, or the link
 * that it was. Only where ours is still in place, whole or half written back: what somebody else wrote since then stays.
 */

import { fromBase64 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { type FileChange, replace, syncFolderOf, writeAll, writeInPlace } from "./file_change.ts";
import { CRASH_HINT, hasMarker } from "./resolv_conf.ts";
import { readSmallText, UnfitFile } from "./small_file.ts";

/** Returns whether there was anything of ours. Throws a Fault ("dns", "privilege") if it cannot be put back. */
export function undoFile({ path, original, isInPlace }: FileChange): boolean {
  try {
    const live = readText(path);
    const content = original?.type === "file" ? fromBase64(original.content) : undefined;
    if (original?.type === "file" && content === undefined) throw new Error("what was noted is no text");
    if (live === undefined || !isOurs(live, content)) return false;
    if (original === undefined) Deno.removeSync(path);
    else if (original.type === "link") replace(path, (draft) => Deno.symlinkSync(original.target, draft));
    else if (isInPlace) {
      writeInPlace(path, content!);
      setOwner(path, original);
    } else {
      replace(path, (draft) => {
        using file = Deno.openSync(draft, { write: true, createNew: true, mode: 0o600 });
        writeAll(file, content!);
        setOwner(draft, original);
        file.syncSync();
      });
    }
    syncFolderOf(path);
    return true;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const isForbidden = cause instanceof Deno.errors.PermissionDenied && Deno.uid() !== 0;
    throw new Fault(isForbidden ? "privilege" : "dns", `Cannot restore ${path}: ${reason}`, {
      cause,
      next: isForbidden
        ? "Run the command with sudo."
        : `Make it writable (see "lsattr ${path}" and "findmnt -T ${path}"), then run \`fz cleanup\`.`,
    });
  }
}

/** Also what a write that was cut off in the middle has left of ours. */
function isOurs(live: string, content: Uint8Array | undefined): boolean {
  if (hasMarker(live)) return true;
  if (content === undefined) return false;
  const original = new TextDecoder().decode(content);
  if (live === "") return original !== "";
  if (live.length <= original.length || !live.startsWith(original)) return false;
  return live.includes(CRASH_HINT) || /^\n+$/.test(live.slice(original.length));
}

/** What ours cannot be is somebody else's. */
function readText(path: string): string | undefined {
  try {
    return readSmallText(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof UnfitFile) return undefined;
    throw error;
  }
}

/** What is right already is left alone: changing it needs rights that putting the text back does not. */
function setOwner(path: string, { mode, uid, gid }: { mode: number; uid: number; gid: number }): void {
  const now = Deno.statSync(path);
  if (now.uid !== uid || now.gid !== gid) Deno.chownSync(path, uid, gid);
  if (((now.mode ?? mode) & 0o7777) !== mode) Deno.chmodSync(path, mode);
}
