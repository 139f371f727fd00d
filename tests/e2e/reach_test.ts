import assert from "node:assert/strict";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { dig } from "./support/dig.ts";
import type { Network, Role, Underlay } from "./support/network.ts";
import { type Check, onNetwork } from "./support/on_network.ts";
import { waitForPath } from "./support/paths.ts";
import { assertRefused, ping, udpEcho } from "./support/probe.ts";
import { INTERNET, RESOURCES } from "./support/seed.ts";

const PROXY_4 = IpNetwork.from("100.96.0.0/11");
const PROXY_6 = IpNetwork.from("fd00:2021:1111:8000::/107");

const MORE = [
  { name: "services", type: "dns", address: "**.web.site.test", site: "site" },
  { name: "gone", type: "dns", address: "**.gone.site.test", site: "site" },
  { name: "only4", type: "dns", address: "only4.site.test", site: "site", ip_stack: "ipv4_only" },
  INTERNET,
] as const;

for (const underlay of ["dual", "ipv4", "ipv6"] as const) {
  Deno.test(
    `fz run: reaches every kind of resource (underlay: ${underlay})`,
    onNetwork({ underlay, resources: MORE }, async (network, check) => {
      const client = await network.startClient();
      await checkNames(network, client, check);
      await checkNetworks(network, check);
      await checkDns(network, check);
      await checkInternet(network, client, underlay, check);
    }),
  );
}

Deno.test(
  "fz run: filters decide between resources that overlap",
  onNetwork({
    underlay: "ipv4",
    without: RESOURCES.map(({ name }) => name),
    resources: [
      // The name's address lies in the network, which permits something else.
      { name: "web", type: "dns", address: "web.site.test", site: "site", filters: ["tcp/80"] },
      { name: "lan", type: "cidr", address: "172.20.0.0/24", site: "site", filters: ["icmp"] },
      // The longer prefix is the better route, but only for what it permits.
      { name: "host", type: "cidr", address: "172.20.0.10/32", site: "site", filters: ["tcp/8080"] },
      // Two patterns for one name.
      { name: "star", type: "dns", address: "*.wild.site.test", site: "site", filters: ["tcp/80"] },
      { name: "deep", type: "dns", address: "**.wild.site.test", site: "site", filters: ["icmp"] },
    ],
  }, async (network, check) => {
    const client = await network.startClient();
    const names = resourceNames(client);
    await check("a DNS resource permits its port, and nothing else of its name", async () => {
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      await assertRefused(network, "http://web.site.test:8080/");
      assert.notEqual((await ping(network, "web.site.test")).code, 0);
    });
    await check("the network around its address permits what it permits", async () => {
      assert.equal((await ping(network, "172.20.0.10")).code, 0);
      await assertRefused(network, "http://172.20.0.10/");
      assert.match(await network.curl("http://web.site.test/"), /hello/);
    });
    await check("a host within the network takes only what it permits", async () => {
      assert.match(await network.curl("http://172.20.0.10:8080/"), /hello/);
      assert.equal((await ping(network, "172.20.0.10")).code, 0);
    });
    await check("of two patterns, the one that permits the packet is used", async () => {
      assert.match(await network.curl("http://a.wild.site.test/"), /hello/);
      assert.equal((await ping(network, "a.wild.site.test")).code, 0);
      await assertRefused(network, "http://a.wild.site.test:8080/");
    });
    await check("access was asked of every resource that something was permitted by", () => {
      const granted = client.events.all().flatMap((event) =>
        event.event === "access-granted" ? [names.get(event.resourceId)] : []
      );
      assert.deepEqual(new Set(granted), new Set(["web", "lan", "host", "star", "deep"]));
      return Promise.resolve();
    });
  }),
);

Deno.test(
  "fz run: asks the account's resolvers, through the tunnel where a resource leads to them",
  onNetwork({ underlay: "ipv4", dns: ["172.20.0.53"], searchDomain: "site.test" }, async (network, check) => {
    await network.startClient();
    for (const flag of ["+notcp", "+tcp"]) {
      await check(`a name that is no resource is known to the account's resolver (${flag})`, async () => {
        assert.deepEqual((await dig(network.client, flag, "late.site.test", "A")).data, ["172.20.0.10"]);
      });
      await check(`the machine's own resolver is not asked (${flag})`, async () => {
        assert.equal((await dig(network.client, flag, "www.public.test", "A")).status, "NXDOMAIN");
      });
    }
    await check("names of resources are answered as ever", async () => {
      const { data: [address] } = await dig(network.client, "exact.site.test", "A");
      assert.ok(PROXY_4.contains(IpAddress.from(address!)), `${address}`);
    });
    await check("the search domain completes short names, of resources and others", async () => {
      assert.match(await network.curl("http://exact/"), /hello/);
      assert.match(await network.curl("http://late/"), /hello/);
    });
  }),
);

async function checkNames(network: Network, client: Role, check: Check): Promise<void> {
  const names = resourceNames(client);
  for (
    const [host, resource] of [
      ["exact.site.test", "exact"],
      ["one.wild.site.test", "star"],
      ["wild.site.test", "star"],
      ["two.deep.wild.site.test", "deep"],
      ["A.Wild.Site.Test", "star"],
    ] as const
  ) {
    await check(`curl: ${host} is reached by resource "${resource}"`, async () => {
      const mark = client.events.mark();
      assert.match(
        await network.curl(`http://${host}/`, "-4"),
        /^hello 172\.20\.0\.1\n|^hello ::ffff:172\.20\.0\.1\n/,
      );
      assert.match(await network.curl(`http://${host}/`, "-6"), /^hello fd20::1\n/);
      for (const event of client.events.all().slice(mark)) {
        if (event.event === "access-requested") assert.equal(names.get(event.resourceId), resource);
      }
      const granted = client.events.all().flatMap((event) =>
        event.event === "access-granted" ? [names.get(event.resourceId)] : []
      );
      assert.ok(granted.includes(resource), `granted: ${granted}`);
    });
  }
  await check("curl: a large answer arrives whole", async () => {
    const script = "curl -sS --fail --max-time 90 http://exact.site.test/bytes/10000000 | sha256sum";
    const expected = await sha256(new Uint8Array(10_000_000).fill(0x66));
    assert.equal((await network.client.must(["sh", "-c", script])).split(" ")[0], expected);
  });
  await check("ping: a name answers, in both families", async () => {
    assert.equal((await ping(network, "exact.site.test", "-4")).code, 0);
    assert.equal((await ping(network, "exact.site.test", "-6")).code, 0);
  });
  await check("UDP: the first datagram to a resource is not lost", async () => {
    assert.equal(await udpEcho(network, "web.site.test", "first"), "first");
  });
  await check("curl: of a name without IPv6, IPv4 is used", async () => {
    assert.match(await network.curl("http://only4.site.test/"), /hello/);
  });
  await check("curl: a name that does not exist at the site fails at once", async () => {
    await assertRefused(network, "http://nobody.gone.site.test/");
  });
  await check("the events tell of the connection", async () => {
    await client.events.waitFor("connected");
    // A first path may be relayed.
    await waitForPath(client.events, "direct");
    await network.role("gateway-1").events.waitFor("client-connected");
  });
}

async function checkNetworks(network: Network, check: Check): Promise<void> {
  for (
    const [family, address, host] of [["4", "172.20.0.10", "172.20.0.10"], ["6", "fd20::10", "[fd20::10]"]]
  ) {
    await check(`CIDR, IPv${family}: curl, ping and UDP`, async () => {
      assert.match(
        await network.curl(`http://${host}/`),
        /^hello (::ffff:172\.20\.0\.1|172\.20\.0\.1|fd20::1)\n/,
      );
      assert.equal((await ping(network, address!)).code, 0);
      assert.equal(await udpEcho(network, address!, "datagram"), "datagram");
    });
  }
  await check("CIDR: dig asks the site's own name server through the tunnel, by UDP and TCP", async () => {
    for (const flag of ["+notcp", "+tcp"]) {
      assert.deepEqual((await dig(network.client, flag, "@172.20.0.53", "web.site.test", "A")).data, [
        "172.20.0.10",
      ]);
    }
  });
}

async function checkDns(network: Network, check: Check): Promise<void> {
  const { client } = network;
  for (const flag of ["+notcp", "+tcp"]) {
    const how = flag === "+tcp" ? "TCP" : "UDP";
    await check(`dig, ${how}: A and AAAA of a resource are proxy addresses`, async () => {
      for (const [type, range] of [["A", PROXY_4], ["AAAA", PROXY_6]] as const) {
        const answer = await dig(client, flag, "exact.site.test", type);
        assert.equal(answer.status, "NOERROR");
        assert.equal(answer.data.length, 4);
        for (const address of answer.data) assert.ok(range.contains(IpAddress.from(address)), address);
      }
    });
    await check(`dig, ${how}: PTR of a proxy address is the name`, async () => {
      for (const type of ["A", "AAAA"]) {
        const { data: [address] } = await dig(client, "exact.site.test", type);
        assert.deepEqual((await dig(client, flag, "-x", address!)).data, ["exact.site.test."]);
      }
    });
    await check(`dig, ${how}: SRV and TXT of a resource come from the site`, async () => {
      const srv = await dig(client, flag, "_http._tcp.web.site.test", "SRV");
      assert.deepEqual(srv.data, ["0 0 80 web.site.test."]);
      const txt = await dig(client, flag, "web.site.test", "TXT");
      assert.deepEqual(txt.data, ['"from the site"']);
    });
    await check(`dig, ${how}: HTTPS of a resource is empty`, async () => {
      const { status, data } = await dig(client, flag, "exact.site.test", "HTTPS");
      assert.deepEqual([status, data], ["NOERROR", []]);
    });
    await check(`dig, ${how}: a family that a resource has not is empty`, async () => {
      const { status, data } = await dig(client, flag, "only4.site.test", "AAAA");
      assert.deepEqual([status, data], ["NOERROR", []]);
    });
    await check(`dig, ${how}: a name below a resource is answered whether it exists or not`, async () => {
      const { status, data } = await dig(client, flag, "nobody.gone.site.test", "A");
      assert.deepEqual([status, data.length], ["NOERROR", 4]);
    });
    await check(`dig, ${how}: what is no resource goes to the upstream unchanged`, async () => {
      const { v4, v6 } = network.uplink("public");
      for (
        const [name, type] of [
          ["www.public.test", "A"],
          ["www.public.test", "AAAA"],
          ["www.public.test", "TXT"],
          ["public.test", "MX"],
          ["nobody.public.test", "A"],
          ["site.test", "A"],
          ["exact.site.test", "MX"],
        ] as const
      ) {
        const ours = await dig(client, flag, name, type);
        const direct = await dig(client, flag, `@${v4 ?? v6}`, name, type);
        assert.equal(ours.text, direct.text, `${name} ${type}`);
        if (name === "nobody.public.test") assert.equal(ours.status, "NXDOMAIN");
      }
    });
  }
  await check("dig: an answer too long for UDP comes by TCP", async () => {
    const { data } = await dig(client, "+bufsize=4096", "long.public.test", "TXT");
    assert.equal(data[0]?.length, 10 * 203 - 1);
  });
  await check("getent: programs find names as they always do", async () => {
    const found = await client.must(["getent", "ahostsv4", "exact.site.test"]);
    assert.ok(PROXY_4.contains(IpAddress.from(found.split(/\s+/)[0]!)), found);
  });
}

async function checkInternet(
  network: Network,
  client: Role,
  underlay: Underlay,
  check: Check,
): Promise<void> {
  const families = underlay === "dual" ? ["4", "6"] : underlay === "ipv4" ? ["4"] : ["6"];
  const addressOf = (host: string, family: string) => {
    const { v4, v6 } = network.uplink(host);
    return family === "4" ? v4! : v6!;
  };
  const seenBy = async (family: string) => {
    const answer = await network.curl("http://www.public.test/", `-${family}`);
    return /^hello (?:::ffff:)?(\S+)\n/.exec(answer)?.[1];
  };
  for (const family of families) {
    await check(`Internet, IPv${family}: inactive, the public web is reached past the tunnel`, async () => {
      assert.equal(await seenBy(family), addressOf("client", family));
    });
  }
  const { code } = await client.process.stop();
  assert.equal(code, 0);
  await client.events.waitFor("stopped");
  const again = await network.startClient({ args: ["--activate-internet-resource"] });
  const names = resourceNames(again);
  for (const family of families) {
    await check(`Internet, IPv${family}: active, the public web sees the gateway`, async () => {
      assert.equal(await seenBy(family), addressOf("gateway-1", family));
      const granted = again.events.all().flatMap((event) =>
        event.event === "access-granted" ? [names.get(event.resourceId)] : []
      );
      assert.ok(granted.includes("Internet"), `granted: ${granted}`);
      assert.equal((await ping(network, addressOf("public", family))).code, 0);
      assert.equal(
        (await dig(network.client, `@${addressOf("public", family)}`, "public.test", "MX")).status,
        "NOERROR",
      );
    });
  }
  await check("Internet: other resources are reached as before", async () => {
    assert.match(await network.curl("http://exact.site.test/"), /hello/);
    assert.match(await network.curl("http://172.20.0.10/"), /hello/);
  });
  await check("Internet: the gateway's private networks are no part of it", async () => {
    await assertRefused(network, "http://10.9.9.9/");
  });
}

/** Names of the resources that the client was told of, by id. */
function resourceNames(client: Role): Map<string, string> {
  const names = new Map<string, string>();
  for (const event of client.events.all()) {
    if (event.event === "signed-in") { for (const { id, name } of event.resources) names.set(id, name); }
  }
  return names;
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
