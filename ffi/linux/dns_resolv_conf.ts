/**
 * DNS by /etc/resolv.conf, for containers and small systems. What was there is noted in the journal and kept in a copy
 * beside the file, both only while our file is in place, and put back only over our own: what somebody else wrote meanwhile
 * is newer and stays. A regular file is written in place (container engines mount it, and it keeps its label and owner); a
 * symbolic link is replaced itself and put back as a link.
 */

import { fromBase64 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { DnsControl, Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import {
  capture,
  type FileChange,
  folderOf,
  idOf,
  isMounted,
  isPlain,
  look,
  read,
  removeDraft,
  saveCopy,
  watchFile,
  write,
} from "./file_change.ts";
import { backupOf, hadNoOriginal, hasMarker, parseResolvConf, renderResolvConf } from "./resolv_conf.ts";
import { withScopes } from "./scope.ts";
import { undoFile } from "./undo_file.ts";
import { assertSmall, UnfitFile } from "./small_file.ts";
import { isImmutable, isWritable } from "./writable.ts";

/** "disabled" reads the machine's resolvers, and changes nothing but leftovers of a killed process. */
export class ResolvConfDns implements SystemDns {
  readonly control: DnsControl;
  readonly #path: string;
  readonly #backup: string;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  /** What this process wrote over. */
  #change: FileChange | undefined;
  #written: string | undefined;

  constructor({ control, isSentinel, journal, resolvConfPath = RESOLV_CONF, backupPath }: SystemDnsOptions) {
    this.control = control;
    this.#path = resolvConfPath;
    this.#backup = backupPath ?? backupOf(resolvConfPath);
    this.#isSentinel = isSentinel;
    this.#journal = journal ?? NO_JOURNAL;
  }

  // deno-lint-ignore require-await
  async check(): Promise<void> {
    if (this.control === "disabled") return;
    this.#attempt("use", () => read(this.#path));
    const { isSymlink, exists } = look(this.#path);
    const canReplace = isWritable(folderOf(this.#path));
    // Whoever may write the folder may not replace it either.
    if (exists && !isSymlink && isImmutable(this.#path)) {
      throw this.#fault("write", "operation not permitted: the file is immutable", false);
    }
    if (
      exists && !isSymlink ? isWritable(this.#path) || (canReplace && !isMounted(this.#path)) : canReplace
    ) return;
    throw this.#fault(
      "write",
      "it is not permitted, or the file or its folder is read-only",
      Deno.uid() !== 0,
    );
  }

  // deno-lint-ignore require-await
  async upstreams(): Promise<Resolver[]> {
    const named = this.#resolversIn(quietly(() => this.#original()) ?? "");
    // Those are systemd-resolved itself, whose own questions would go into the tunnel.
    const isStub = named.length > 0 && named.every(({ address }) => STUBS.includes(String(address)));
    const behind = isStub ? this.#resolversIn(quietly(() => read(UPLINKS)) ?? "") : [];
    return withScopes(behind.length > 0 ? behind : named);
  }

  async set(sentinels: readonly IpAddress[], searchDomain: string | undefined): Promise<void> {
    if (this.control === "disabled") return;
    if (sentinels.length === 0) return void await this.undo();
    this.#attempt("write", () => {
      const live = read(this.#path);
      const original = parseResolvConf(this.#original());
      const change = hasMarker(live) ? undefined : capture(this.#path);
      let kept: string | "none" | undefined;
      if (change === undefined) {
        kept = hadNoOriginal(live) ? "none" : look(this.#backup).exists ? this.#backup : undefined;
      } else kept = this.#keep(change);
      const text = renderResolvConf({ original, sentinels, searchDomain, kept });
      assertSmall(text);
      if (text !== live) write(this.#path, text, change?.isInPlace ?? isPlain(this.#path));
      this.#written = text;
    });
  }

  async flush(): Promise<void> {}

  // deno-lint-ignore require-await
  async isInForce(): Promise<boolean> {
    return this.#written === undefined || quietly(() => read(this.#path)) === this.#written;
  }

  watch(onChange: () => void): { close(): void } {
    return watchFile(this.#path, onChange);
  }

  // deno-lint-ignore require-await
  async undo(): Promise<boolean> {
    return this.#attempt("restore", () => {
      this.#written = undefined;
      const live = liveText(this.#path);
      const change = this.#changeOf(live);
      if (change === undefined && hasMarker(live)) {
        throw new Fault("dns", `Cannot restore ${this.#path}: the backup ${this.#backup} is gone`, {
          next: `Write ${this.#path} anew, with the resolvers of your network.`,
        });
      }
      const isTouched = change !== undefined && undoFile(change);
      for (const path of [this.#path, this.#backup]) removeDraft(path);
      if (look(this.#backup).exists) Deno.removeSync(this.#backup);
      this.#journal.forget(idOf(this.#path));
      this.#change = undefined;
      return isTouched;
    });
  }

  /** Notes what is about to be written over; returns where a person finds it. Throws if nobody keeps it. */
  #keep(change: FileChange): string | "none" | undefined {
    this.#journal.note(change);
    this.#change = change;
    try {
      if (change.original === undefined) {
        if (look(this.#backup).exists) Deno.removeSync(this.#backup);
        return "none";
      }
      saveCopy(this.#backup, change.original);
      return this.#backup;
    } catch (error) {
      // The journal has it, and a folder that cannot be written is common in containers.
      if (this.#journal === NO_JOURNAL) throw error;
      return undefined;
    }
  }

  /** Returns what was there before ours: as this process knows it, or as the copy of a killed one has it. */
  #changeOf(live: string): FileChange | undefined {
    if (this.#change !== undefined) return this.#change;
    const isInPlace = isPlain(this.#path);
    const base = { id: idOf(this.#path), type: "file", path: this.#path, isInPlace } as const;
    if (look(this.#backup).exists) return { ...base, original: capture(this.#backup).original };
    return hadNoOriginal(live) ? { ...base, original: undefined } : undefined;
  }

  /** The text that was there before ours, as it is at this moment where ours replaced a link. */
  #original(): string {
    const live = read(this.#path);
    if (!hasMarker(live)) return live;
    const { original } = this.#changeOf(live) ?? {};
    switch (original?.type) {
      case undefined:
        return "";
      case "link":
        return read(
          original.target.startsWith("/") ? original.target : `${folderOf(this.#path)}/${original.target}`,
        );
      case "file":
        return new TextDecoder().decode(fromBase64(original.content));
    }
  }

  #resolversIn(text: string) {
    return parseResolvConf(text).nameservers
      .filter(({ address }) => !this.#isSentinel(address) && !address.isUnspecified);
  }

  #attempt<T>(verb: string, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof Fault) throw cause;
      const isForbidden = cause instanceof Deno.errors.PermissionDenied ||
        cause instanceof Deno.errors.NotCapable;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw this.#fault(verb, reason, isForbidden && Deno.uid() !== 0, cause);
    }
  }

  #fault(verb: string, reason: string, isForbidden: boolean, cause?: unknown): Fault {
    const message = `Cannot ${verb} ${this.#path}: ${reason}`;
    if (isForbidden) {
      const next = "Run as root, or leave DNS alone with --dns-control disabled.";
      return new Fault("privilege", message, { cause, next });
    }
    if (cause instanceof UnfitFile) {
      const next =
        `Put a text file there (see "ls -lL ${this.#path}"), or leave DNS alone with --dns-control disabled.`;
      return new Fault("dns", message, { cause, next });
    }
    // What root may not write is immutable, or mounted read-only.
    const next =
      `Make it writable (see "lsattr ${this.#path}" and "findmnt -T ${this.#path}"), or leave DNS alone ` +
      "with --dns-control disabled.";
    return new Fault("dns", message, { cause, next });
  }
}

/**
 * Returns what is wrong if /etc/resolv.conf is of a session that was killed, and nothing tells what was there before:
 * neither the file, nor its backup, nor the journal, which `isNoted` asks for a change by its id. Only looks.
 */
export function lostOriginal(isNoted: (id: string) => boolean): string | undefined {
  const live = quietly(() => read(RESOLV_CONF)) ?? "";
  if (!hasMarker(live) || hadNoOriginal(live)) return undefined;
  const backup = backupOf(RESOLV_CONF);
  if (look(backup).exists || isNoted(idOf(RESOLV_CONF))) return undefined;
  return `${RESOLV_CONF} is a session's that is gone, and so is the backup ${backup}: write it anew, with the ` +
    "resolvers of your network";
}

/** What cannot be ours, and is not to be read, is nothing to be put back over. */
function liveText(path: string): string {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof UnfitFile) return "";
    throw error;
  }
}

function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const RESOLV_CONF = "/etc/resolv.conf";
/** Where systemd-resolved names the servers that it asks itself (systemd-resolved.service(8)). */
const UPLINKS = "/run/systemd/resolve/resolv.conf";
const STUBS = ["127.0.0.53", "127.0.0.54"];
