/** Quantities as people read them: bytes, spans of time, how long ago. JSON documents carry the numbers themselves. */

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Returns "0 B", "1.5 KiB", "312 MiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded up to 1024 of a unit is one of the next.
  while (value >= 1023.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value < 9.95 ? value.toFixed(1) : Math.round(value)} ${BYTE_UNITS[unit]}`;
}

/** Returns a time that was measured: "0.4 ms", "12 ms", "1.5 s". */
export function formatMs(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const SPAN_UNITS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]] as const;

/** Returns a span in its two largest units: "45 s", "3 min 12 s", "2 h", "5 d 4 h". */
export function formatSpan(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const first = SPAN_UNITS.findIndex(([, size]) => total >= size);
  if (first < 0) return "0 s";
  let left = total;
  const parts: string[] = [];
  for (const [unit, size] of SPAN_UNITS.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left %= size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(" ");
}

/** Returns how long ago something was: "just now", "12 s ago". */
export function formatAgo(ms: number): string {
  return ms < 1000 ? "just now" : `${formatSpan(ms)} ago`;
}

/** Returns `text` with a capital at its beginning. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Returns "1 resource", "3 resources". */
export function formatCount(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** Returns the milliseconds since `time` (RFC 3339), undefined if that is none. */
export function msSince(time: string, nowMs: number): number | undefined {
  const then = Date.parse(time);
  return Number.isNaN(then) ? undefined : Math.max(0, nowMs - then);
}
