/** `fz capture`: the packets inside the tunnel, for Wireshark and tcpdump. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import { readU32Le } from "../../lib/base/bytes.ts";
import { BlockSplitter, BlockType, droppedOf } from "../../lib/wire/pcapng.ts";
import type { Control } from "../../lib/control/control.ts";
import { defineCommand } from "../command.ts";
import type { ByteSink, CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { formatBytes, formatCount } from "../format.ts";
import { DURATION, FILE, plainFlag } from "../options.ts";
import { whenUnwanted } from "../unwanted.ts";
import { printText } from "../output.ts";
import { SIZE } from "../size.ts";

interface CaptureRequest {
  readonly filter?: string;
  readonly maxPackets?: number;
  readonly maxBytes?: number;
  readonly durationMs?: number;
  readonly snapLength?: number;
}

export const captureCommand = defineCommand({
  name: "capture",
  brief: message`Record the packets inside the tunnel, for Wireshark or tcpdump.`,
  description:
    message`Writes the packets that go through the tunnel as pcapng, unencrypted, as applications see them. \
The filter is made of: host ADDRESS, net NETWORK, port PORT, proto NAME, tcp, udp, icmp, ip, ip6, resource NAME, in, out, \
src, dst, and, or, not and parentheses. Ends at Ctrl+C or at a bound. What is in the file is private: it holds whatever \
applications sent.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz capture -o tunnel.pcapng --duration 30s")}${lineBreak()}
  ${commandLine("fz capture resource gitlab and tcp -o gitlab.pcapng")}${lineBreak()}
  ${commandLine("fz capture | wireshark -k -i -")}`,
  options: () =>
    object({
      filter: multiple(
        argument(string({ metavar: "FILTER" }), { description: message`Which packets. Default: all.` }),
      ),
      output: optional(
        option("-o", "--output", FILE, {
          description: message`Where to write; ${"-"} is standard output, the default in a pipe.`,
        }),
      ),
      count: optional(
        option("-c", "--count", integer({ metavar: "COUNT", min: 1 }), {
          description: message`End after so many packets.`,
        }),
      ),
      size: optional(
        option("--size", SIZE, {
          description: message`End before it gets longer than this (default 10MiB).`,
        }),
      ),
      duration: optional(option("--duration", DURATION, { description: message`End after this time.` })),
      snapLength: optional(
        option("--snaplen", integer({ metavar: "BYTES", min: 1, max: 65_535 }), {
          description: message`Keep only so much of each packet.`,
        }),
      ),
      force: plainFlag(["--force"], { description: message`Overwrite the file.` }),
    }),
  async run({ filter, output, count, size, duration, snapLength, force }, context) {
    const path = output ?? "-";
    if (path === "-" && context.stdout.isTerminal) {
      throw new Fault("usage", "Cannot write packets to a terminal: they are binary", {
        next: 'Name a file with "-o FILE", or pipe: `fz capture | wireshark -k -i -`.',
      });
    }
    const text = filter.join(" ");
    const request: CaptureRequest = {
      ...(text === "" ? {} : { filter: text }),
      ...(count === undefined ? {} : { maxPackets: count }),
      ...(size === undefined ? {} : { maxBytes: size }),
      ...(duration === undefined ? {} : { durationMs: duration }),
      ...(snapLength === undefined ? {} : { snapLength }),
    };
    const control = await context.host.control("change");
    return await capture(control, request, { path, overwrite: force }, context);
  },
});

interface Output {
  readonly path: string;
  readonly overwrite: boolean;
}

async function capture(
  control: Control,
  request: CaptureRequest,
  { path, overwrite }: Output,
  context: CliContext,
): Promise<number> {
  const abort = new AbortController();
  const unlisten = whenUnwanted(context, () => abort.abort());
  const splitter = new BlockSplitter();
  let sink: ByteSink | undefined;
  let [packets, dropped, length] = [0, 0, 0];
  try {
    stream: for await (const chunk of control.bytes("capture", request, abort.signal)) {
      const blocks = splitter.push(chunk);
      if (blocks === undefined) {
        throw new Fault("unexpected", "Cannot read what the session sent: it is no capture");
      }
      // Not before there is something to write: a filter that is turned down leaves no file.
      sink ??= await open({ path, overwrite }, context);
      for (const block of blocks) {
        if (!sink.write(block)) break stream;
        length += block.length;
        if (readU32Le(block, 0) === BlockType.enhancedPacket) packets++;
        dropped = droppedOf(block) ?? dropped;
      }
    }
  } finally {
    unlisten();
    sink?.close();
  }
  const what = `${formatCount(packets, "packet")}, ${formatBytes(length)}`;
  const where = path === "-" ? "" : ` in ${JSON.stringify(path)}`;
  printText(context.stderr, `${what}${where}${dropped === 0 ? "" : `; ${dropped} were lost on the way`}`);
  return EXIT_OK;
}

async function open(output: Output, context: CliContext): Promise<ByteSink> {
  const sink = await context.host.openOutput(output.path, output);
  if (output.path !== "-") context.stderr.write("Capturing; Ctrl+C ends it.\n");
  return sink;
}
