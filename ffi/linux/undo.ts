/** Undoes what a killed session noted in its journal, each kind of change by those who make it. */

import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { runTool } from "./command.ts";
import { createHostNetwork } from "./host_network.ts";
import { undoSysctl } from "./sysctl.ts";
import { undoFile } from "./undo_file.ts";

/** See `Platform.undoChange`. */
export async function undoChange(change: Change, log: Log): Promise<boolean> {
  switch (change.type) {
    case "network": {
      const { device } = change;
      const network = createHostNetwork({ device, mtu: 0, mark: 0, routing: "policy", log });
      return (await network.undo()).length > 0;
    }
    case "file":
      return undoFile(change);
    case "resolvconf": {
      // Both kinds of resolvconf(8) take a record away that is not there.
      const { code } = await runTool("resolvconf", ["-d", change.record]);
      return code === 0;
    }
    case "sysctl":
      return undoSysctl(change);
    case "resolved":
    case "network-manager":
      // They ended with the device.
      return false;
    case "scutil":
    case "nrpt":
    case "route":
      // Not of this system.
      return false;
  }
}
