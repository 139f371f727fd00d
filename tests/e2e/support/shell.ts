/** A person's shell at a real terminal on the client's host: what a command shows, how it ends, and what it leaves. */

import assert from "node:assert/strict";
import { Terminal, type TerminalOptions } from "../../io/terminal.ts";
import type { Network } from "./network.ts";

/**
 * `fz` is the program; `attempt` runs the command of a number on an empty screen and tells its exit code, and whether
 * the settings of the terminal are as before.
 */
const FUNCTIONS = `
attempt() {
  local number=$1 before=$(stty -g)
  shift
  printf '\\033[H\\033[2J\\033[3Jattempt %s\\n' "$number"
  eval "$*"
  local code=$?
  [ "$before" = "$(stty -g)" ] || code="$code spoiled"
  echo "ended $number: $code"
}
PS1='$ '
unset NO_COLOR FORCE_COLOR
`;
const RC = "/run/fz-shell";

/** How a command ended, and what it had written by then. */
export interface Shown {
  readonly code: number;
  readonly screen: string;
}

export class Shell {
  readonly terminal: Terminal;
  #number = 0;

  private constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  /** Starts a shell on the client's host. */
  static async start(network: Network, options: Omit<TerminalOptions, "enter"> = {}): Promise<Shell> {
    const { client } = network;
    const fz = network.command([]).map((word) => `'${word}'`).join(" ");
    await client.writeFile(RC, `fz() { ${fz} "$@"; }\n${FUNCTIONS}`);
    const shell = new Shell(
      await Terminal.start(`exec bash --noprofile --rcfile ${RC} -i`, {
        ...options,
        env: {
          FIREZONE_API_URL: network.portalUrl,
          FIREZONE_NAME: "client",
          FIREZONE_DNS_CONTROL: "etc-resolv-conf",
          DENO_NO_UPDATE_CHECK: "1",
          ...options.env,
        },
        enter: ["nsenter", "-t", String(client.pid), "-m", "-n", "-u", "--"],
      }),
    );
    await shell.terminal.shows(/^\$/m);
    return shell;
  }

  /** Types `command` and Enter. */
  async begin(command: string): Promise<void> {
    const number = ++this.#number;
    await this.terminal.press("-l", `attempt ${number} '${command}'`);
    await this.terminal.press("Enter");
    // From here on nothing of the last one is to be seen.
    await this.terminal.shows(new RegExp(`^attempt ${number}$`, "m"));
  }

  /** Waits until the command has ended; returns what it wrote. The terminal has to be as it was. */
  async end(): Promise<Shown> {
    const end = new RegExp(`^ended ${this.#number}: (\\d+)( spoiled)?$`, "m");
    await this.terminal.shows(end);
    const all = await this.terminal.writtenScreen();
    const [line, code, isSpoiled] = end.exec(all)!;
    assert.equal(isSpoiled, undefined, `stty was not restored:\n${all}`);
    assert.deepEqual(await this.terminal.mode(), { hasCursor: true, isOther: false }, all);
    return { code: Number(code), screen: all.slice(all.indexOf("\n") + 1, all.indexOf(line)) };
  }

  /** Runs `command` to its end. */
  async run(command: string): Promise<Shown> {
    await this.begin(command);
    return await this.end();
  }

  /** Presses Ctrl+C once the screen shows `pattern`, and waits for the end. */
  async interrupt(command: string, pattern: RegExp): Promise<Shown> {
    await this.begin(command);
    await this.terminal.shows(pattern);
    await this.terminal.press("C-c");
    return await this.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminal[Symbol.asyncDispose]();
  }
}
