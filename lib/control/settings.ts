/**
 * The settings of a client session, all of them, each declared once: its key in a profile, its flags, its variables,
 * its default and what it means. Flags, `fz config`, profiles and the manual come from this table. Variables are in the
 * order in which they win: ours, then upstream's (client-behaviour.md A.3). A secret is never a setting.
 */

import type { IpNetwork, SocketAddress } from "../base/ip.ts";
import { nearest } from "../base/nearest.ts";
import type { Duration } from "../base/time.ts";
import { DNS_CONTROLS, type DnsControl } from "../host/dns_control.ts";
import {
  ADDRESS,
  choiceKind,
  DURATION,
  filterKind,
  listKind,
  NETWORKS,
  numberKind,
  pathKind,
  patternKind,
  SWITCH,
  textKind,
  urlKind,
  type ValueKind,
} from "./setting_value.ts";

/** What a session, and whoever starts it, can be told. */
export interface Settings {
  /** Base URL of the portal. */
  readonly apiUrl: string;
  readonly name: string | undefined;
  readonly id: string | undefined;
  /** The profile's own place where undefined. */
  readonly tokenPath: string | undefined;
  readonly dnsControl: DnsControl | undefined;
  readonly internetResource: boolean;
  /** Names or ids. */
  readonly disabledResources: readonly string[];
  readonly tunName: string | undefined;
  /** Bytes. */
  readonly mtu: number | undefined;
  /** Of our UDP sockets. */
  readonly port: number | undefined;
  readonly excluded: readonly IpNetwork[];
  readonly lan: "allow" | "deny";
  readonly maxPartitionTime: Duration | undefined;
  readonly failFast: boolean;
  readonly listen: SocketAddress | undefined;
  readonly increaseBuffers: boolean;
  readonly flowLogs: boolean;
  readonly logFilter: string;
  readonly logFormat: "text" | "json";
  readonly logDir: string | undefined;
  readonly authBaseUrl: string;
  readonly accountSlug: string | undefined;
}

/** The name of a setting in the program. */
export type SettingName = keyof Settings;

/** One setting. */
export interface Setting<T> {
  /** Name in profiles and for `fz config`. */
  readonly key: string;
  /** The first long one is its name in messages. */
  readonly flags: readonly [Flag, ...Flag[]];
  /** Turns a switch off; "--no-" and the name where undefined. */
  readonly off?: Flag;
  /** The first that is set and not empty wins. */
  readonly variables: readonly [string, ...string[]];
  readonly kind: ValueKind<NonNullable<T>>;
  readonly fallback: T;
  /** One sentence. */
  readonly description: string;
}

/** Text that begins with a hyphen. */
export type Flag = `-${string}`;

/** Every setting, in the order of `fz config show`. */
export const SETTINGS: { readonly [K in SettingName]: Setting<Settings[K]> } = {
  apiUrl: {
    key: "api-url",
    flags: ["-u", "--api-url"],
    variables: ["FZ_API_URL", "FIREZONE_API_URL"],
    kind: urlKind(["wss", "https", "ws", "http"]),
    fallback: "wss://api.firezone.dev/",
    description: "Portal to connect to.",
  },
  name: {
    key: "name",
    flags: ["--firezone-name"],
    variables: ["FZ_NAME", "FIREZONE_NAME"],
    kind: textKind("NAME"),
    fallback: undefined,
    description: "Name shown to administrators; the host's name otherwise.",
  },
  id: {
    key: "id",
    flags: ["-i", "--firezone-id"],
    variables: ["FZ_ID", "FIREZONE_ID"],
    kind: textKind("ID"),
    fallback: undefined,
    description: "Identity of this device; kept or derived from the machine otherwise.",
  },
  tokenPath: {
    key: "token-path",
    flags: ["--token-path"],
    variables: ["FZ_TOKEN_PATH", "FIREZONE_TOKEN_PATH"],
    kind: pathKind("FILE"),
    fallback: undefined,
    description: "File with the token, where FIREZONE_TOKEN is not set; the profile's own otherwise.",
  },
  dnsControl: {
    key: "dns-control",
    flags: ["--dns-control"],
    variables: ["FZ_DNS_CONTROL", "FIREZONE_DNS_CONTROL"],
    kind: choiceKind("METHOD", DNS_CONTROLS, { off: "disabled", none: "disabled" }),
    fallback: undefined,
    description: "Which service of the machine sends names to the client; what fits the machine otherwise.",
  },
  internetResource: {
    key: "internet",
    flags: ["--activate-internet-resource"],
    off: "--no-internet",
    variables: ["FZ_INTERNET", "FIREZONE_ACTIVATE_INTERNET_RESOURCE"],
    kind: SWITCH,
    fallback: false,
    description: "Send all traffic through the tunnel, where policy allows.",
  },
  disabledResources: {
    key: "disabled-resources",
    flags: ["--disable-resource"],
    variables: ["FZ_DISABLED_RESOURCES"],
    kind: listKind("RESOURCE"),
    fallback: [],
    description: "Resources, by name or id, that stay out of the tunnel.",
  },
  tunName: {
    key: "tun-name",
    flags: ["--tun-name"],
    variables: ["FZ_TUN_NAME"],
    kind: patternKind(
      "INTERFACE",
      /^(?!\.{1,2}$)[^\s/:%]{1,15}$/,
      "a device's name of at most 15 characters",
    ),
    fallback: undefined,
    description: "Name of the TUN device.",
  },
  mtu: {
    key: "mtu",
    flags: ["--mtu"],
    variables: ["FZ_MTU"],
    kind: numberKind("BYTES", 576, 1280),
    fallback: undefined,
    description: "Largest packet in the tunnel; 1280 otherwise. Less than that is without IPv6.",
  },
  port: {
    key: "port",
    flags: ["--port"],
    variables: ["FZ_PORT"],
    kind: numberKind("PORT", 1, 65_535),
    fallback: undefined,
    description: "UDP port to reach peers from; 52625 otherwise. If it is taken, any free one.",
  },
  excluded: {
    key: "exclude",
    flags: ["--exclude"],
    variables: ["FZ_EXCLUDE"],
    kind: NETWORKS,
    fallback: [],
    description: "Networks that stay out of the tunnel, even where a resource covers them.",
  },
  lan: {
    key: "lan",
    flags: ["--lan"],
    variables: ["FZ_LAN"],
    kind: choiceKind("CHOICE", ["allow", "deny"]),
    fallback: "allow",
    description: "Whether local networks are reached directly while everything else goes into the tunnel.",
  },
  maxPartitionTime: {
    key: "max-partition-time",
    flags: ["-m", "--max-partition-time"],
    variables: ["FZ_MAX_PARTITION_TIME", "MAX_PARTITION_TIME"],
    kind: DURATION,
    fallback: undefined,
    description: "Give up when the portal has been away for this long; never otherwise.",
  },
  failFast: {
    key: "fail-fast",
    flags: ["--fail-fast"],
    variables: ["FZ_FAIL_FAST"],
    kind: SWITCH,
    fallback: false,
    description: "Give up if the portal cannot be reached at the start, instead of retrying.",
  },
  listen: {
    key: "listen",
    flags: ["--listen"],
    variables: ["FZ_LISTEN"],
    kind: ADDRESS,
    fallback: undefined,
    description: "Serve /healthz, /readyz and /metrics at this address.",
  },
  increaseBuffers: {
    key: "inc-buf",
    flags: ["--inc-buf"],
    variables: ["FZ_INC_BUF", "FIREZONE_INC_BUF"],
    kind: SWITCH,
    fallback: false,
    description:
      "Raise the kernel's limits of socket buffers, for a gateway; a session may pass them by anyway.",
  },
  flowLogs: {
    key: "flow-logs",
    flags: ["--flow-logs"],
    variables: ["FZ_FLOW_LOGS", "FIREZONE_FLOW_LOGS"],
    kind: SWITCH,
    fallback: false,
    description: "Log every flow; taken from upstream, and not supported yet.",
  },
  logFilter: {
    key: "log-filter",
    flags: ["--log-filter"],
    variables: ["FZ_LOG_FILTER", "RUST_LOG"],
    kind: filterKind("FILTER"),
    fallback: "info",
    description: "How much to log: a level, or a list such as info,ice=trace.",
  },
  logFormat: {
    key: "log-format",
    flags: ["--log-format"],
    variables: ["FZ_LOG_FORMAT", "FIREZONE_LOG_FORMAT"],
    kind: choiceKind("TYPE", ["text", "json"]),
    fallback: "text",
    description: "Form of a log line.",
  },
  logDir: {
    key: "log-dir",
    flags: ["-l", "--log-dir"],
    variables: ["FZ_LOG_DIR", "LOG_DIR"],
    kind: pathKind("FOLDER"),
    fallback: undefined,
    description: "Write log files there too.",
  },
  authBaseUrl: {
    key: "auth-base-url",
    flags: ["--auth-base-url"],
    variables: ["FZ_AUTH_BASE_URL", "FIREZONE_AUTH_BASE_URL"],
    kind: urlKind(["https", "http"]),
    fallback: "https://app.firezone.dev",
    description: "Where to sign in with a browser.",
  },
  accountSlug: {
    key: "account-slug",
    flags: ["--account-slug"],
    variables: ["FZ_ACCOUNT_SLUG", "FIREZONE_ACCOUNT_SLUG"],
    kind: patternKind("ACCOUNT", /^[A-Za-z0-9_-]{1,100}$/, "the slug or id of an account"),
    fallback: undefined,
    description: "Account to sign in to.",
  },
};

/** All names, in the order of the table. */
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** Variables of upstream that are known here and have no effect. */
export const IGNORED_VARIABLES: readonly string[] = [
  "FIREZONE_METRICS",
  "FIREZONE_MTLS_HOST",
  "FIREZONE_NO_TELEMETRY",
  "FIREZONE_UDP_RECV_BUFFER_SIZE",
  "FIREZONE_UDP_SEND_BUFFER_SIZE",
  "FIREZONE_WINTUN_RINGBUFFER_SIZE",
  "OTLP_GRPC_ENDPOINT",
];

/** Returns the setting with `key` in a profile, or undefined. */
export function settingNamed(key: string): SettingName | undefined {
  return SETTING_NAMES.find((name) => SETTINGS[name].key === key);
}

/** Returns why `key` is no setting. */
export function unknownSetting(key: string): string {
  const meant = nearest(key, Object.values(SETTINGS).map((setting) => setting.key));
  const shown = JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key);
  return `unknown setting ${shown}${meant === undefined ? "" : `. Did you mean "${meant}"?`}`;
}
