/**
 * A small language that says which packets are meant, after the one of pcap-filter(7): "tcp port 443 and not host
 * 192.0.2.1", "resource gitlab or icmp", "in and (net 10.0.0.0/8 or udp portrange 5000-5010)". Words side by side are
 * joined by "and"; "not" binds tightest, then "and", then "or".
 */

import { type IpAddress, IpNetwork } from "../base/ip.ts";
import { err, ok, type Result } from "../base/result.ts";
import { type PacketView, viewPacket } from "./packet_view.ts";

/** Whether a packet is meant. */
export type PacketFilter = (packet: Uint8Array, direction: "in" | "out") => boolean;

/** What is wrong with a filter. */
export interface FilterProblem {
  /** Counted from 1, in characters. */
  readonly position: number;
  /** A clause without capital and full stop. */
  readonly reason: string;
}

/**
 * Returns what tells whether an address on the far side belongs to the resource with a name, address or id; undefined if
 * there is no such resource.
 */
export type FindResource = (resource: string) => ((remote: IpAddress) => boolean) | undefined;

const MAX_TERMS = 64;
const MAX_DEPTH = 16;

/** Returns the filter that `text` describes; everything if it is empty. */
export function parsePacketFilter(
  text: string,
  findResource: FindResource = () => undefined,
): Result<PacketFilter, FilterProblem> {
  try {
    const test = new FilterParser(text, findResource).parse();
    return ok((packet, direction) => {
      const view = viewPacket(packet);
      return view !== undefined && test(view, direction);
    });
  } catch (problem) {
    if (problem instanceof Unreadable) return err(problem.problem);
    throw problem;
  }
}

type Test = (packet: PacketView, direction: "in" | "out") => boolean;
type Side = "src" | "dst" | "either";

interface Word {
  readonly text: string;
  readonly position: number;
  readonly isQuoted: boolean;
}

class Unreadable extends Error {
  readonly problem: FilterProblem;

  constructor(problem: FilterProblem) {
    super(problem.reason);
    this.problem = problem;
  }
}

class FilterParser {
  readonly #words: readonly Word[];
  readonly #end: number;
  readonly #findResource: FindResource;
  #next = 0;
  #terms = 0;

  constructor(text: string, findResource: FindResource) {
    this.#words = split(text);
    this.#end = text.length + 1;
    this.#findResource = findResource;
  }

  parse(): Test {
    if (this.#words.length === 0) return () => true;
    const test = this.#parseOr(0);
    const rest = this.#peek();
    if (rest !== undefined) throw this.#wrong(`"${rest.text}" has no "(" before it`);
    return test;
  }

  #parseOr(depth: number): Test {
    if (depth > MAX_DEPTH) throw this.#wrong("there are too many parentheses");
    const tests = [this.#parseAnd(depth)];
    while (this.#takeAny("or", "||")) tests.push(this.#parseAnd(depth));
    return tests.length === 1 ? tests[0]! : (packet, way) => tests.some((test) => test(packet, way));
  }

  #parseAnd(depth: number): Test {
    const tests = [this.#parseNot(depth)];
    for (;;) {
      const word = this.#peek();
      if (word === undefined || (!word.isQuoted && ["or", "||", ")"].includes(word.text))) break;
      this.#takeAny("and", "&&");
      tests.push(this.#parseNot(depth));
    }
    return tests.length === 1 ? tests[0]! : (packet, way) => tests.every((test) => test(packet, way));
  }

  #parseNot(depth: number): Test {
    let isNegated = false;
    while (this.#takeAny("not", "!")) isNegated = !isNegated;
    const test = this.#parseTerm(depth);
    return isNegated ? (packet, way) => !test(packet, way) : test;
  }

  #parseTerm(depth: number): Test {
    if (++this.#terms > MAX_TERMS) throw this.#wrong(`there are more than ${MAX_TERMS} terms`);
    if (this.#takeAny("(")) {
      const test = this.#parseOr(depth + 1);
      if (!this.#takeAny(")")) throw this.#wrong('")" is missing');
      return test;
    }
    const word = this.#take("a term");
    switch (word.text) {
      case "in":
      case "inbound":
        return (_packet, way) => way === "in";
      case "out":
      case "outbound":
        return (_packet, way) => way === "out";
      case "ip":
      case "ip6":
        return familyTest(word.text === "ip" ? 4 : 6);
      case "tcp":
      case "udp":
      case "icmp":
        return protocolTest(PROTOCOLS.get(word.text)!);
      case "proto":
        return protocolTest(this.#protocol());
      case "resource": {
        const name = this.#take("the name of a resource");
        const isOfResource = this.#findResource(name.text);
        if (isOfResource === undefined) {
          throw this.#wrong(`"${name.text}" is no resource of this session`, name);
        }
        return (packet, way) => isOfResource(way === "in" ? packet.source : packet.destination);
      }
      case "src":
      case "dst":
        return this.#parseSided(this.#take('"host", "net" or "port"'), word.text);
      default:
        return this.#parseSided(word, "either");
    }
  }

  #parseSided(word: Word, side: Side): Test {
    switch (word.text) {
      case "host":
      case "net":
        return addressTest(this.#network(word.text === "host"), side);
      case "port":
      case "portrange":
        return portTest(...this.#ports(), side);
      default:
        throw this.#wrong(`"${word.text}" is none of: ${TERMS.join(", ")}`, word);
    }
  }

  #network(isHost: boolean): IpNetwork {
    const word = this.#take(isHost ? "an address" : "a network");
    const network = IpNetwork.parse(word.text);
    if (network === undefined || (isHost && word.text.includes("/"))) {
      const what = isHost ? "IP address" : 'network such as "10.0.0.0/8"';
      throw this.#wrong(`"${word.text}" is no ${what}`, word);
    }
    return network;
  }

  #ports(): [first: number, last: number] {
    const word = this.#take("a port");
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(word.text);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last > 65535 || first > last) {
      throw this.#wrong(`"${word.text}" is neither a port nor a range such as "5000-5010"`, word);
    }
    return [first, last];
  }

  #protocol(): readonly number[] {
    const word = this.#take("a protocol");
    const known = PROTOCOLS.get(word.text);
    if (known !== undefined) return known;
    if (!/^\d{1,3}$/.test(word.text) || Number(word.text) > 255) {
      throw this.#wrong(`"${word.text}" is neither "tcp", "udp", "icmp" nor a number up to 255`, word);
    }
    return [Number(word.text)];
  }

  #peek(): Word | undefined {
    return this.#words[this.#next];
  }

  #take(wanted: string): Word {
    const word = this.#peek();
    if (word === undefined) throw this.#wrong(`${wanted} is missing`);
    this.#next++;
    return word;
  }

  #takeAny(...texts: readonly string[]): boolean {
    const word = this.#peek();
    if (word === undefined || word.isQuoted || !texts.includes(word.text)) return false;
    this.#next++;
    return true;
  }

  #wrong(reason: string, word: Word | undefined = this.#peek()): Unreadable {
    return new Unreadable({ position: word?.position ?? this.#end, reason });
  }
}

const TERMS = [
  "host",
  "net",
  "port",
  "proto",
  "tcp",
  "udp",
  "icmp",
  "ip",
  "ip6",
  "resource",
  "in",
  "out",
  "src",
  "dst",
  "not",
];

const PROTOCOLS: ReadonlyMap<string, readonly number[]> = new Map([
  ["tcp", [6]],
  ["udp", [17]],
  ["icmp", [1, 58]],
]);

function familyTest(family: 4 | 6): Test {
  return (packet) => packet.family === family;
}

function protocolTest(numbers: readonly number[]): Test {
  return (packet) => numbers.includes(packet.protocol);
}

function addressTest(network: IpNetwork, side: Side): Test {
  return (packet) =>
    packet.family === network.family &&
    ((side !== "dst" && network.containsBytes(packet.bytes, packet.sourceOffset)) ||
      (side !== "src" && network.containsBytes(packet.bytes, packet.destinationOffset)));
}

function portTest(first: number, last: number, side: Side): Test {
  const isMeant = (port: number | undefined) => port !== undefined && port >= first && port <= last;
  return ({ sourcePort, destinationPort }) =>
    (side !== "dst" && isMeant(sourcePort)) || (side !== "src" && isMeant(destinationPort));
}

/** Words are parted by space; parentheses and "!" stand alone; quotes hold a name together. */
function split(text: string): Word[] {
  const words: Word[] = [];
  for (const match of text.matchAll(/"([^"]*)("|$)|'([^']*)('|$)|[()]|!|[^\s()!"']+/g)) {
    const quoted = match[1] ?? match[3];
    const position = match.index + 1;
    if (quoted !== undefined && (match[2] ?? match[4]) === "") {
      throw new Unreadable({ position, reason: "the quotation mark has no counterpart" });
    }
    words.push({ text: quoted ?? match[0], position, isQuoted: quoted !== undefined });
  }
  return words;
}
