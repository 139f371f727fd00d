/** Opens libraries that a machine may have, where each system has them. */

/** How a library is called on each system, best first. */
export interface LibraryNames {
  /** Found by the dynamic linker in the system's own folders. */
  readonly linux: readonly string[];
  /** File names in the folders of package managers: macOS' own copies are not for programs. */
  readonly darwin: readonly string[];
}

/** What is looked at of a file; tests bring their own. */
export interface FileTrust {
  readonly realPath: (path: string) => string;
  readonly stat: (path: string) => { readonly uid: number | null; readonly mode: number | null };
}

/** Where Homebrew (arm64, x86-64) and MacPorts keep libraries. */
const DARWIN_FOLDERS = [
  "/opt/homebrew/lib",
  "/opt/homebrew/opt/openssl@3/lib",
  "/usr/local/lib",
  "/opt/local/lib",
];

/** Returns the first library of `names` that opens. Throws what the last one threw. */
export function openLibrary<S extends Deno.ForeignLibraryInterface>(
  names: LibraryNames,
  symbols: S,
): Deno.DynamicLibrary<S> {
  let failure: unknown = new Error("there is no such library on this system");
  for (const path of candidates(names, Deno.build.os, Deno.uid())) {
    try {
      return Deno.dlopen(path, symbols);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/**
 * Returns what to open on `os` for the user `uid`, best first. Root opens only what root alone can have written: Homebrew's
 * folders belong to an ordinary user, who could become root by them.
 */
export function candidates(
  names: LibraryNames,
  os: string,
  uid: number | null,
  trust: FileTrust = { realPath: Deno.realPathSync, stat: Deno.statSync },
): string[] {
  if (os === "linux") return [...names.linux];
  if (os !== "darwin") return [];
  const paths = DARWIN_FOLDERS.flatMap((folder) => names.darwin.map((name) => `${folder}/${name}`));
  return uid === 0 ? paths.filter((path) => isRootsOnly(path, trust)) : paths;
}

function isRootsOnly(path: string, { realPath, stat }: FileTrust): boolean {
  try {
    // The link and what it leads to.
    return [path, realPath(path)].every((start) => {
      for (let at = start; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
        const { uid, mode } = stat(at);
        if (uid !== 0 || mode === null || (mode & OTHERS_WRITE) !== 0) return false;
      }
      return true;
    });
  } catch {
    return false;
  }
}

const OTHERS_WRITE = 0o022;
