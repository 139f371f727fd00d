/** A failure of the world around us that a person should read: what failed, why, and what to do next. */

/** One word for the cause; the command line maps it to an exit code in one table (`cli/exit.ts`). */
export type FaultCode =
  | "usage"
  | "rejected"
  | "expired"
  | "unreachable"
  | "privilege"
  | "tun"
  | "dns"
  | "timeout"
  | "unknown-resource"
  | "offline"
  | "not-running"
  | "unexpected";

export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: FaultCode;
  /** What the user can do about it: one sentence, or undefined where there is nothing to do. */
  readonly next: string | undefined;

  /** `message` names the action and quotes values: `Cannot open TUN device "fz0": it is in use`. */
  constructor(code: FaultCode, message: string, options: { cause?: unknown; next?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.next = options.next;
  }
}
