/** `fz resource`: what policy lets this device reach. */

import { commandLine, lineBreak, message } from "@optique/core/message";
import { defineGroup } from "../../command.ts";
import { listCommand } from "./list.ts";
import { showCommand } from "./show.ts";
import { disableCommand, enableCommand } from "./switch.ts";

export const resourceCommand = defineGroup({
  name: "resource",
  aliases: ["resources"],
  brief: message`List and show resources, and switch them on and off.`,
  description:
    message`Resources are what policy lets this device reach: names, networks, the Internet. Access to one is asked for \
when the first packet for it is sent.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz resource")}${lineBreak()}
  ${commandLine("fz resource show gitlab")}${lineBreak()}
  ${commandLine("fz resource disable lab-network")}`,
  default: listCommand,
  commands: [listCommand, showCommand, enableCommand, disableCommand],
});
