/** A program in a real terminal, made and looked at by tmux. */

import assert from "node:assert/strict";

/** How long something may take to show. */
const LIMIT_MS = 90_000;

/** How a terminal is made. */
export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Command that runs another one where the terminal shall be: in the namespaces of a host. */
  readonly enter?: readonly string[];
}

export class Terminal {
  readonly #folder: string;
  readonly #socket: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#socket = `${folder}/tmux`;
  }

  /** Runs the `script` of a shell in a terminal of this size. It stays when the script has ended. */
  static async start(
    script: string,
    { columns = 80, rows = 50, env = {}, enter = [] }: TerminalOptions = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(await Deno.makeTempDir({ prefix: "fz-tmux-" }));
    const path = `${terminal.#folder}/script`;
    // Ctrl+C is for the program, not for the shell that waits for it.
    await Deno.writeTextFile(path, `trap : INT\n${script}\nsleep 1000\n`);
    await terminal.#run([
      ...enter,
      ...terminal.#command,
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-x",
      String(columns),
      "-y",
      String(rows),
      `sh ${path}`,
    ], env);
    return terminal;
  }

  /** Presses keys, by their names at tmux: "Enter", "C-c". */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#tmux(["send-keys", ...keys]);
  }

  /** Pastes as a terminal does: with marks where the program wants them. */
  async paste(text: string): Promise<void> {
    const path = `${this.#folder}/paste`;
    await Deno.writeTextFile(path, text);
    await this.#tmux(["load-buffer", path]);
    await this.#tmux(["paste-buffer", "-p", "-r"]);
  }

  /** Gives the terminal another size. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux(["resize-window", "-x", String(columns), "-y", String(rows)]);
  }

  /** Returns what is on the screen and what has left it at the top. */
  async screen(): Promise<string> {
    return await this.#capture(["-S", "-"]);
  }

  /** The same with colours. */
  async colouredScreen(): Promise<string> {
    return await this.#capture(["-S", "-", "-e"]);
  }

  /** The same with the lines that were written: one that the terminal had to break is whole. */
  async writtenScreen(): Promise<string> {
    return (await this.#capture(["-S", "-", "-J"])).replace(/ +$/gm, "");
  }

  /** Returns whether the cursor is visible, and whether the other screen is shown. */
  async mode(): Promise<{ readonly hasCursor: boolean; readonly isOther: boolean }> {
    const text = await this.#tmux(["display-message", "-p", "#{cursor_flag} #{alternate_on}"]);
    const [cursor, other] = text.trim().split(" ");
    return { hasCursor: cursor === "1", isOther: other === "1" };
  }

  /** Waits until the screen shows `pattern`, and returns it. */
  async shows(pattern: RegExp): Promise<string> {
    const deadline = performance.now() + LIMIT_MS;
    for (;;) {
      const screen = await this.screen();
      if (pattern.test(screen)) return screen;
      assert.ok(performance.now() < deadline, `never showed ${pattern}:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux(["kill-server"]);
    await Deno.remove(this.#folder, { recursive: true });
  }

  get #command(): readonly string[] {
    return ["tmux", "-S", this.#socket];
  }

  async #capture(flags: readonly string[]): Promise<string> {
    return (await this.#tmux(["capture-pane", "-p", ...flags])).replace(/\n+$/, "\n");
  }

  async #tmux(args: readonly string[]): Promise<string> {
    return await this.#run([...this.#command, ...args]);
  }

  async #run(
    [program, ...args]: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const command = new Deno.Command(program!, {
      args,
      env: { LC_ALL: "C.UTF-8", ...env },
      stdin: "null",
    });
    const { success, stdout, stderr } = await command.output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }
}
