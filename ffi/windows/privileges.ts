/** What this process may: routes, adapters and the registry of the machine are for elevated tokens. */

import { arena } from "../memory.ts";
import { advapi32, kernel32, readU64, withMemory } from "./symbols.ts";

/** Returns whether this process runs elevated, as administrators' programs and services of the system do. */
export function isElevated(): boolean {
  return withMemory(16, (at, address) => {
    if (advapi32.OpenProcessToken(kernel32.GetCurrentProcess(), TOKEN_QUERY, address) === 0) return false;
    const token = readU64(at);
    const found = advapi32.GetTokenInformation(token, TOKEN_ELEVATION, address, 4, arena.address(at + 8));
    kernel32.CloseHandle(token);
    return found !== 0 && arena.getU32(at) !== 0;
  });
}

const TOKEN_QUERY = 0x8;
/** `TokenElevation` of TOKEN_INFORMATION_CLASS. */
const TOKEN_ELEVATION = 20;
