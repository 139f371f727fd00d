/** The machine's network as the kernel has it, listed and changed by netlink. Every call is answered at once. */

import type { Family, IpAddress } from "../../../lib/base/ip.ts";
import {
  addAddress,
  type Address,
  type AddressSpec,
  listAddresses,
  readLinkAddress,
  removeAddress,
} from "./address.ts";
import { changeLink, findLink, type Link, type LinkChange, listLinks, readLink } from "./link.ts";
import type { NetlinkError, Request } from "./message.ts";
import {
  addRoute,
  findRoute,
  listRoutes,
  readRoute,
  removeRoute,
  type Route,
  type RouteFilter,
  type RouteSpec,
} from "./route.ts";
import { addRule, listRules, readRule, removeRule, type Rule, type RuleSpec } from "./rule.ts";
import { NetlinkSocket } from "./socket.ts";

export { type Address, AddressFlag, type AddressSpec } from "./address.ts";
export type { Link, LinkChange, OperState } from "./link.ts";
export type { NetlinkError } from "./message.ts";
export {
  MainTable,
  type NextHop,
  type Route,
  type RouteFilter,
  type RouteSpec,
  type RouteType,
  Scope,
} from "./route.ts";
export type { PortRange, Rule, RuleAction, RuleSpec } from "./rule.ts";

/** One change among several. */
export type Edit =
  | { readonly type: "add-address"; readonly address: AddressSpec }
  | { readonly type: "remove-address"; readonly address: AddressSpec }
  | { readonly type: "set-link"; readonly link: LinkChange }
  /** With `replace` in place of one with the same destination, table and metric. */
  | { readonly type: "add-route"; readonly route: RouteSpec; readonly replace?: boolean }
  | { readonly type: "remove-route"; readonly route: RouteSpec }
  | { readonly type: "add-rule"; readonly rule: RuleSpec }
  | { readonly type: "remove-rule"; readonly rule: RuleSpec };

/**
 * A connection to the kernel's network configuration. Listings throw a Fault where the kernel refuses them, and are
 * empty where it lacks what is listed; a change that the kernel refuses is a value.
 */
export class NetlinkRoute {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /**
   * With `isStrict` false as with kernels before 4.20, which list everything; for tests. Throws a Fault ("unexpected")
   * where there is no netlink.
   */
  static open(options: { readonly isStrict?: boolean } = {}): NetlinkRoute {
    return new NetlinkRoute(new NetlinkSocket(options));
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  links(): Link[] {
    return this.#socket.dump(listLinks(), readLink);
  }

  /** Returns the link `name`, undefined if there is none. */
  link(name: string): Link | undefined {
    return this.#socket.get(findLink(name), readLink);
  }

  addresses(): Address[] {
    return this.#socket.dump(listAddresses(), readLinkAddress);
  }

  /** Returns the routes of all tables, those that the kernel cached left out. */
  routes(filter: RouteFilter = {}): Route[] {
    const families: readonly Family[] = filter.family === undefined ? [4, 6] : [filter.family];
    const table = this.#socket.isStrict ? filter.table : undefined;
    return families.flatMap((family) =>
      this.#socket.dump(
        listRoutes(family, table),
        (type, body) => readRoute(type, body, { ...filter, family }),
      )
    );
  }

  /**
   * Returns the way that a packet of this machine to `destination` with `mark` takes by all rules and tables, as a route to
   * that one address; undefined where there is none. Nothing is sent.
   */
  lookUp(destination: IpAddress, mark: number): Route | undefined {
    return this.#socket.get(
      findRoute(destination, mark),
      (type, body) => readRoute(type, body, { family: destination.family }, true),
    );
  }

  /** Returns the rules in the order in which they are asked. */
  rules(family: Family): Rule[] {
    return this.#socket.dump(listRules(family), (type, body) => {
      const rule = readRule(type, body);
      return rule?.family === family ? rule : undefined;
    });
  }

  /** Adds an address; one that is there already is changed. */
  addAddress(address: AddressSpec): NetlinkError | undefined {
    return this.#apply({ type: "add-address", address });
  }

  removeAddress(address: AddressSpec): NetlinkError | undefined {
    return this.#apply({ type: "remove-address", address });
  }

  setLink(link: LinkChange): NetlinkError | undefined {
    return this.#apply({ type: "set-link", link });
  }

  /** With `replace` in place of one with the same destination, table and metric; else such a one means EEXIST. */
  addRoute(route: RouteSpec, { replace = false }: { replace?: boolean } = {}): NetlinkError | undefined {
    return this.#apply({ type: "add-route", route, replace });
  }

  /** Removes the first route that has everything that `route` names. ESRCH if there is none. */
  removeRoute(route: RouteSpec): NetlinkError | undefined {
    return this.#apply({ type: "remove-route", route });
  }

  /** EEXIST if there is one with all the same conditions. */
  addRule(rule: RuleSpec): NetlinkError | undefined {
    return this.#apply({ type: "add-rule", rule });
  }

  /** Removes the first rule that has everything that `rule` names, `not` aside. ENOENT if there is none. */
  removeRule(rule: RuleSpec): NetlinkError | undefined {
    return this.#apply({ type: "remove-rule", rule });
  }

  /** Makes all `edits` in order, each even if one before it was refused. Returns the refusals at the same places. */
  apply(edits: readonly Edit[]): (NetlinkError | undefined)[] {
    return this.#socket.change(edits.map(requestFor));
  }

  #apply(edit: Edit): NetlinkError | undefined {
    return this.apply([edit])[0];
  }
}

/** Returns the index of the link `name`, undefined if there is none. Throws as `NetlinkRoute.open` does. */
export function linkIndex(name: string): number | undefined {
  using network = NetlinkRoute.open();
  return network.link(name)?.index;
}

function requestFor(edit: Edit): Request {
  switch (edit.type) {
    case "add-address":
      return addAddress(edit.address);
    case "remove-address":
      return removeAddress(edit.address);
    case "set-link":
      return changeLink(edit.link);
    case "add-route":
      return addRoute(edit.route, edit.replace);
    case "remove-route":
      return removeRoute(edit.route);
    case "add-rule":
      return addRule(edit.rule);
    case "remove-rule":
      return removeRule(edit.rule);
  }
}
