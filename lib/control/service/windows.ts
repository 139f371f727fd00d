/** The service of Windows, as commands for sc.exe. Their text is tested; they have never run on Windows. */

import { SERVICE_NAME, type ServiceOptions, sessionArguments } from "./service.ts";

/** Returns the command lines that make the service, in order; each is a list of words for `CreateProcess`. */
export function windowsInstall(options: ServiceOptions): readonly (readonly string[])[] {
  const image = [...options.program, ...sessionArguments(options)].map(quoted).join(" ");
  return [
    [
      "sc.exe",
      "create",
      SERVICE_NAME,
      "type=",
      "own",
      "start=",
      "delayed-auto",
      "binPath=",
      image,
      "DisplayName=",
      "fz",
    ],
    ["sc.exe", "description", SERVICE_NAME, "Client for Firezone: zero-trust network access"],
    // Three tries five seconds apart; what has run for an hour counts from the start again.
    [
      "sc.exe",
      "failure",
      SERVICE_NAME,
      "reset=",
      "3600",
      "actions=",
      "restart/5000/restart/5000/restart/5000",
    ],
    ["sc.exe", "failureflag", SERVICE_NAME, "1"],
    ["sc.exe", "sidtype", SERVICE_NAME, "unrestricted"],
  ];
}

/** Returns the command lines that take the service away. */
export function windowsUninstall(): readonly (readonly string[])[] {
  return [["sc.exe", "delete", SERVICE_NAME]];
}

/** Quotes as CommandLineToArgvW reads: backslashes count only before a quotation mark. */
function quoted(word: string): string {
  if (/^[^\s"]+$/.test(word)) return word;
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`;
}
