/** `fz` whose UDP sockets have the smallest send buffers that the kernel gives: a few packets fill them. */

import { linux } from "../../../ffi/linux/mod.ts";

const { bindUdp } = linux;
Object.assign(linux, {
  bindUdp: (options: Parameters<typeof bindUdp>[0]) => bindUdp.call(linux, { ...options, sendBuffer: 1 }),
});
await import("../../../main.ts");
