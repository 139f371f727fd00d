/** Values that complete from the running session: names of resources, profiles, log levels, interfaces. */

import type { ValueParser } from "@optique/core/valueparser";
import { string } from "@optique/core/valueparser";

/** A resource: its name, its address or its id. */
export const RESOURCE: ValueParser<"sync", string> = string({ metavar: "RESOURCE" });

/** The name of a profile. */
export const PROFILE: ValueParser<"sync", string> = string({ metavar: "PROFILE" });

/** How much to log: a level, or a list such as "info,ice=trace". */
export const LEVEL: ValueParser<"sync", string> = string({ metavar: "LEVEL" });

/** The name of a network interface. */
export const INTERFACE: ValueParser<"sync", string> = string({ metavar: "INTERFACE" });
