/** What this machine does about credentials, for the command line (`lib/control/credential.ts`). */

import type { Credentials } from "../../lib/control/credential.ts";
import { removeSecretFile, writeSecretFile } from "./secret_file.ts";

/** The credentials of this user. What talks to a portal is loaded when it does. */
export const credentials: Credentials = {
  async exists(path) {
    try {
      await Deno.lstat(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
      // It is there, for all that this user may see.
      return true;
    }
  },
  async identity(path, token) {
    return await (await import("./identity_file.ts")).readIdentity(path, token);
  },
  async store(path, token, identity) {
    const { writeIdentity } = await import("./identity_file.ts");
    writeSecretFile(path, `${token}\n`);
    writeIdentity(path, token, identity);
  },
  async remove(path) {
    const { removeIdentity } = await import("./identity_file.ts");
    const isGone = removeSecretFile(path);
    removeIdentity(path);
    return isGone;
  },
  async signIn(request) {
    const { verifyToken } = await import("./verify.ts");
    const { askPortal } = await import("./portal_api.ts");
    const joined = await verifyToken(request);
    // A portal that just took the token and now calls it dead is telling about the token as it is now.
    return { ...joined, ...await askPortal(request.apiUrl, request.token) };
  },
  async ask(apiUrl, token) {
    return await (await import("./portal_api.ts")).askPortal(apiUrl, token);
  },
  async revoke(apiUrl, token) {
    return await (await import("./portal_api.ts")).revokeAtPortal(apiUrl, token);
  },
  async readInput(source) {
    return await (await import("./token_input.ts")).readTokenInput(source);
  },
  async openBrowser(url) {
    return await (await import("./browser.ts")).openBrowser(url);
  },
  async device({ name, id }) {
    const { externalId, knownDeviceId } = await import("../device_id.ts");
    const found = await knownDeviceId({ role: "client", configured: id });
    return { name: name ?? Deno.hostname(), id: found === undefined ? undefined : externalId(found) };
  },
};
