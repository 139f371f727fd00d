/** A browser without a screen: asks a portal for pages, keeps cookies and fills in forms. */

import { IpAddress } from "../../../lib/base/ip.ts";
import type { Actor } from "../../../lib/portal/model.ts";
import type { WebAnswer } from "../../../lib/portal/pages.ts";
import { hashPassword, isPassword, NOBODYS_PASSWORD } from "../../../lib/portal/password.ts";
import type { WebRequest } from "../../../lib/portal/sign_in.ts";
import { PortalWeb } from "../../../lib/portal/web.ts";
import { World } from "./harness.ts";

export const HEADLESS = "as=headless-client";

/** A browser that keeps cookies and sends forms back as they came. */
export class Browser {
  readonly world: World;
  readonly web: PortalWeb;
  readonly cookies = new Map<string, string>();
  ip = IpAddress.from("198.51.100.7");
  isSecure = false;

  constructor() {
    this.world = new World();
    this.web = new PortalWeb({
      portal: this.world.portal,
      rng: this.world.rng,
      wallClock: this.world.wallClock,
    });
    this.setPassword("Ada", "correct horse");
  }

  setPassword(name: string, password: string, more: Partial<Actor> = {}): void {
    const actor = this.world.portal.directory.find("actors", (it) => it.name === name)!;
    const passwordHash = hashPassword(password, this.world.rng, { logN: 1, r: 1, p: 1 });
    this.world.portal.directory.put("actors", { ...actor, passwordHash, ...more });
  }

  send(request: Partial<WebRequest>): WebAnswer {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const outcome = this.web.handle({
      method: "GET",
      path: "/",
      query: "",
      body: "",
      remoteIp: this.ip,
      isSecure: this.isSecure,
      ...request,
      headers: { accept: "text/html", cookie, ...request.headers },
    }, this.world.now);
    if (outcome.type === "answer") return this.#keep(outcome);
    const isRight = outcome.kept !== NOBODYS_PASSWORD && isPassword(outcome.password, outcome.kept);
    return this.#keep(outcome.finish(isRight, this.world.now));
  }

  get(url: string): WebAnswer {
    const [path = "", query = ""] = url.split("?");
    return this.send({ path, query });
  }

  /** Fills in the form that `page` shows and sends it. */
  submit(page: WebAnswer, fields: Record<string, string>): WebAnswer {
    const hidden = page.body.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g);
    const all = { ...Object.fromEntries(hidden.map(([, name, value]) => [name!, value!])), ...fields };
    const body = new URLSearchParams(all).toString();
    return this.send({ method: "POST", path: /action="([^"]*)"/.exec(page.body)![1]!, body });
  }

  signIn(email: string, password: string, query: string = HEADLESS): WebAnswer {
    return this.submit(this.get(`/acme?${query}`), { email, password });
  }

  #keep(answer: WebAnswer): WebAnswer {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(answer.headers["set-cookie"] ?? "") ?? [];
    if (name !== undefined) this.cookies.set(name, value!);
    return answer;
  }
}

export function complaintIn(answer: WebAnswer): string | undefined {
  return /role="alert">([^<]*)</.exec(answer.body)?.[1];
}

export function tokenIn(answer: WebAnswer): string {
  return /<textarea[^>]*>([^<]*)</.exec(answer.body)?.[1] ?? "";
}

export function bearer(token: string) {
  return { "x-authorization": `Bearer ${token}`, "accept": "*/*" };
}
