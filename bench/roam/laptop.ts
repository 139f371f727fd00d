/** A laptop between two networks, both managed by the real NetworkManager: Wi-Fi, and Ethernet when it is plugged in. */

import type { ClientUplink, Network } from "../../tests/e2e/support/network.ts";
import { startBus, startNetworkManager, startPolkit } from "../../tests/e2e/support/bus.ts";
import { usePackages } from "../../tests/e2e/support/packages.ts";

/** Of the other Wi-Fi, which the same access point offers. */
const OTHER_GATEWAY = "10.77.0.1";

export class Laptop {
  readonly network: Network;
  readonly #wifi: ClientUplink;
  readonly #ethernet: ClientUplink;

  private constructor(network: Network, wifi: ClientUplink, ethernet: ClientUplink) {
    this.network = network;
    this.#wifi = wifi;
    this.#ethernet = ethernet;
  }

  /** Makes the client's host a laptop that is in its Wi-Fi. */
  static async start(network: Network): Promise<Laptop> {
    const { client } = network;
    const wifi = await network.addClientUplink("wifi", 31);
    const ethernet = await network.addClientUplink("ethernet", 32);
    await client.must(["ip", "link", "delete", "eth0"]);
    await wifi.router.must(["ip", "address", "add", `${OTHER_GATEWAY}/24`, "dev", "eth1"]);
    await usePackages(client, ["network-manager"]);
    await startBus(client);
    await startPolkit(client, "");
    for (const { inside } of [wifi, ethernet]) {
      // What has an address already was set up by somebody else, for NetworkManager.
      await client.must(["ip", "address", "flush", "dev", inside.name]);
      await inside.down();
    }
    await startNetworkManager(client, profile("home", "wifi", "192.168.31.2/24", wifi.gateway), "nobody");
    for (
      const [name, device, address, gateway] of [
        ["other", "wifi", "10.77.0.2/24", OTHER_GATEWAY],
        ["cable", "ethernet", "192.168.32.2/24", ethernet.gateway],
      ] as const
    ) {
      const path = `/etc/NetworkManager/system-connections/${name}.nmconnection`;
      await client.writeFile(path, profile(name, device, address, gateway), 0o600);
      await client.must(["nmcli", "connection", "load", path]);
    }
    const laptop = new Laptop(network, wifi, ethernet);
    await laptop.atHome();
    return laptop;
  }

  /** Goes back to its own Wi-Fi, and nothing else. */
  async atHome(): Promise<void> {
    await this.#nmcli("connection", "modify", "home", "ipv4.addresses", "192.168.31.2/24");
    await this.#nmcli("connection", "up", "home");
    await this.#plug("down");
    await this.network.client.run(["nmcli", "device", "disconnect", "ethernet"]);
  }

  async plugIn(): Promise<void> {
    await this.#plug("up");
    await this.#nmcli("connection", "up", "cable");
  }

  /** The carrier is gone: NetworkManager waits for some seconds whether it comes back. */
  async unplug(): Promise<void> {
    await this.#plug("down");
  }

  async joinOtherWifi(): Promise<void> {
    await this.#nmcli("connection", "up", "other");
  }

  async takeOtherAddress(): Promise<void> {
    await this.#nmcli("connection", "modify", "home", "ipv4.addresses", "192.168.31.99/24");
    await this.#nmcli("device", "reapply", "wifi");
  }

  async leaveWifi(): Promise<void> {
    await this.#nmcli("device", "disconnect", "wifi");
  }

  async #plug(state: "up" | "down"): Promise<void> {
    await this.#ethernet.router.must(["ip", "link", "set", "eth1", state]);
  }

  async #nmcli(...args: string[]): Promise<void> {
    await this.network.client.must(["nmcli", ...args]);
  }
}

/** As NetworkManager prefers them, Ethernet to Wi-Fi. */
function profile(id: string, device: string, address: string, gateway: string): string {
  return `[connection]
id=${id}
type=ethernet
interface-name=${device}
autoconnect=false

[ipv4]
method=manual
address1=${address},${gateway}
route-metric=${device === "wifi" ? 600 : 100}
dns=${gateway};

[ipv6]
method=disabled
`;
}
