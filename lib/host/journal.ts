/**
 * What a session changed on its machine, or was about to change: enough to put it back after a kill or a power cut.
 * Written before the change, forgotten after it was undone. What the kernel itself drops with our TUN device is not in it.
 */

/** One change. `id` tells it from others of the session; noting it again replaces it. */
export type Change =
  /** Rules and routes that carry our protocol number; found by looking. */
  | { readonly id: "network"; readonly type: "network"; readonly device: string }
  /** A file was written over. */
  | {
    readonly id: `file:${string}`;
    readonly type: "file";
    readonly path: string;
    /** Undefined where there was none. `target` is that of a symbolic link. */
    readonly original:
      | {
        readonly type: "file";
        /** Base64. */
        readonly content: string;
        readonly mode: number;
        readonly uid: number;
        readonly gid: number;
      }
      | { readonly type: "link"; readonly target: string }
      | undefined;
    /** Whether the file kept its inode, as a bind mount demands. */
    readonly isInPlace: boolean;
  }
  /** A record of ours was given to resolvconf(8). */
  | { readonly id: `resolvconf:${string}`; readonly type: "resolvconf"; readonly record: string }
  /** NetworkManager was told about a device. Its settings end with the device. */
  | { readonly id: "network-manager"; readonly type: "network-manager"; readonly device: string }
  /** systemd-resolved was told about a device. Its settings end with the device. */
  | { readonly id: "resolved"; readonly type: "resolved"; readonly device: string }
  /** A setting of the kernel below /proc/sys, or of sysctl(3). */
  | {
    readonly id: `sysctl:${string}`;
    readonly type: "sysctl";
    readonly path: string;
    readonly former: string;
    readonly ours: string;
  }
  /** A key of macOS's dynamic store. */
  | { readonly id: `scutil:${string}`; readonly type: "scutil"; readonly key: string }
  /** Windows' name resolution policy, and the resolvers of our adapter. */
  | { readonly id: "nrpt"; readonly type: "nrpt"; readonly adapter: string }
  /** A route of ours that does not end with our device: macOS, Windows. */
  | {
    readonly id: `route:${string}`;
    readonly type: "route";
    readonly destination: string;
    readonly via: string;
    readonly device: string;
  };

/** Where changes are noted. Both return when the disk has it. */
export interface Journal {
  /** Notes what is about to be changed. Throws a Fault ("privilege", "unexpected") if it cannot: then change nothing. */
  note(change: Change): void;
  /** Forgets what was undone. Never throws. */
  forget(id: Change["id"]): void;
}

/** A journal that keeps nothing, for looks that change nothing and for tests. */
export const NO_JOURNAL: Journal = { note() {}, forget() {} };
