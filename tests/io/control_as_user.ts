/** Asks a session as another user: `deno run … control_as_user.ts read|change ROUTE` prints the answer or the Fault. */

import { connectControl } from "../../io/control/client.ts";
import { Fault } from "../../lib/base/fault.ts";

const [authority, route] = Deno.args as ["read" | "change", "status" | "stop"];
try {
  const control = await connectControl(authority);
  const answer = route === "status"
    ? (await control.ask("status", {})).state
    : (await control.ask("stop", {})).schema;
  console.log(`answer ${answer}`);
} catch (error) {
  console.log(error instanceof Fault ? `${error.code}: ${error.message} | ${error.next}` : `bug: ${error}`);
}
