/**
 * DNS by /etc/resolv.conf, for containers and small systems. The backup exists only while our file is in place, and is
 * put back only over our own file: what somebody else wrote meanwhile is newer and stays. A regular file is written in
 * place (containers mount it, so it cannot be replaced); a symbolic link is replaced and put back as a link.
 */

import { toBase64 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import type { DnsControl, Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import { CRASH_HINT, hasMarker, parseResolvConf, renderResolvConf } from "./resolv_conf.ts";

/** "disabled" reads the machine's resolvers, and changes nothing but leftovers of a killed process. */
export class ResolvConfDns implements SystemDns {
  readonly control: DnsControl;
  readonly #path: string;
  readonly #backup: string;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  #written: string | undefined;

  constructor(
    { control, isSentinel, resolvConfPath = "/etc/resolv.conf", backupPath, journal = NO_JOURNAL }:
      SystemDnsOptions,
  ) {
    this.control = control;
    this.#path = resolvConfPath;
    this.#backup = backupPath ?? `${resolvConfPath}.before-fz`;
    this.#isSentinel = isSentinel;
    this.#journal = journal;
  }

  async check(): Promise<void> {
    if (this.control === "disabled" || !await exists(this.#path)) return;
    await this.#attempt("write", async () => (await Deno.open(this.#path, { write: true })).close());
  }

  async upstreams(): Promise<Resolver[]> {
    const { nameservers } = parseResolvConf(await this.#original().catch(() => ""));
    return nameservers.filter((address) => !this.#isSentinel(address) && !address.isUnspecified)
      .map((address) => ({ address }));
  }

  async set(sentinels: readonly IpAddress[], searchDomain: string | undefined): Promise<void> {
    if (this.control === "disabled") return;
    if (sentinels.length === 0) return void await this.undo();
    await this.#attempt("write", async () => {
      const original = await this.#original();
      if (!hasMarker(await read(this.#path))) {
        await this.#save();
        await this.#note();
      }
      const text = renderResolvConf(parseResolvConf(original), sentinels, searchDomain, this.#backup);
      if ((await linkTarget(this.#path)) === undefined) await writeInPlace(this.#path, text);
      else await replace(this.#path, (temporary) => Deno.writeTextFile(temporary, text, { mode: 0o644 }));
      this.#written = text;
    });
  }

  async flush(): Promise<void> {}

  async isInForce(): Promise<boolean> {
    return this.#written === undefined || await read(this.#path) === this.#written;
  }

  async undo(): Promise<boolean> {
    return await this.#attempt("restore", async () => {
      this.#written = undefined;
      const live = await read(this.#path);
      const isOurs = hasMarker(live);
      const hasBackup = await exists(this.#backup);
      if (isOurs && !hasBackup) {
        throw new Fault("dns", `Cannot restore ${this.#path}: the backup ${this.#backup} is gone`, {
          next: `Write ${this.#path} anew, with the resolvers of your network.`,
        });
      }
      const isTouched = hasBackup && (isOurs || isTorn(live, await read(this.#backup)));
      if (isTouched) await this.#restore();
      if (hasBackup) await Deno.remove(this.#backup);
      this.#journal.forget(`file:${this.#path}`);
      return isTouched;
    });
  }

  /** The text that was there before ours. */
  async #original(): Promise<string> {
    const live = await read(this.#path);
    return hasMarker(live) ? await read(this.#backup) : live;
  }

  async #save(): Promise<void> {
    const target = await linkTarget(this.#path);
    if (target === undefined) {
      const text = await read(this.#path);
      await replace(this.#backup, (temporary) => Deno.writeTextFile(temporary, text, { mode: 0o644 }));
    } else {
      await replace(this.#backup, (temporary) => Deno.symlink(target, temporary));
    }
  }

  async #note(): Promise<void> {
    const shared = { id: `file:${this.#path}`, type: "file", path: this.#path } as const;
    const target = await linkTarget(this.#path);
    if (target !== undefined) {
      return this.#journal.note({ ...shared, original: { type: "link", target }, isInPlace: false });
    }
    if (!await exists(this.#path)) {
      return this.#journal.note({ ...shared, original: undefined, isInPlace: true });
    }
    const { mode, uid, gid } = await Deno.stat(this.#path);
    const original = {
      type: "file",
      content: toBase64(await Deno.readFile(this.#path)),
      mode: (mode ?? 0o644) & 0o7777,
      uid: uid ?? 0,
      gid: gid ?? 0,
    } as const;
    this.#journal.note({ ...shared, original, isInPlace: true });
  }

  async #restore(): Promise<void> {
    const target = await linkTarget(this.#backup);
    if (target === undefined) await writeInPlace(this.#path, await read(this.#backup));
    else await replace(this.#path, (temporary) => Deno.symlink(target, temporary));
  }

  async #attempt<T>(verb: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      const isForbidden = cause instanceof Deno.errors.PermissionDenied ||
        cause instanceof Deno.errors.NotCapable;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `Cannot ${verb} ${this.#path}: ${reason}`;
      if (isForbidden && Deno.uid() !== 0) {
        const next = "Run as root, or leave DNS alone with --dns-control disabled.";
        throw new Fault("privilege", message, { cause, next });
      }
      // What root may not write is immutable, or mounted read-only.
      const next =
        `Make it writable (see "lsattr ${this.#path}" and "findmnt -T ${this.#path}"), or leave DNS alone ` +
        "with --dns-control disabled.";
      throw new Fault("dns", message, { cause, next });
    }
  }
}

/** Returns whether a power cut may have left `live` while `original` was being written back, or we were writing. */
function isTorn(live: string, original: string): boolean {
  return live === "" ||
    (live.length > original.length && live.startsWith(original) && live.includes(CRASH_HINT));
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function linkTarget(path: string): Promise<string | undefined> {
  return await Deno.readLink(path).catch(() => undefined);
}

/** Keeps the inode. The marker is the first thing on disk, and the file is never empty in between. */
async function writeInPlace(path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  using file = await Deno.open(path, { write: true, create: true, mode: 0o644 });
  let written = 0;
  while (written < bytes.length) written += await file.write(bytes.subarray(written));
  await file.truncate(bytes.length);
  await file.sync();
}

/** Makes a new file by `make` and moves it over `path` at once. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.fz-${Deno.pid}`;
  await Deno.remove(temporary).catch(() => {});
  await make(temporary);
  await Deno.rename(temporary, path);
}
