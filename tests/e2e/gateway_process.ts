/** A gateway and a portal that only greets it, in one process, for `gateway_test.ts`. */

import { WebSocketServer } from "ws";
import { startGateway } from "../../io/gateway.ts";
import { LogFilter } from "../../lib/control/log_filter.ts";
import { createLog, setupLog } from "../../io/log.ts";

const INIT = {
  interface: { ipv4: "100.64.0.2", ipv6: "fd00:2021:1111::2" },
  config: { ipv4_masquerade_enabled: true, ipv6_masquerade_enabled: true },
  relays: [],
  authorizations: [],
};

setupLog({ filter: new LogFilter("debug"), format: "text" });

const server = new WebSocketServer({ host: "127.0.0.1", port: 8081 });
server.on("connection", (socket, request) => {
  console.log("dialled", new URL(request.url ?? "", "ws://portal").pathname);
  socket.on("message", (data) => {
    const frame = JSON.parse(data.toString());
    if (frame.event !== "phx_join") return;
    const send = (event: string, ref: unknown, payload: unknown) =>
      socket.send(JSON.stringify({ topic: "gateway", event, ref, payload }));
    send("phx_reply", frame.ref, { status: "ok", response: {} });
    send("init", null, INIT);
  });
  socket.on("close", (code) => console.log("closed", code));
});

const gateway = await startGateway({
  apiUrl: "ws://127.0.0.1:8081",
  token: "token",
  name: "gateway",
  id: "gateway",
  maxPartitionTime: undefined,
  masquerade: true,
  tunName: undefined,
  healthAddress: undefined,
  increaseBuffers: false,
  flowLogs: false,
}, createLog("gateway"));
await gateway.ready;
console.log("ready");

Deno.addSignalListener("SIGTERM", () => {
  void gateway.stop().then(() => {
    server.close();
    console.log("stopped");
    Deno.exit(0);
  });
});
await gateway.done;
