/** Properties of objects on the bus, and what several users of it ask (D-Bus Specification, "Standard Interfaces"). */

import { err, ok, type Result } from "../../../lib/base/result.ts";
import { type DBusValue, isObjectPath, Variant } from "../../../lib/wire/dbus/value.ts";
import { BUS, Bus, type BusError } from "./bus.ts";

/** An object of a service, by one of its interfaces. */
export interface BusObject {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
}

const PROPERTIES = "org.freedesktop.DBus.Properties";

/** What an answer may take, in milliseconds, where somebody waits who can do without. */
export const QUICK_MS = 2500;

/** Runs `work` on a connection of its own, which is closed after it. Each answer may take `timeoutMs`. */
export async function withBus<T>(
  work: (bus: Bus) => Promise<Result<T, BusError>>,
  timeoutMs?: number,
): Promise<Result<T, BusError>> {
  return await closing(await Bus.open(undefined, timeoutMs), work);
}

/**
 * Like `withBus`, for what is asked every now and then: a service that somebody stopped is not started, and one that is
 * restarted is not waited for.
 */
export async function withRunning<T>(
  work: (bus: Bus) => Promise<Result<T, BusError>>,
  timeoutMs = QUICK_MS,
): Promise<Result<T, BusError>> {
  return await closing(await Bus.open(undefined, timeoutMs, undefined, true), work);
}

/** Returns the value of one property. */
export async function getProperty(
  bus: Bus,
  { destination, path, interface: iface }: BusObject,
  name: string,
): Promise<Result<DBusValue, BusError>> {
  const got = await bus.call({
    destination,
    path,
    interface: PROPERTIES,
    member: "Get",
    signature: "ss",
    body: [iface, name],
  });
  if (!got.ok) return got;
  const [variant] = got.value;
  return variant instanceof Variant ? ok(variant.value) : err(UNEXPECTED);
}

/** Returns the user that the bus takes us for, which in a container may be another than we see. */
export async function ownUser(bus: Bus): Promise<number | undefined> {
  const user = await bus.call({
    ...BUS,
    member: "GetConnectionUnixUser",
    signature: "s",
    body: [bus.uniqueName],
  });
  return user.ok && typeof user.value[0] === "number" ? user.value[0] : undefined;
}

/** Returns the path of an object that an answer begins with; undefined where it is none, which a plain string may be. */
export function pathIn([path]: readonly DBusValue[]): string | undefined {
  return typeof path === "string" && isObjectPath(path) ? path : undefined;
}

/** What an answer of another shape than documented is called. */
export const UNEXPECTED: BusError = {
  name: "org.freedesktop.DBus.Error.InvalidSignature",
  message: "the answer has another shape than documented",
};

async function closing<T>(
  bus: Result<Bus, BusError>,
  work: (bus: Bus) => Promise<Result<T, BusError>>,
): Promise<Result<T, BusError>> {
  if (!bus.ok) return bus;
  try {
    return await work(bus.value);
  } finally {
    bus.value.close();
  }
}

/** `value` as an array of arrays: empty where it is none. */
export function rows(value: DBusValue | undefined): readonly (readonly DBusValue[])[] {
  return Array.isArray(value) ? value.filter((row) => Array.isArray(row)) : [];
}
