/** Durations on the command line. */

export { parseDuration } from "../lib/control/duration.ts";
