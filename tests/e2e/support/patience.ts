/** How long a test waits for what has to come. */

/**
 * Only what hangs takes so long: no test asserts a time, and a machine that runs other things besides may need many times
 * what a quiet one does.
 */
export const PATIENCE_MS = 90_000;
