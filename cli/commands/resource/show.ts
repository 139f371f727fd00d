/** `fz resource show`: everything about one resource. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { Fault } from "../../../lib/base/fault.ts";
import type { ResourceDocument } from "../../../lib/control/api.ts";
import { defineCommand } from "../../command.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { printFacts, printJson } from "../../output.ts";
import { resourceFacts } from "../../resource_text.ts";
import { nearest } from "../../../lib/base/nearest.ts";
import { RESOURCE } from "../../values.ts";

export const showCommand = defineCommand({
  name: "show",
  brief: message`Show everything about a resource.`,
  description: message`Shows what a resource is, what it allows, and how it is reached at the moment.`,
  options: () =>
    object({
      resource: argument(RESOURCE, { description: message`Its name, address or id.` }),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ resource: text, json }, context) {
    const control = await context.host.control("read");
    const { resources, gateways } = await control.ask("status", {});
    const resource = find(text, resources);
    const gateway = gateways.find(({ id }) => id === resource.gatewayId);
    if (json) printJson(context, { resource, ...(gateway === undefined ? {} : { gateway }) });
    else printFacts(context, resourceFacts(resource, gateway));
    return EXIT_OK;
  },
});

function find(text: string, resources: readonly ResourceDocument[]): ResourceDocument {
  const lower = text.toLowerCase();
  const found = resources.find(({ id }) => id === text) ??
    resources.find(({ name }) => name === text) ??
    resources.find(({ name, address }) => name.toLowerCase() === lower || address === lower);
  if (found !== undefined) return found;
  const similar = nearest(text, resources.map(({ name }) => name));
  throw new Fault("unknown-resource", `Cannot show resource "${text}": there is none of that name`, {
    next: similar === undefined ? "See `fz resource list`." : `Did you mean "${similar}"?`,
  });
}
