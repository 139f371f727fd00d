/** The tunnels that are compared, each between the same two hosts: ours, wireguard-go's and OpenVPN's. */

import { hasTool } from "../../io/lab/lab.ts";
import type { Host } from "../../io/lab/host.ts";
import type { Network } from "../../tests/e2e/support/network.ts";
import { waitForPath } from "../../tests/e2e/support/paths.ts";

/** A tunnel that is up. */
export interface TunnelUnderTest {
  readonly name: string;
  /** What exactly was measured, for the report. */
  readonly version: string;
  /** An address of the far host that is reached through the tunnel. */
  readonly target: string;
  /** The processes of both ends. */
  readonly pids: readonly number[];
}

/** Inner MTU of all tunnels. */
const MTU = 1280;

/** Brings up the tunnel that goes by `name`; returns why not if a program is missing. */
export async function startTunnel(name: string, network: Network): Promise<TunnelUnderTest | string> {
  switch (name) {
    case "fz":
      return await startOurs(network);
    case "wireguard-go":
      return await startWireGuardGo(network);
    case "openvpn":
      return await startOpenVpn(network);
    default:
      return "there is no such tunnel";
  }
}

async function startOurs(network: Network): Promise<TunnelUnderTest> {
  const client = await network.startClient();
  const gateway = network.role("gateway-1");
  const target = "172.20.0.1";
  await untilReachable(client.host, target);
  await waitForPath(client.events, "direct");
  return {
    name: "fz",
    version: `Deno ${Deno.version.deno}`,
    target,
    pids: [client.process.pid, gateway.process.pid],
  };
}

async function startWireGuardGo(network: Network): Promise<TunnelUnderTest | string> {
  const program = Deno.env.get("WIREGUARD_GO") ?? "wireguard-go";
  if (!await hasTool(program) || !await hasTool("wg")) return "wireguard-go or wg is not installed";
  const ends = await Promise.all(
    [network.client, network.host("gateway-1")].map(async (host, index) => {
      const privateKey = (await host.must(["wg", "genkey"])).trim();
      const publicKey = (await host.must(["wg", "pubkey"], { input: privateKey })).trim();
      await host.writeFile("/run/wg.key", privateKey, 0o600);
      const process = host.spawn([program, "--foreground", "wg0"], { env: { LOG_LEVEL: "error" } });
      await untilDevice(host, "wg0");
      return { host, publicKey, process, address: `10.9.0.${index + 1}` };
    }),
  );
  for (const [index, end] of ends.entries()) {
    const peer = ends[1 - index]!;
    const underlay = network.uplink(index === 0 ? "gateway-1" : "client").v4;
    await end.host.must([
      ...["wg", "set", "wg0", "listen-port", "51820", "private-key", "/run/wg.key"],
      ...["peer", peer.publicKey, "endpoint", `${underlay}:51820`, "allowed-ips", `${peer.address}/32`],
    ]);
    await bringUp(end.host, "wg0", end.address, peer.address);
  }
  const target = ends[1]!.address;
  await untilReachable(network.client, target);
  const version = (await network.client.must([program, "--version"])).split("\n")[0] ?? "";
  return { name: "wireguard-go", version, target, pids: ends.map(({ process }) => process.pid) };
}

async function startOpenVpn(network: Network): Promise<TunnelUnderTest | string> {
  if (!await hasTool("openvpn") || !await hasTool("openssl")) return "openvpn or openssl is not installed";
  const hosts = [network.client, network.host("gateway-1")];
  const prints = await Promise.all(hosts.map(async (host) => {
    const self = ["-subj", "/CN=bench", "-keyout", "/run/ovpn.key", "-out", "/run/ovpn.crt"];
    const key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await host.must(["openssl", ...key, "-days", "2", ...self]);
    const print = await host.must([
      "openssl",
      "x509",
      "-in",
      "/run/ovpn.crt",
      "-noout",
      "-fingerprint",
      "-sha256",
    ]);
    return print.trim().split("=")[1]!;
  }));
  const addresses = ["10.8.0.1", "10.8.0.2"];
  const processes = hosts.map((host, index) =>
    host.spawn([
      ...["openvpn", "--dev", "ovpn0", "--dev-type", "tun", "--proto", "udp4", "--port", "1194"],
      ...["--remote", network.uplink(index === 0 ? "gateway-1" : "client").v4!],
      ...["--ifconfig", addresses[index]!, addresses[1 - index]!, "--tun-mtu", String(MTU)],
      ...[index === 0 ? "--tls-client" : "--tls-server", ...(index === 0 ? [] : ["--dh", "none"])],
      ...["--cert", "/run/ovpn.crt", "--key", "/run/ovpn.key", "--peer-fingerprint", prints[1 - index]!],
      ...["--data-ciphers", "AES-256-GCM", "--disable-dco", "--verb", "1"],
    ])
  );
  const target = addresses[1]!;
  await untilReachable(network.client, target);
  const version = (await network.client.run(["openvpn", "--version"])).stdout.split(" ").slice(0, 2).join(
    " ",
  );
  return {
    name: "openvpn",
    version: `${version}, AES-256-GCM`,
    target,
    pids: processes.map(({ pid }) => pid),
  };
}

async function bringUp(host: Host, device: string, own: string, peer: string): Promise<void> {
  await host.must(["ip", "link", "set", device, "mtu", String(MTU), "up"]);
  await host.must(["ip", "address", "add", own, "peer", peer, "dev", device]);
}

async function untilDevice(host: Host, device: string): Promise<void> {
  await until(
    async () => (await host.run(["ip", "link", "show", device])).code === 0,
    `${device} on ${host.name}`,
  );
}

async function untilReachable(host: Host, target: string): Promise<void> {
  await until(
    async () => (await host.run(["ping", "-n", "-c1", "-W1", target])).code === 0,
    `a way to ${target}`,
  );
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Waited in vain for ${what}`);
}
