/** `fz resource list`: all resources, one a line. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import type { ResourceDocument, StatusDocument } from "../../../lib/control/api.ts";
import { defineCommand } from "../../command.ts";
import type { CliContext } from "../../context.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { painter, printJson } from "../../output.ts";
import { resourceAddress, resourceState } from "../../resource_text.ts";
import { renderTable } from "../../table.ts";

export const listCommand = defineCommand({
  name: "list",
  brief: message`List resources with their addresses, states and sites.`,
  description:
    message`Lists all resources, the Internet resource first, then by name. The state is that of the connection to the \
resource's gateway; nobody knows it of a resource that was not used yet.`,
  options: () =>
    object({
      site: optional(
        option("--site", string({ metavar: "SITE" }), { description: message`Only resources of this site.` }),
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ site, json }, context) {
    const control = await context.host.control("read");
    const status = await control.ask("status", {});
    const resources = status.resources.filter(({ sites }) =>
      site === undefined || sites.some(({ id, name }) => name === site || id === site)
    );
    if (json) printJson(context, { resources });
    else printList(resources, status, context);
    return EXIT_OK;
  },
});

function printList(
  resources: readonly ResourceDocument[],
  status: StatusDocument,
  context: CliContext,
): void {
  const { stdout, stderr, env } = context;
  if (resources.length === 0) {
    const why = status.state === "signed-out"
      ? "nobody is signed in"
      : status.resources.length > 0
      ? "none is of that site"
      : status.state === "connecting"
      ? "the session is still connecting"
      : "policy lets this device reach nothing";
    stderr.write(`fz: No resources: ${why}\n`);
    return;
  }
  const paint = painter(stdout, env);
  const states = resources.map((resource) =>
    resourceState(resource, status.gateways.find(({ id }) => id === resource.gatewayId))
  );
  const lines = renderTable(
    [
      { title: "NAME", isFlexible: true },
      { title: "ADDRESS", isFlexible: true },
      { title: "STATE", paint: (text, row) => paint(states[row]!.style, text) },
      { title: "SITE", isFlexible: true },
    ],
    resources.map((resource, row) => [
      resource.name,
      resourceAddress(resource),
      states[row]!.text,
      resource.sites.map(({ name }) => name).join(", "),
    ]),
    { width: stdout.columns },
  );
  stdout.write(lines.map((line) => `${line}\n`).join(""));
}
