/** `fz help privileges`: what a session needs of the machine's rights. */

import { grantCommand } from "../../lib/host/privilege.ts";
import type { Topic } from "./topic.ts";

export const privilegesTopic: Topic = {
  name: "privileges",
  brief: "What rights a session needs on Linux, and how it gets them without root.",
  blocks: [
    "A session needs the capability CAP_NET_ADMIN and the device /dev/net/tun, for the tunnel, its addresses and its routes. What is " +
    "missing is said before anything is changed, with the command that grants it: fz doctor, fz run --check.",
    [
      ["sudo fz up", "root gives up every other right before it reads the token"],
      [
        "sudo fz service install",
        "the service runs as a user of its own where DNS is set by asking a daemon, as root with this capability elsewhere",
      ],
      [grantCommand({ uid: undefined, gid: undefined }), "a session of your own, with the capability"],
    ],
    "An ordinary user may not write /etc/resolv.conf: where names come by that file, such a session needs --dns-control disabled. " +
    "systemd-resolved and NetworkManager ask polkit.",
    "Everybody may run fz status and the like for a session of his own; for the machine's session, members of the group fz may ask, " +
    "and only its owner may change it.",
  ],
};
