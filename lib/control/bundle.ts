/** What `fz bundle` is asked for, and what it tells about the archive it wrote. */

import type { Duration } from "../base/time.ts";

/** What goes into an archive. */
export interface BundleRequest {
  /** Undefined: a name with the time in it, in the current folder. */
  readonly path: string | undefined;
  readonly overwrite: boolean;
  /** How many of the last records of the log. */
  readonly logRecords: number;
  /** How long events are recorded for. */
  readonly duration: Duration;
  /** Whether names, addresses and the like are replaced; secrets always are. */
  readonly redact: boolean;
  /** Where the credential is kept: read only to be recognised, and who is signed in with it. */
  readonly tokenPath: string | undefined;
  /** What the command knows: settings, findings. */
  readonly documents: readonly BundleDocument[];
}

/** A JSON document of an archive, or why it is not there. */
export type BundleDocument =
  | { readonly type: "document"; readonly name: string; readonly value: unknown }
  | { readonly type: "missing"; readonly name: string; readonly reason: string };

/** What became of it. */
export interface BundleReport {
  readonly path: string;
  /** Of the archive, in bytes. */
  readonly size: number;
  readonly files: readonly { readonly name: string; readonly size: number }[];
  /** How many different things of a kind were replaced. */
  readonly replaced: Readonly<Record<string, number>>;
  /** What could not be had, and why. */
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}
