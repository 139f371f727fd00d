/** `fz relay`: the relay as a role that runs in the foreground. */

import { platform as thisPlatform } from "../ffi/mod.ts";
import type { Log } from "../lib/base/log.ts";
import type { RelayConfig } from "../lib/control/config.ts";
import { openEvents } from "./events.ts";
import type { RunningRole } from "./lifetime.ts";
import { startRelay } from "./relay.ts";

/** Starts a relay. It is ready when the portal knows it. */
export async function runRelay(config: RelayConfig, log: Log): Promise<RunningRole> {
  const events = openEvents();
  const relay = await startRelay({
    publicAddress: { 4: config.publicIp4, 6: config.publicIp6 },
    bindAddress: { 4: config.bindIp4, 6: config.bindIp6 },
    listenPort: config.port,
    lowestPort: config.lowestPort,
    highestPort: config.highestPort,
    name: config.name,
    portal: { url: config.apiUrl, token: config.token },
    healthAddress: config.healthAddress,
    platform: await thisPlatform(),
    log,
    events: events.emit,
  });
  relay.ready.then(() => {
    const listening = [config.publicIp4, config.publicIp6].filter((ip) => ip !== undefined);
    events.emit({ event: "ready", listening: listening.map((ip) => `${ip}`) });
    log.info("ready", { port: config.port });
  }, () => {});
  const done = relay.done.finally(() => {
    events.emit({ event: "stopped" });
    events.close();
  });
  done.catch(() => {});
  return { ready: relay.ready, done, stop: () => relay.stop() };
}
