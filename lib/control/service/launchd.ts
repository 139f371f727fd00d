/** The property list of launchd (launchd.plist(5)). Its text is tested; it has never run on a Mac. */

import { LAUNCHD_LABEL, type ServiceOptions, sessionArguments } from "./service.ts";

/** Where an administrator's daemons are. */
export const PLIST_FILE = `/Library/LaunchDaemons/${LAUNCHD_LABEL}.plist`;

/** Returns the text of the property list. */
export function launchdPlist(options: ServiceOptions): string {
  const words = [...options.program, ...sessionArguments(options)]
    .map((word) => `    <string>${escaped(word)}</string>`);
  const variables = Object.entries({ FIREZONE_TOKEN_PATH: options.tokenFile, ...options.environment })
    .map(([name, value]) => `    <key>${escaped(name)}</key>\n    <string>${escaped(value)}</string>`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Made by "fz service install"; "fz service uninstall" removes it. -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LAUNCHD_LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words.join("\n")}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${variables.join("\n")}
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <!-- "fz down" ends with success and stays down; what fails comes back. -->
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>ExitTimeOut</key>
  <integer>15</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>StandardErrorPath</key>
  <string>/Library/Logs/fz.log</string>
</dict>
</plist>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
