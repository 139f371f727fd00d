/** Undoes what a killed session noted in its journal, each kind of change by those who make it. */

import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { undoResolvconf } from "./dns_resolvconf.ts";
import { undoNetworkManager } from "./dns_network_manager.ts";
import { undoResolved } from "./dns_resolved.ts";
import { createHostNetwork } from "./host_network.ts";
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
    case "resolvconf":
      return await undoResolvconf(change.record);
    case "resolved":
      return await undoResolved(change);
    case "network-manager":
      return await undoNetworkManager(change);
    case "scutil":
    case "nrpt":
    case "route":
      // Not of this system.
      return false;
  }
}
