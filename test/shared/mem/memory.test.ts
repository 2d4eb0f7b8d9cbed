/** BareMemory and InterruptibleMemory: the same accesses; the latter takes interrupts between them. */
import { expect, test } from "vitest";
import { BareMemory } from "../../../src/shared/mem/bare_memory.ts";
import { InterruptibleMemory, NO_POINT } from "../../../src/shared/mem/interruptible_memory.ts";
import { atomic32, atomic_ptr, NULL, ptr, struct, u32, type Ptr } from "../../../src/shared/mem/struct.ts";

const S = struct("s", { a: u32, x: atomic32, p: ptr("t"), q: atomic_ptr("t") });
const { a: A, x: X, p: P, q: Q } = S.offset;
const s = 1024 as Ptr<"s">;
const PENDING = 64;
const buffer = (): SharedArrayBuffer => new SharedArrayBuffer(4096);

for (const make of [BareMemory, InterruptibleMemory]) {
  test(`${make.name}: every access does what its name says`, () => {
    const mem = new make(buffer(), PENDING);
    mem.write(s, A, 7);
    expect(mem.read(s, A)).toBe(7);
    mem.write_once(s, X, -1);
    expect(mem.fetch_add(s, X, 2)).toBe(-1);
    expect(mem.fetch_or(s, X, 6)).toBe(1);
    expect(mem.fetch_and(s, X, 3)).toBe(7);
    expect(mem.xchg(s, X, 9)).toBe(3);
    expect(mem.cmpxchg(s, X, 8, 1)).toBe(9);
    expect(mem.cmpxchg(s, X, 9, 1)).toBe(9);
    expect(mem.read_once(s, X)).toBe(1);
    mem.fill(2048, 8, 0x6b);
    expect(mem.load_word(2048)).toBe(0x6b6b6b6b);
    mem.store_byte(2049, 1);
    expect(mem.load_byte(2049)).toBe(1);
    mem.store_word(2052, 5);
    expect(mem.load_word(2052)).toBe(5);
    mem.count(s, A, 3);
    expect(mem.peek(s, A)).toBe(10);
  });
  test(`${make.name}: a store to a pointer slot clears its high word, one to a word touches nothing else`, () => {
    const mem = new make(buffer(), PENDING);
    mem.fill(s, 32, 0xff);
    mem.write(s, P, 4096 as Ptr<"t">);
    mem.init(s, Q, NULL);
    expect([...mem.words.subarray(258, 262)]).toEqual([4096, 0, 0, 0]);
    mem.write(s, A, 1);
    expect(mem.words[257]).toBe(-1);
  });
}

test("InterruptibleMemory: an interrupt is taken before the next access, whatever it is", () => {
  const mem = new InterruptibleMemory(buffer(), PENDING);
  let taken = 0;
  mem.attach({
    deliver: () => {
      taken++;
      mem.take_pending(-1);
    },
  });
  const accesses: (() => unknown)[] = [
    () => mem.read(s, A),
    () => mem.write(s, A, 1),
    () => mem.read_once(s, X),
    () => mem.write_once(s, X, 1),
    () => mem.xchg(s, X, 1),
    () => mem.cmpxchg(s, X, 1, 1),
    () => mem.fetch_add(s, X, 1),
    () => mem.fetch_or(s, X, 1),
    () => mem.fetch_and(s, X, 1),
    () => mem.init(s, A, 1),
    () => mem.data_race_read(s, X),
    () => mem.load_word(s),
    () => mem.store_word(s, 0),
    () => mem.load_byte(s),
    () => mem.store_byte(s, 0),
    () => mem.fill(s, 4, 0),
    () => mem.poll(0),
    () => mem.relax(),
    () => mem.raise(128 as Ptr<"cpu_pending">, 1),
  ];
  accesses.forEach((access, i) => {
    mem.raise(PENDING as Ptr<"cpu_pending">, 4);
    const before = taken;
    access();
    expect(taken, `access ${i}`).toBe(before + 1);
    access();
    expect(taken, `access ${i} again`).toBe(before + 1);
  });
  // Words of the own slot are no steps.
  mem.raise(PENDING as Ptr<"cpu_pending">, 4);
  const before = taken;
  mem.peek(s, A);
  mem.poke(s, A, 1);
  mem.count(s, A, 1);
  expect(taken).toBe(before);
});

test("InterruptibleMemory: the local source is asked after exactly as many steps as it said", () => {
  const mem = new InterruptibleMemory(buffer(), PENDING);
  const at: number[] = [];
  let steps = 0;
  mem.attachSource(
    {
      expired: () => {
        at.push(steps);
        return 3;
      },
      visited: () => NO_POINT,
    },
    5,
    NO_POINT,
  );
  for (; steps < 12; steps++) mem.read(s, A);
  expect(at).toEqual([4, 7, 10]);
});

test("InterruptibleMemory: a named point calls the source only while it is armed", () => {
  const mem = new InterruptibleMemory(buffer(), PENDING);
  const visits: number[] = [];
  mem.attachSource(
    {
      expired: () => 1000,
      visited: (point) => {
        visits.push(point);
        return visits.length < 2 ? point : NO_POINT;
      },
    },
    1000,
    3,
  );
  for (const point of [1, 3, 0, 3, 3, 2]) mem.poll(point);
  expect(visits).toEqual([3, 3]);
});

test("waiting ends at once if the pending word has changed, and is bounded if not", () => {
  const mem = new BareMemory(buffer(), PENDING);
  mem.raise(PENDING as Ptr<"cpu_pending">, 2);
  mem.wait(0);
  mem.wait(2);
  expect(mem.take_pending(3)).toBe(2);
  expect(mem.pending()).toBe(0);
});
