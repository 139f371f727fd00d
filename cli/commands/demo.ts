/** `fz demo`: a whole network in namespaces, and one request through its tunnel. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import type { DemoReport, DemoStep } from "../../lib/control/config.ts";
import { defineCommand } from "../command.ts";
import type { CliContext, SignalName } from "../context.ts";
import { EXIT_OK, exitCodeOfSignal } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { describeError, painter, printJson } from "../output.ts";

const EXIT_FAILED = 1;

export const demoCommand = defineCommand({
  name: "demo",
  brief: message`See it work: a network in namespaces, and a request through its tunnel.`,
  description:
    message`Starts a portal, a relay, a gateway, a web server and a client, each on a host of its own made of \
network namespaces, resolves the web server's name, fetches a page through the tunnel and tells what happened. Leaves \
nothing behind. Works as root, and as an ordinary user where the kernel lets users make namespaces.`,
  options: () =>
    object({
      json: plainFlag(["--json"], { description: message`Print one JSON document when it is over.` }),
      keep: plainFlag(["--keep"], {
        description: message`Leave everything running until Ctrl+C, to play with.`,
      }),
      path: map(
        plainFlag(["--relayed"], {
          description: message`Block UDP between client and gateway: only the relay is left.`,
        }),
        (relayed) => relayed ? "relayed" as const : "direct" as const,
      ),
    }),
  async run({ json, keep, path }, context) {
    const flags = [json && "--json", keep && "--keep", path === "relayed" && "--relayed"];
    const code = await isolate(["demo", ...flags.filter((flag) => flag !== false)], json, context);
    if (code !== undefined) return code;
    const interrupted = new AbortController();
    let first: SignalName | undefined;
    const unlisten = context.signals.listen(["SIGINT", "SIGTERM", "SIGHUP"], (name) => {
      if (first !== undefined) context.signals.exit(exitCodeOfSignal(name));
      first = name;
      interrupted.abort();
    });
    try {
      const report = await context.host.runDemo({ keep, path }, {
        signal: interrupted.signal,
        step: (step) => json || printStep(context, step),
        kept: (commands) => waitForEnd(context, commands, interrupted.signal),
      });
      if (json) printJson(context, { ...report });
      else printResult(context, report);
      if (report.ok) return EXIT_OK;
      return first === undefined ? EXIT_FAILED : exitCodeOfSignal(first);
    } finally {
      unlisten();
    }
  },
});

/** A demo that cannot even begin still answers with a document where one was asked for. */
async function isolate(
  args: readonly string[],
  json: boolean,
  context: CliContext,
): Promise<number | undefined> {
  try {
    return await context.host.isolate(args);
  } catch (error) {
    if (json) printJson(context, { ok: false, steps: [], error: describeError(error) });
    throw error;
  }
}

function printStep(context: CliContext, step: DemoStep): void {
  const paint = painter(context.stdout, context.env);
  const time = `${Math.round(step.ms)} ms`.padStart(8);
  context.stdout.write(`${paint("dim", time)}  ${step.name.padEnd(16)}  ${paint("bold", step.detail)}\n`);
}

function printResult(context: CliContext, report: DemoReport): void {
  const paint = painter(context.stdout, context.env);
  if (!report.ok) {
    context.stderr.write(`fz: ${report.error ?? "The demo failed"}\n`);
    return;
  }
  const total = report.steps.reduce((sum, step) => sum + step.ms, 0);
  const done = `It works: ${report.http?.bytes ?? 0} bytes through the tunnel, ${
    (total / 1000).toFixed(1)
  } s in all.`;
  context.stdout.write(`\n${paint("green", done)}\n`);
}

async function waitForEnd(
  context: CliContext,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  context.stderr.write("\nEverything goes on running. Try in another terminal:\n\n");
  for (const command of commands) context.stderr.write(`  ${command}\n`);
  context.stderr.write("\nCtrl+C ends it.\n");
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
