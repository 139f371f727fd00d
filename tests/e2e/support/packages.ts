/**
 * Debian packages on a lab host, without installing them on this machine: their scripts would rewrite its resolv.conf and
 * start daemons. `sh install.sh --dev` downloads them; here they are unpacked into the host's own /run and laid over its
 * /usr, /etc and /var/lib. All of it ends with the host.
 */

import type { Host } from "../../../io/lab/host.ts";

/** Packages that `sh install.sh --dev` downloads. */
export type PackageName = "systemd-resolved" | "network-manager" | "resolvconf" | "openresolv";

/** Whom a package's script would add to the machine's users. */
const USERS: Partial<Record<PackageName, string>> = { "systemd-resolved": "systemd-resolve" };

/**
 * Gives `host` the files of `names` and of what they need that this machine has not installed. Nothing is started, and
 * the packages' scripts do not run. Throws an Error that says what to do where a package was not downloaded.
 */
export async function usePackages(host: Host, names: readonly PackageName[]): Promise<void> {
  const downloaded = await findDownloads();
  const files = new Map<string, string>();
  for (const name of names) {
    if (!downloaded.has(name)) {
      throw new Error(
        `The Debian package "${name}" was not downloaded to ${
          folders().join(" or ")
        }: run "sh install.sh --dev"`,
      );
    }
    await addWithNeeds(host, name, downloaded, files);
  }
  const users = names.flatMap((name) => USERS[name] ?? []);
  await host.must(["sh", "-c", UNPACK, "unpack", users.join(" "), ...files.values()]);
}

async function addWithNeeds(
  host: Host,
  name: string,
  downloaded: ReadonlyMap<string, string>,
  files: Map<string, string>,
): Promise<void> {
  const path = downloaded.get(name);
  if (path === undefined || files.has(name)) return;
  files.set(name, path);
  const needs = await host.must(["dpkg-deb", "--field", path, "Depends", "Pre-Depends"]);
  for (const [, need] of needs.matchAll(/(?:^(?:Pre-)?Depends:|[,|])\s*([a-z0-9][a-z0-9.+-]+)/gm)) {
    // One that the machine has is not in the folder; alternatives that conflict were not asked for.
    if (!(ASKED as readonly string[]).includes(need!)) await addWithNeeds(host, need!, downloaded, files);
  }
}

const ASKED: readonly PackageName[] = ["systemd-resolved", "network-manager", "resolvconf", "openresolv"];

function folders(): string[] {
  const home = Deno.env.get("HOME");
  return ["/usr/local/lib/fz/debs", ...(home === undefined ? [] : [`${home}/.local/share/fz/debs`])];
}

/** Returns the newest file of each package, by its name. */
async function findDownloads(): Promise<Map<string, string>> {
  const found = new Map<string, { path: string; time: number }>();
  for (const folder of folders()) {
    try {
      for await (const { name } of Deno.readDir(folder)) {
        if (!name.endsWith(".deb")) continue;
        const path = `${folder}/${name}`;
        const time = (await Deno.stat(path)).mtime?.getTime() ?? 0;
        const key = name.slice(0, name.indexOf("_"));
        if ((found.get(key)?.time ?? -1) < time) found.set(key, { path, time });
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return new Map([...found].map(([name, { path }]) => [name, path]));
}

/**
 * Each call is a layer of its own, for what lies under a mounted overlay must not change. Owners are not kept: in an
 * ordinary user's namespace there is only one.
 */
const UNPACK = `
users=$1
shift
all=/run/fz-packages
number=$(ls "$all" 2>/dev/null | wc -l)
layer=$all/$((number + 1))
mkdir -p "$layer/usr" || exit 1
for file in "$@"; do
  dpkg-deb --fsys-tarfile "$file" | tar -x --no-same-owner -C "$layer" || exit 1
done
for folder in bin sbin lib lib64; do
  [ ! -d "$layer/$folder" ] || { mkdir -p "$layer/usr/$folder" && cp -a "$layer/$folder/." "$layer/usr/$folder/"; } || exit 1
done
lower=/usr
for one in $(seq 1 $((number + 1))); do lower=$all/$one/usr:$lower; done
[ "$number" = 0 ] || umount --lazy /usr || exit 1
mount -t overlay overlay -o ro,lowerdir="$lower" /usr || exit 1
# What is a link into the machine's own folder becomes a copy, so that nothing is written there.
own() {
  [ -L "$1" ] || return 0
  original=$(readlink -f "$1")
  rm "$1"
  cp -dR --preserve=mode "$original" "$1" 2>/dev/null || true
}
for part in etc var/lib; do
  [ -d "$layer/$part" ] || continue
  for path in "$layer/$part"/*; do own "/$part/\${path##*/}"; done
  cp -dR --preserve=mode "$layer/$part/." "/$part/" || exit 1
done
id=991
awk '{ count += $3 } END { exit count < 1000 }' /proc/self/uid_map || id=0
for user in $users; do
  own /etc/passwd
  own /etc/group
  printf '%s:x:%s:%s::/:/usr/sbin/nologin\\n' "$user" $id $id >>/etc/passwd
  printf '%s:x:%s:\\n' "$user" $id >>/etc/group
done
`;
