/**
 * The Internet checksum's sum (RFC 1071) over the arena by SIMD, some three times as fast as in JavaScript: a
 * WebAssembly function of 200 bytes, spelled out below, that has the arena as its memory.
 */

import { foldSum } from "../lib/wire/internet_sum.ts";
import { arena } from "./memory.ts";

/** Returns the sum of the `length` bytes at `offset` of the arena, as `internetSum` of `lib/wire` does. */
export function arenaSum(offset: number, length: number): number {
  return foldSum(rawSum(offset, length) >>> 0);
}

const I32 = 0x7f;
const V128 = 0x7b;

/** Locals of the function: two parameters, then its own. */
const POINTER = 0;
const LENGTH = 1;
const LIMIT = 2;
const SUM = 3;
const EVEN = 4;
const ODD = 5;

const get = (local: number) => [0x20, local];
const set = (local: number) => [0x21, local];
const i32 = (value: number) => [0x41, ...signed(value)];
const add = [0x6a];
const and = [0x71];
const shiftRight = [0x76];
const isGreater = [0x4b];
const isLess = [0x49];
const block = [0x02, 0x40];
const loop = [0x03, 0x40];
const whenTrue = [0x04, 0x40];
const end = [0x0b];
const branch = (depth: number) => [0x0c, depth];
const branchIf = (depth: number) => [0x0d, depth];
const load8 = [0x2d, 0, 0];
const load16 = [0x2f, 0, 0];
const loadVector = (offset: number) => [0xfd, 0x00, 0, offset];
/** Adds neighbouring 16-bit lanes into 32-bit ones. */
const pairwise = [0xfd, 0x7f];
const addVectors = [0xfd, 0xae, 0x01];
const lane = (index: number) => [0xfd, 0x1b, index];

const advance = (count: number) => [...get(POINTER), ...i32(count), ...add, ...set(POINTER)];
const accumulate = (vector: number, offset: number) => [
  ...get(vector),
  ...get(POINTER),
  ...loadVector(offset),
  ...pairwise,
  ...addVectors,
  ...set(vector),
];
const addToSum = (value: number[]) => [...get(SUM), ...value, ...add, ...set(SUM)];
/** Leaves whether fewer than `count` bytes are left. */
const lacks = (count: number) => [...get(POINTER), ...i32(count), ...add, ...get(LIMIT), ...isGreater];

const BODY = [
  ...[...get(POINTER), ...get(LENGTH), ...add, ...set(LIMIT)],
  // Two vectors a turn. A lane grows by at most 2^17 a turn and is asked to hold 2^11 turns of a packet.
  ...block,
  ...[...loop, ...lacks(32), ...branchIf(1)],
  ...[...accumulate(EVEN, 0), ...accumulate(ODD, 16), ...advance(32), ...branch(0)],
  ...[...end, ...end],
  ...[...block, ...lacks(16), ...branchIf(0), ...accumulate(EVEN, 0), ...advance(16), ...end],
  ...[...get(EVEN), ...get(ODD), ...addVectors, ...set(EVEN)],
  ...[0, 1, 2, 3].flatMap((index) => [
    ...addToSum([...get(EVEN), ...lane(index), ...i32(0xffff), ...and]),
    ...addToSum([...get(EVEN), ...lane(index), ...i32(16), ...shiftRight]),
  ]),
  ...block,
  ...[
    ...loop,
    ...lacks(2),
    ...branchIf(1),
    ...addToSum([...get(POINTER), ...load16]),
    ...advance(2),
    ...branch(0),
  ],
  ...[...end, ...end],
  ...[...get(POINTER), ...get(LIMIT), ...isLess],
  ...[...whenTrue, ...addToSum([...get(POINTER), ...load8]), ...end],
  ...get(SUM),
  ...end,
];

/** WebAssembly Core Specification 2.0 §5.5: type, import, function, export, code. */
const MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 2, I32, I32, 1, I32]),
  ...section(2, [1, 1, 0x65, 1, 0x6d, 0x02, 0x01, ...unsigned(pages()), ...unsigned(pages())]),
  ...section(3, [1, 0]),
  ...section(7, [1, 1, 0x73, 0x00, 0]),
  ...section(10, [1, ...sized([2, 2, I32, 2, V128, ...BODY])]),
]);

const rawSum = instantiate();

function instantiate(): (offset: number, length: number) => number {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), { e: { m: arena.memory } });
  return exports.s as (offset: number, length: number) => number;
}

function pages(): number {
  return arena.bytes.length / 65_536;
}

function section(id: number, content: number[]): number[] {
  return [id, ...sized(content)];
}

function sized(content: number[]): number[] {
  return [...unsigned(content.length), ...content];
}

/** LEB128 (§5.2.2). */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >>> 7)];
}
