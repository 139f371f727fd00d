/** Headless Chromium, driven by ChromeDriver in the words of WebDriver (W3C): Debian's packages, nothing downloaded. */

import assert from "node:assert/strict";
import { eventually } from "./on_network.ts";
import { PATIENCE_MS } from "./patience.ts";

/** Chromium talks to nobody but the page: no updates, no look-ups, no QUIC. As root it cannot have its own sandbox. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--window-size=800,700",
];

/** The name under which WebDriver hands out elements. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** One browser with one page. */
export class Browser {
  readonly #session: string;
  readonly #driver: Deno.ChildProcess;
  readonly #folder: string;

  private constructor(session: string, driver: Deno.ChildProcess, folder: string) {
    this.#session = session;
    this.#driver = driver;
    this.#folder = folder;
  }

  /** Starts driver and browser; both end with `close`. */
  static async start(): Promise<Browser> {
    const folder = await Deno.makeTempDir({ prefix: "fz-browser-" });
    const port = freePort();
    const driver = new Deno.Command("/usr/bin/chromedriver", {
      args: [`--port=${port}`, "--silent"],
      env: { HOME: folder, TMPDIR: folder },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const base = `http://127.0.0.1:${port}`;
    try {
      await eventually(async () => {
        const status = await call("GET", `${base}/status`) as { ready: boolean };
        assert.ok(status.ready);
      });
      const made = await call("POST", `${base}/session`, {
        capabilities: {
          alwaysMatch: {
            "browserName": "chrome",
            "goog:chromeOptions": {
              binary: "/usr/bin/chromium",
              args: [...FLAGS, `--user-data-dir=${folder}/profile`],
            },
          },
        },
      }) as { sessionId: string };
      return new Browser(`${base}/session/${made.sessionId}`, driver, folder);
    } catch (error) {
      await end(driver, folder);
      throw error;
    }
  }

  async open(url: string): Promise<void> {
    await this.#post("url", { url });
  }

  /** Returns the visible text of the first element that `selector` (CSS) finds. */
  async text(selector: string): Promise<string> {
    return await this.#get(`element/${await this.#find(selector)}/text`) as string;
  }

  /** Returns a property of the element, such as "value". */
  async property(selector: string, name: string): Promise<unknown> {
    return await this.#get(`element/${await this.#find(selector)}/property/${name}`);
  }

  /** Types into the element; what was in it goes. */
  async type(selector: string, text: string): Promise<void> {
    const id = await this.#find(selector);
    await this.#post(`element/${id}/clear`, {});
    await this.#post(`element/${id}/value`, { text });
  }

  async click(selector: string): Promise<void> {
    await this.#post(`element/${await this.#find(selector)}/click`, {});
  }

  /** Runs `script` in the page, as the body of a function, and returns its result. */
  async run(script: string): Promise<unknown> {
    return await this.#post("execute/sync", { script, args: [] });
  }

  /** Lets the page use a right such as "clipboard-read" without asking. */
  async permit(name: string): Promise<void> {
    await this.#post("permissions", { descriptor: { name }, state: "granted" });
  }

  /** Returns the page as PNG. */
  async screenshot(): Promise<Uint8Array> {
    return Uint8Array.fromBase64(await this.#get("screenshot") as string);
  }

  async close(): Promise<void> {
    await call("DELETE", this.#session).catch(() => {});
    await end(this.#driver, this.#folder);
  }

  async #find(selector: string): Promise<string> {
    const found = await this.#post("element", { using: "css selector", value: selector });
    return (found as Record<string, string>)[ELEMENT]!;
  }

  #get(path: string): Promise<unknown> {
    return call("GET", `${this.#session}/${path}`);
  }

  #post(path: string, body: unknown): Promise<unknown> {
    return call("POST", `${this.#session}/${path}`, body);
  }
}

async function call(method: string, url: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function end(driver: Deno.ChildProcess, folder: string): Promise<void> {
  driver.kill("SIGTERM");
  await driver.status;
  // The browser's last processes may still be writing.
  await eventually(() => Deno.remove(folder, { recursive: true }));
}
