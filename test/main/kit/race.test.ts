/** race(): what it hands to the explorer, what it refuses, and that real memory behaves alike. */
import { describe, expect, test } from "vitest";
import { UsageError } from "../../../src/main/errors.ts";
import {
  array,
  atomic32,
  attachMemory,
  Explorer,
  type Ptr,
  race,
  type Race,
  sharedBuffer,
  struct,
  type Thread,
  type ThreadMemory,
  u32,
} from "../../../src/main/kit/index.ts";

const Pair = struct("pair", { a: atomic32, b: u32 });
const { a: A, b: B } = Pair.offset;
type PairThread = Thread<"pair">;
const add: PairThread = (mem, pair) => mem.write_once(pair, A, mem.read_once(pair, A) + 1);
const nothing: PairThread = () => undefined;
type PairRace = Race<"pair", { readonly a: typeof atomic32; readonly b: typeof u32 }>;
const explorer = (of: Partial<PairRace>): Explorer =>
  new Explorer(race({ name: "pair", shared: Pair, threads: [add, add], ...of }));

test("setup comes first, pieces of a thread in their order, check at the end", () => {
  const note =
    (digit: number): PairThread =>
    (mem, pair) =>
      mem.write(pair, B, mem.read(pair, B) * 10 + digit);
  let last = 0;
  const run = explorer({
    setup: note(1),
    threads: [[note(2), note(3), note(4)]],
    check: (mem, pair) => {
      last = mem.read(pair, B);
      return undefined;
    },
  }).explore({ bound: 0 });
  expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
  expect(last).toBe(1234);
});

test("an invariant is looked at after each step, also where the end is fine again", () => {
  const swing: PairThread = (mem, pair) => {
    mem.write(pair, B, 1);
    mem.write(pair, B, 0);
  };
  const invariant = (mem: ThreadMemory, pair: Ptr<"pair">): string | undefined =>
    mem.read(pair, B) === 0 ? undefined : "b swings";
  const check = invariant;
  expect(explorer({ threads: [swing], check }).explore({ bound: 1 }).failure).toBeUndefined();
  expect(explorer({ threads: [swing], invariant }).explore({ bound: 1 }).failure?.message).toBe("CPU 0: b swings");
});

test("an interrupt comes between any two accesses of a thread, as often as it may", () => {
  const check: PairRace["check"] = (mem, pair) => (mem.read(pair, B) === mem.read_once(pair, A) ? undefined : "lost");
  const count: PairThread = (mem, pair) => mem.write(pair, B, mem.read(pair, B) + 1);
  const handler: PairThread = (mem, pair) => {
    mem.fetch_add(pair, A, 1);
    count(mem, pair);
  };
  const thread: PairThread = (mem, pair) => {
    mem.fetch_add(pair, A, 1);
    count(mem, pair);
  };
  const of = { threads: [thread], interrupt: handler, check };
  expect(explorer(of).explore({ bound: 0 }).failure?.message).toBe("lost");
  expect(explorer({ ...of, interrupts: 0 }).explore({ bound: 0 })).toMatchObject({ failure: undefined, exhausted: 0 });
});

test("an exception that a thread throws is a failure", () => {
  const reader: PairThread = (mem, pair) => {
    if (mem.read_once(pair, A) === 1) throw new RangeError("saw a half");
  };
  expect(explorer({ threads: [add, reader] }).explore({ bound: 1 }).failure?.message).toBe("RangeError: saw a half");
});

test("a thread that spins without relax() is a livelock, one that nobody releases a deadlock", () => {
  const spin = (turn: (mem: ThreadMemory) => void): PairThread => {
    return (mem, pair) => {
      while (mem.read_once(pair, A) === 0) turn(mem);
    };
  };
  const failure = (thread: PairThread): string | undefined =>
    explorer({ threads: [thread, nothing] }).explore({ random: 1 }).failure?.message;
  expect(failure(spin(() => undefined))).toContain("livelock");
  expect(failure(spin((mem) => mem.relax()))).toContain("deadlock");
});

test("the largest struct has room, to its last byte", () => {
  const Big = struct("big", { first: u32, rest: array(u32, (1 << 22) - 2), last: u32 });
  const thread: Thread<"big"> = (mem, big) => mem.write(big, Big.offset.last, 7);
  const run = new Explorer(
    race({
      name: "big",
      shared: Big,
      threads: [thread],
      check: (mem, big) => (mem.read(big, Big.offset.last) === 7 ? "written" : "lost"),
    }),
  ).explore({ bound: 0 });
  expect(run.failure?.message).toBe("written");
});

describe("refuses", () => {
  const wrong: readonly (readonly [what: string, of: Partial<PairRace>, message: string])[] = [
    ["no threads", { threads: [] }, "threads is empty: give at least one function"],
    ["too many", { threads: Array.from({ length: 11 }, () => add) }, "11 threads: at most 10 can run"],
    ["a thread without pieces", { threads: [add, []] }, "thread 1 is an empty list: give at least one function"],
    ["no function", { threads: [7 as unknown as PairThread] }, "thread 0 must be a function or a list of them"],
    ["no list", { threads: add as unknown as [] }, "threads must be a list of functions"],
    ["no struct", { shared: {} as typeof Pair }, "shared must be what struct() returned"],
    ["half an interrupt", { interrupt: add, interrupts: 0.5 }, "interrupts must be an integer from 0 up, not 0.5"],
  ];
  test.each(wrong)("%s", (_, of, message) => {
    expect(() => race({ name: "pair", shared: Pair, threads: [add], ...of })).toThrow(
      new UsageError(`race pair: ${message}`),
    );
  });
  test("a struct that is too big", () => {
    const Huge = struct("huge", { words: array(u32, 1 << 23) });
    expect(() => race({ name: "huge", shared: Huge, threads: [() => undefined] })).toThrow(
      new UsageError("race huge: struct huge takes 33554432 bytes: at most 16777216 can be shared"),
    );
  });
});

describe("on a real worker's memory", () => {
  test("the same functions work on a buffer", () => {
    const buffer = sharedBuffer(Pair);
    const { mem, shared } = attachMemory(Pair, buffer);
    add(mem, shared);
    add(attachMemory(Pair, buffer).mem, shared);
    mem.write(shared, B, 5);
    expect([mem.read_once(shared, A), mem.read(shared, B)]).toEqual([2, 5]);
    expect(shared).not.toBe(0); // NULL
  });
  test("the struct keeps its alignment", () => {
    const Wide = struct("wide", { word: u32 }, { align: 4096 });
    expect(attachMemory(Wide, sharedBuffer(Wide)).shared % 4096).toBe(0);
  });
  test("a buffer that is not shared is refused", () => {
    const own = new ArrayBuffer(256) as unknown as SharedArrayBuffer;
    expect(() => attachMemory(Pair, own)).toThrow(
      new UsageError("struct pair needs a SharedArrayBuffer: make it by sharedBuffer()"),
    );
  });
  test("a buffer that is too small is refused", () => {
    expect(() => attachMemory(Pair, new SharedArrayBuffer(64))).toThrow(
      new UsageError("struct pair needs a buffer of 72 bytes, this one has 64: make it by sharedBuffer()"),
    );
  });
});
