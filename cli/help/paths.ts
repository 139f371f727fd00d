/** `fz help paths`: how traffic gets to a gateway. */

import type { Topic } from "./topic.ts";

export const pathsTopic: Topic = {
  name: "paths",
  brief: "How traffic finds its way to a gateway: directly, or over a relay.",
  blocks: [
    "Every resource belongs to a site, and a site has gateways. The first packet for a resource asks the portal, which " +
    "chooses a gateway and lets both sides know each other. From then on packets go from this machine to that gateway, " +
    "encrypted by WireGuard from end to end. The portal never sees them.",
    [
      [
        "direct",
        "UDP straight between both machines. Both may be behind NAT: each sends to where the other seems to " +
        "be, until a packet gets through (hole punching, by ICE).",
      ],
      [
        "relayed",
        "Over a relay (TURN), where no direct path was found: both NATs give each destination another port, " +
        "or a firewall lets UDP through to relays alone. The relay passes on what it cannot read. It costs a detour, so rtt is higher.",
      ],
    ],
    "Both are tried at once and the better one is taken; a session that began over a relay moves to the direct path when " +
    "one is found. Address kinds are those of ICE: host is an address of the machine itself, serverReflexive what a relay " +
    "saw of it behind NAT, peerReflexive what the gateway saw, relayed an address on the relay.",
    "When the network changes (Wi-Fi to cable, sleep, a new address) paths are looked for again and connections through " +
    "the tunnel live on. SIGHUP to fz run asks for the same.",
    "What a firewall must let out: UDP to any port for direct paths, UDP 3478 for relays, TCP 443 for the portal.",
  ],
};
