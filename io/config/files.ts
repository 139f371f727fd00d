/** Files of settings: read with a bound, replaced whole or not at all, changed by one process at a time. */

import { Fault } from "../../lib/base/fault.ts";
import { type Duration, seconds } from "../../lib/base/time.ts";

const PATIENCE: Duration = seconds(10);
const POLL: Duration = 20;

/**
 * Returns the first `limit` bytes and one more of the file at `path`, so that what is too long shows; undefined if there
 * is none. Throws a `Fault` if it cannot be read.
 */
export async function readBounded(path: string, limit: number): Promise<Uint8Array | undefined> {
  return await telling(`Cannot read "${path}"`, async () => {
    try {
      // Judged before it is opened: opening a pipe waits for somebody who writes.
      if (!(await Deno.stat(path)).isFile) {
        throw new Fault("usage", `Cannot read "${path}": it is not a file`);
      }
      using file = await Deno.open(path);
      const { mode } = await file.stat();
      if (Deno.uid() === 0 && ((mode ?? 0) & 0o002) !== 0) {
        throw new Fault("privilege", `Cannot use "${path}": everybody may write it`, {
          next: `Run "chmod o-w ${path}".`,
        });
      }
      const bytes = new Uint8Array(limit + 1);
      let length = 0;
      while (length < bytes.length) {
        const count = await file.read(bytes.subarray(length));
        if (count === null) break;
        length += count;
      }
      return bytes.subarray(0, length);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  });
}

/**
 * Puts `text` at `path`: whoever reads sees the old text or the new one, also after a power cut. What is there keeps its
 * mode and owner; a link is left alone. Only inside `locked`.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await telling(`Cannot write "${path}"`, async () => {
    const before = await infoOf(path);
    if (before?.isSymlink === true) {
      throw new Fault("usage", `Cannot write "${path}": it is a link to another file`, {
        next: "Change the file that it leads to.",
      });
    }
    if (before?.isFile === false) throw new Fault("usage", `Cannot write "${path}": it is not a file`);
    const { folder, name } = split(path);
    const draft = `${folder}/.${name}.new`;
    try {
      // A killed process may have left one; the lock keeps all others out.
      await removeFile(draft);
      await writeDraft(draft, text, before);
      await Deno.rename(draft, path);
    } catch (error) {
      await removeFile(draft).catch(() => {});
      throw error;
    }
    await syncFolder(folder);
  });
}

/** Removes the file at `path`; returns whether there was one. */
export async function removeFile(path: string): Promise<boolean> {
  return await telling(`Cannot remove "${path}"`, async () => {
    try {
      await Deno.remove(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}

/** Renames the file at `from` if there is one, and overwrites none. Only inside `locked`. */
export async function moveFile(from: string, to: string): Promise<void> {
  await telling(`Cannot rename "${from}"`, async () => {
    if (await infoOf(from) === undefined) return;
    if (await infoOf(to) !== undefined) throw new Fault("usage", `Cannot rename "${from}": "${to}" exists`);
    await Deno.rename(from, to);
    await syncFolder(split(to).folder);
  });
}

/** Returns what is at `path`, links not followed; undefined if nothing is. */
export async function infoOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Runs `action` while no other process is in `locked` for the same `folder`, which is made where it is missing. Throws
 * `Fault` "timeout" if another one is in it for too long.
 */
export async function locked<T>(folder: string, action: () => Promise<T>): Promise<T> {
  const path = `${folder}/.lock`;
  using file = await telling(`Cannot write in "${folder}"`, async () => {
    await Deno.mkdir(folder, { recursive: true, mode: 0o755 });
    return await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
  });
  const deadline = performance.now() + PATIENCE;
  while (!await file.tryLock(true)) {
    if (performance.now() > deadline) {
      throw new Fault("timeout", `Cannot write in "${folder}": another process holds "${path}"`, {
        next: "Wait until it has ended, and try again.",
      });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  return await action();
}

/** Runs `action`; what the operating system turns down becomes a `Fault` that begins with `what`. */
export async function telling<T>(what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof Fault) throw error;
    const reason = error instanceof Error
      ? error.message.replace(/ \(os error \d+\).*$/s, "")
      : String(error);
    if (isFull(error)) {
      throw new Fault("unexpected", `${what}: no space is left on the device`, {
        next: "Make room there. What was written before is untouched.",
      });
    }
    const options = { next: nextStep(error) };
    if (isRefusal(error)) throw new Fault("privilege", `${what}: ${reason}`, options);
    throw new Fault("unexpected", `${what}: ${reason}`, { cause: error });
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable ||
    isReadOnly(error);
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function isReadOnly(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EROFS";
}

function nextStep(error: unknown): string {
  if (isReadOnly(error)) return "Make the file system writable, or name another folder in FZ_CONFIG_DIR.";
  return Deno.uid() === 0
    ? "Something beyond file modes forbids it, such as a sandbox of the service."
    : "Run as root, or as the owner of the folder; FZ_CONFIG_DIR names another one.";
}

async function writeDraft(path: string, text: string, before: Deno.FileInfo | undefined): Promise<void> {
  const mode = (before?.mode ?? 0o644) & 0o777;
  {
    using file = await Deno.open(path, { write: true, createNew: true, mode });
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
    await file.sync();
  }
  if (Deno.build.os === "windows" || before === undefined) return;
  const { uid, gid } = before;
  // Root alone can keep another's file another's.
  if (Deno.uid() === 0 && uid !== null && gid !== null) await Deno.chown(path, uid, gid);
  await Deno.chmod(path, mode);
}

/** Makes a rename outlive a power cut. */
async function syncFolder(folder: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using file = await Deno.open(folder);
  await file.sync();
}

function split(path: string): { readonly folder: string; readonly name: string } {
  const slash = path.lastIndexOf("/");
  return { folder: path.slice(0, slash), name: path.slice(slash + 1) };
}
