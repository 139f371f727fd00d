/** The version of this program. */
export const VERSION = "0.1.0";

/** The day of this version, for the manual. */
export const VERSION_DATE = "2026-11-22";
