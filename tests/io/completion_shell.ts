/** A real shell on a pseudo-terminal, in which a test types command lines with Tab, and sees what the shell made of them. */

import type { AnswerOf } from "../../lib/control/api.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const COMPLETIONS = new URL("../../completions/", import.meta.url).pathname;

export type ShellName = "bash" | "zsh" | "fish";

/** How each shell is started without anyone's settings, and what loads the completions. */
const SHELLS: Readonly<Record<ShellName, { readonly command: string; readonly setup: string }>> = {
  bash: { command: "bash --norc --noprofile -i", setup: `. ${COMPLETIONS}fz.bash` },
  zsh: {
    command: "zsh -f -i",
    setup: `fpath=(${COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep`,
  },
  fish: { command: "fish --no-config -i", setup: `source ${COMPLETIONS}fz.fish` },
};

/** Bounds what hangs. */
const LIMIT_MS = 90_000;
/** Longer than a completion takes at most. */
const LINE_LIMIT_MS = 15_000;

/** The answer of a session that has resources of these names. */
export function named(names: readonly string[]): AnswerOf<"resources"> {
  return {
    schema: 1,
    resources: names.map((name, index) => ({
      id: `r${index}`,
      type: "dns",
      name,
      address: `${name}.example`,
      filters: [],
      sites: [],
      state: "online",
      enabled: true,
      access: "none",
    })),
  };
}

/** A shell that waits for command lines. */
export interface DrivenShell {
  /** Types `line` and Enter, and returns the arguments that `fz` got; none if it was not run. */
  type(line: string): Promise<readonly string[]>;
}

/** Runs `test` with a shell in which `fz` completes as ours does, and writes its arguments down otherwise. */
export async function withShell(
  name: ShellName,
  env: Readonly<Record<string, string>>,
  test: (shell: DrivenShell) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fz-shell-" });
  const said = `${folder}/said`;
  await Deno.writeTextFile(said, "");
  await Deno.writeTextFile(`${folder}/fz`, stub(said));
  await Deno.chmod(`${folder}/fz`, 0o755);
  await Deno.writeTextFile(`${folder}/my file.json`, "");
  const { command, setup } = SHELLS[name];
  const child = new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", command, "/dev/null"],
    cwd: folder,
    env: {
      ...env,
      PATH: `${folder}:${Deno.env.get("PATH")}`,
      HOME: folder,
      LC_ALL: "C.UTF-8",
      TERM: "dumb",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  let screen = "";
  const watching = (async () => {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) screen += part;
  })();
  const write = (text: string) => writer.write(new TextEncoder().encode(text));
  let words = 0;
  let count = 0;
  const next = async (limitMs: number) => {
    const deadline = Date.now() + limitMs;
    while (Date.now() < deadline) {
      const calls = (await Deno.readTextFile(said)).split("\x01\n");
      if (calls.length - 1 > count) return calls[count++]!.split("\0").slice(0, -1);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return undefined;
  };
  /** Runs a command that nothing completes, and passes over all that came before it. */
  const settle = async () => {
    const word = `ready-${++words}`;
    await write(`fz ${word}\r`);
    for (let call = await next(LIMIT_MS); call?.[0] !== word; call = await next(LIMIT_MS)) {
      if (call === undefined) throw new Error(`${name} does nothing any more:\n${screen.slice(-2000)}`);
    }
  };
  const type = async (line: string) => {
    await write(`${line}\r`);
    const call = await next(LINE_LIMIT_MS);
    if (call !== undefined) return call;
    // The quote of a word that was not completed in time is still open.
    await write("\x03");
    await settle();
    return [];
  };
  try {
    await write(`${setup}\r`);
    await settle();
    await test({ type });
    // What names may hold must never run.
    const left = [...Deno.readDirSync(folder)].map((entry) => entry.name);
    if (left.includes("pwned")) throw new Error(`${name} ran a name as a command`);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.status;
    await writer.close().catch(() => {});
    await watching;
    await Deno.remove(folder, { recursive: true });
  }
}

/** Arguments end in NUL, calls in a line with ^A. */
function stub(said: string): string {
  return `#!/bin/sh
if [ "$1" = completions ]; then
  exec '${Deno.execPath()}' run --quiet -A --frozen --config '${CONFIG}' '${MAIN}' "$@"
fi
{ [ $# = 0 ] || printf '%s\\0' "$@"; printf '\\001\\n'; } >> '${said}'
`;
}
