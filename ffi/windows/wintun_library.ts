/** Where Wintun's library is looked for: it comes neither with Windows nor with us. Pure. */

import { Fault } from "../../lib/base/fault.ts";

/** What tells where to look. */
export interface LibraryContext {
  readonly env: (name: string) => string | undefined;
  /** Path of this program. */
  readonly program: string;
}

/**
 * Returns the paths where the library may be, in order. FZ_WINTUN is the only one where it is given: a file, or a folder.
 * Never the current folder, nor those of PATH: whoever may write there would run as administrator.
 */
export function wintunPaths({ env, program }: LibraryContext): string[] {
  const given = env("FZ_WINTUN");
  if (given !== undefined && given !== "") {
    return [/\.dll$/i.test(given) ? given : `${given.replace(/[\\/]+$/, "")}\\wintun.dll`];
  }
  const folder = program.replace(/[\\/][^\\/]*$/, "");
  const system = env("SystemRoot") ?? "C:\\Windows";
  return [`${folder}\\wintun.dll`, `${system}\\System32\\wintun.dll`];
}

/** Returns the Fault ("tun") for a machine without it. */
export function noWintun(paths: readonly string[]): Fault {
  const places = paths.map((path) => `"${path}"`).join(" or ");
  return new Fault("tun", `Cannot make a TUN device: there is no Wintun at ${places}`, {
    next:
      "Get it from https://www.wintun.net (folder amd64 or arm64) and put wintun.dll beside fz, or name it in FZ_WINTUN.",
  });
}
