/** `fz help dns`: who answers names. */

import type { Topic } from "./topic.ts";

export const dnsTopic: Topic = {
  name: "dns",
  brief: "Which names the session answers itself, and who answers the others.",
  blocks: [
    "A resource may be a name or a pattern of names. For these the session answers with addresses of its own, from " +
    "100.96.0.0/11 and fd00:2021:1111:8000::/107, and routes them into the tunnel; the gateway translates them to the " +
    "real ones where the resource is. They mean something on this machine and in this session only.",
    [
      ["?", "one character"],
      ["*", "any number of characters inside one label"],
      ["**", "any number of whole labels, none too"],
      ["*.corp.example", "corp.example itself, too, and one label before it"],
      ["**.corp.example", "corp.example itself, too, and everything below it"],
    ],
    "Questions arrive at sentinels: addresses of 100.100.111.0/24 and fd00:2021:1111:8000:100:100:111:0/120 that are the " +
    "machine's resolvers while the session runs, one for each upstream resolver. What is no resource goes on to the " +
    "upstream resolver: those that the portal prescribes, else those of the machine.",
    "The machine is told by one of these methods (--dns-control):",
    [
      ["systemd-resolved", "resolvers of our own link; taken where systemd-resolved serves /etc/resolv.conf"],
      ["network-manager", "resolvers of our own device; taken where NetworkManager writes /etc/resolv.conf"],
      ["resolvconf", "a record of ours, before all others; taken where resolvconf or openresolv writes it"],
      [
        "etc-resolv-conf",
        "/etc/resolv.conf is rewritten; the old one is /etc/resolv.conf.before-fz meanwhile; taken elsewhere",
      ],
      ["disabled", "nothing is changed; names of resources resolve only if you ask the sentinels yourself"],
    ],
    "fz dns status says which one is taken here, and why. Where another program overwrites the settings while the session " +
    "runs, they are set again, five times in ten minutes at most.",
    "The end of the session puts everything back. After a kill -9 a small process that watches the session does so within a " +
    "second; what it could not, fz cleanup or the next start does.",
  ],
};
