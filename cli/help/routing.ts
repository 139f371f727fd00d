/** `fz help routing`: what goes into the tunnel, and what passes it by. */

import { Priority, PROTOCOL } from "../../lib/host/route_plan.ts";
import type { Topic } from "./topic.ts";

const FIRST = Math.min(...Object.values(Priority));

export const routingTopic: Topic = {
  name: "routing",
  brief: "What goes into the tunnel, what passes it by, and what the machine's own routes have to say.",
  blocks: [
    "Packets for resources go into the tunnel, everything else goes where it went before. With the Internet resource (fz " +
    "internet on) everything else goes into the tunnel, too. In this order:",
    [
      ["--exclude NETWORK", "passes the tunnel by, whatever resources say: as without fz"],
      ["resources", "go into the tunnel, also where they cover the local network"],
      [
        "--lan allow",
        "local networks and static routes of the machine, of both families, stay as they are; this is the default",
      ],
      ["--lan deny", "they go into the tunnel, too, while the Internet resource is on"],
      [
        "on the link",
        "multicast, broadcast and link-local addresses stay on the local network while --lan is allow; IPv6 multicast always",
      ],
      [
        "servers",
        "TCP servers of this machine answer the way they were asked while --lan is allow: SSH from outside lives on",
      ],
      ["everything else", "goes into the tunnel while the Internet resource is on"],
    ],
    "fz explain ADDRESS tells which of these holds for an address. fz internet on takes --exclude and --lan while the session " +
    "runs, and the next one keeps them; fz config set exclude and fz config set lan are for good.",
    `On Linux these are rules of policy routing (ip rule) of the priorities ${FIRST} to ${Priority.end}, with "proto ` +
    `${PROTOCOL}", and tables of their own; the main table is left alone, and so is the reverse path filter. They go at the end of ` +
    "the session, or by fz cleanup. What this machine cannot do, fz status says under Limited, and fz doctor, too.",
    "While --lan is allow, more specific routes of the machine win, whoever set them: another VPN's, or those of a DHCP server " +
    "that cannot be trusted. In such a network use --lan deny.",
    "When the machine changes its network (Wi-Fi to cable, another address, sleep), paths are looked for again and connections " +
    "through the tunnel live on.",
  ],
};
