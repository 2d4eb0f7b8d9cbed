/** SharedOracle on one thread: right sequences are silent, and each wrong one is reported. */
import { describe, expect, test } from "vitest";
import {
  O_DEFERRED,
  O_DEFERRED_RCU,
  O_FREELIST,
  O_KRC,
  O_NONE,
  O_RCU_SHEAF,
  O_SHEAF,
  O_TRANSIT,
  O_USER,
} from "../../../src/shared/mem/oracle.ts";
import { SharedOracle } from "../../../src/shared/mem/shared_oracle.ts";
import { NULL, type Ptr } from "../../../src/shared/mem/struct.ts";

const BYTES = 1 << 16;
const SLAB = 0x2000;
const SIZE = 64;
const COUNT = 16;
const object = (i: number): Ptr => (SLAB + i * SIZE) as Ptr;
const A = object(0);
const KEY = 0x4000 as Ptr;
const OTHER_KEY = 0x4008 as Ptr;

/** A machine of 3 CPUs with one slab, all objects on its freelist. */
function oracleWithSlab(ring?: number): SharedOracle {
  const oracle = SharedOracle.create(BYTES, 3, ring);
  expect(oracle.slab(0, SLAB, SIZE, COUNT, O_NONE, O_FREELIST, 0)).toBeUndefined();
  return oracle;
}
/** Moves an object through places, each step by the given CPU. */
function walk(oracle: SharedOracle, cpu: number, p: Ptr, ...places: number[]): void {
  for (let i = 1; i < places.length; i++) {
    expect(oracle.move(cpu, p, places[i - 1], places[i], 0)).toBeUndefined();
  }
}

describe("moves", () => {
  test.each([
    ["allocated from a slab, freed to it", [O_FREELIST, O_TRANSIT, O_USER, O_TRANSIT, O_FREELIST]],
    ["through a sheaf", [O_FREELIST, O_TRANSIT, O_SHEAF, O_USER, O_SHEAF, O_TRANSIT, O_FREELIST]],
    ["kfree_nolock, deferred", [O_FREELIST, O_USER, O_TRANSIT, O_DEFERRED, O_TRANSIT, O_FREELIST]],
    ["kfree_rcu_nolock, deferred", [O_FREELIST, O_USER, O_DEFERRED_RCU, O_RCU_SHEAF, O_TRANSIT, O_SHEAF]],
    ["kfree_rcu by krc", [O_FREELIST, O_USER, O_KRC, O_USER, O_TRANSIT, O_FREELIST]],
  ])("%s", (_, places) => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, ...places);
    expect(oracle.place(A)).toBe(places.at(-1));
  });
  test("one of several origins is enough, and any CPU may be the next", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 0, A, O_FREELIST, O_USER, O_DEFERRED_RCU);
    expect(oracle.move(2, A, O_USER | O_DEFERRED_RCU, O_KRC, 0)).toBeUndefined();
  });
  test("for nolock functions: what was allowed, from then on until the free has ended", () => {
    const oracle = oracleWithSlab();
    expect(oracle.forbids_nolock(A)).toBe(false); // It has no user.
    walk(oracle, 0, A, O_FREELIST, O_USER);
    expect(oracle.forbids_nolock(A)).toBe(true);
    oracle.allow_nolock(A);
    expect(oracle.forbids_nolock(A)).toBe(false);
    walk(oracle, 0, A, O_USER, O_KRC, O_USER);
    expect(oracle.forbids_nolock(A)).toBe(false);
    walk(oracle, 0, A, O_USER, O_TRANSIT, O_SHEAF, O_USER);
    expect(oracle.forbids_nolock(A)).toBe(true);
    expect(oracle.forbids_nolock((BYTES + 8) as Ptr)).toBe(false); // No object at all: move() says so.
  });
  test("a slab comes and goes as a whole, any number of times", () => {
    const oracle = oracleWithSlab();
    for (let i = 0; i < 5; i++) {
      expect(oracle.slab(1, SLAB, SIZE, COUNT, O_FREELIST, O_NONE, 0)).toBeUndefined();
      expect(oracle.slab(2, SLAB, 2 * SIZE, COUNT / 2, O_NONE, O_FREELIST, 0)).toBeUndefined();
      expect(oracle.slab(1, SLAB, 2 * SIZE, COUNT / 2, O_FREELIST, O_NONE, 0)).toBeUndefined();
      expect(oracle.slab(0, SLAB, SIZE, COUNT, O_NONE, O_FREELIST, 0)).toBeUndefined();
    }
  });

  test.each([
    ["kfree twice", [O_FREELIST, O_USER, O_SHEAF], O_USER, O_TRANSIT, /double free.*from user to transit.*in sheaf/],
    ["kfree after kfree_rcu", [O_FREELIST, O_USER, O_RCU_SHEAF], O_USER, O_TRANSIT, /double free.*in rcu_sheaf/],
    [
      "deferred twice",
      [O_FREELIST, O_USER, O_DEFERRED],
      O_USER | O_TRANSIT,
      O_DEFERRED,
      /double free.*user or transit/,
    ],
    ["from two sheaves", [O_FREELIST, O_SHEAF, O_USER], O_SHEAF, O_USER, /given out twice.*from sheaf to user/],
    [
      "from slab and sheaf",
      [O_FREELIST, O_SHEAF],
      O_FREELIST,
      O_TRANSIT,
      /wrong place.*from freelist to transit.*in sheaf/,
    ],
    ["from a freelist that holds what is in use", [O_FREELIST, O_USER], O_FREELIST, O_TRANSIT, /given out twice/],
  ])("%s", (_, places, from, to, text) => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, ...places);
    const fault = oracle.move(2, A, from, to, 0);
    expect(fault?.object).toBe(A);
    expect(fault?.what).toMatch(text);
    expect(fault?.what).toContain(`object 0x${A.toString(16)}: `);
    expect(fault?.what).toContain("CPU 2 moves it");
    expect(fault?.what).toContain("CPU 1 put it");
    expect(oracle.place(A)).toBe(places.at(-1));
  });
  test("the CPU that is freeing the object is named", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, O_FREELIST, O_USER, O_DEFERRED_RCU);
    walk(oracle, 2, A, O_DEFERRED_RCU, O_KRC);
    expect(oracle.move(0, A, O_USER, O_TRANSIT, 0)?.what).toMatch(/in krc, where CPU 2 put it; CPU 1 is freeing it/);
  });
  test("memory that is no object", () => {
    const oracle = oracleWithSlab();
    expect(oracle.move(0, object(COUNT), O_USER, O_SHEAF, 0)?.what).toMatch(/not an object.*belongs to no slab/);
    expect(oracle.move(0, (A + 8) as Ptr, O_USER, O_SHEAF, 0)?.what).toMatch(/not an object/);
    for (const p of [BYTES, BYTES * 4, -8, A + 4, NaN]) {
      expect(oracle.move(0, p as Ptr, O_NONE | O_USER, O_SHEAF, 0)?.what).toMatch(/no object can be at this address/);
    }
  });
  test("a slab that is released with an object in use, or made over another", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 2, object(5), O_FREELIST, O_USER);
    const fault = oracle.slab(1, SLAB, SIZE, COUNT, O_FREELIST, O_NONE, 0);
    expect(fault?.object).toBe(object(5));
    expect(fault?.what).toMatch(
      /given out twice.*in user, where CPU 2 put it \(with the 16 objects of the slab at 0x2000\)/,
    );
    expect(oracle.slab(1, object(6), SIZE, 1, O_NONE, O_FREELIST, 0)?.what).toMatch(/wrong place/);
  });
});

describe("biography", () => {
  test("merges the moves of all CPUs in their order, slab included, and leaves other objects out", () => {
    const oracle = oracleWithSlab();
    expect(oracle.move(2, A, O_FREELIST, O_USER, 3)).toBeUndefined();
    walk(oracle, 2, object(1), O_FREELIST, O_USER);
    expect(oracle.move(1, A, O_USER, O_DEFERRED, 4)).toBeUndefined();
    expect(oracle.move(0, A, O_DEFERRED, O_TRANSIT, 0)).toBeUndefined();
    expect(oracle.move(2, A, O_TRANSIT, O_FREELIST, 0)).toBeUndefined();
    const events = oracle.biography(A);
    expect(events.map(({ cpu, context, from, to, count }) => [cpu, context, from, to, count])).toEqual([
      [0, 0, O_NONE, O_FREELIST, COUNT],
      [2, 3, O_FREELIST, O_USER, 1],
      [1, 4, O_USER, O_DEFERRED, 1],
      [0, 0, O_DEFERRED, O_TRANSIT, 1],
      [2, 0, O_TRANSIT, O_FREELIST, 1],
    ]);
    const tickets = events.map((e) => e.ticket);
    expect(tickets).toEqual(tickets.toSorted((a, b) => a - b));
    expect(oracle.biography(object(COUNT))).toEqual([]);
  });
  test("keeps the last moves when the ring is full", () => {
    const oracle = oracleWithSlab(8);
    for (let i = 0; i < 100; i++) walk(oracle, i % 3, A, i === 0 ? O_FREELIST : O_SHEAF, O_USER, O_SHEAF);
    const events = oracle.biography(A);
    expect(events).toHaveLength(16);
    expect(events.at(-1)).toMatchObject({ cpu: 0, from: O_USER, to: O_SHEAF });
    expect(events.map((e) => e.cpu)).toEqual([1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 0, 0].slice(2));
  });
});

describe("grace periods", () => {
  test("a reader from before must be gone, one from after need not", () => {
    const oracle = oracleWithSlab();
    oracle.reader_enter(1);
    oracle.grace_period_begin(0, KEY);
    oracle.reader_enter(2);
    const fault = oracle.grace_period_end(0, KEY);
    expect(fault?.object).toBe(KEY);
    expect(fault?.what).toMatch(/grace period of 0x4000: too short on CPU 0: .*the reader on CPU 1.* still there/);
    oracle.reader_exit(1);
    expect(oracle.grace_period_end(0, KEY)).toBeUndefined();
  });
  test("another reader in the place of the one before", () => {
    const oracle = oracleWithSlab();
    oracle.reader_enter(1);
    oracle.grace_period_begin(0, KEY);
    oracle.reader_exit(1);
    oracle.reader_enter(1);
    expect(oracle.grace_period_end(2, KEY)).toBeUndefined();
    oracle.reader_exit(1);
  });
  test("two requests each have their own readers", () => {
    const oracle = oracleWithSlab();
    oracle.grace_period_begin(0, KEY);
    oracle.reader_enter(1);
    oracle.grace_period_begin(0, OTHER_KEY);
    expect(oracle.grace_period_end(0, KEY)).toBeUndefined();
    expect(oracle.grace_period_end(0, OTHER_KEY)?.what).toMatch(/0x4008: too short/);
  });
  test("tickets may wrap", () => {
    const oracle = oracleWithSlab();
    const ticket = new Int32Array(oracle.buffer, 64, 1);
    for (let before = -3; before <= 3; before++) {
      ticket[0] = before === 3 ? 0x7fffffff : before;
      oracle.grace_period_begin(0, OTHER_KEY);
      oracle.reader_enter(1);
      expect(oracle.grace_period_end(2, OTHER_KEY)).toBeUndefined();
      oracle.reader_exit(1);
    }
    ticket[0] = 0x7fffffff;
    oracle.reader_enter(1);
    oracle.grace_period_begin(0, KEY);
    expect(oracle.grace_period_end(2, KEY)).toBeDefined();
  });
  test("one that nobody asked for", () => {
    expect(oracleWithSlab().grace_period_end(2, KEY)?.what).toMatch(/0x4000: CPU 2 says it is over, but nobody asked/);
  });
  test("reader ages", () => {
    const oracle = oracleWithSlab();
    oracle.reader_enter(0);
    oracle.reader_exit(0); // Nothing ended meanwhile.
    oracle.grace_period_begin(2, KEY);
    oracle.reader_enter(0);
    oracle.reader_enter(1);
    oracle.grace_period_end(2, KEY); // Asked for before both readers.
    oracle.reader_exit(0);
    oracle.reader_enter(0);
    oracle.reader_exit(0);
    expect(oracle.readerAges()).toEqual([2, 1, 0]);
    oracle.grace_period_begin(2, KEY);
    expect(oracle.grace_period_end(2, KEY)).toBeDefined(); // Began and ended within the reader of CPU 1.
    expect(oracle.readerAges()).toEqual([2, 1, 1]);
    oracle.reader_exit(2); // There is none.
    expect(oracle.readerAges()).toEqual([2, 1, 1]);
  });
});

describe("barriers", () => {
  /** A deferring free that has returned. */
  function free(oracle: SharedOracle, cpu: number, p: Ptr, ...places: number[]): void {
    walk(oracle, cpu, p, O_FREELIST, O_USER, ...places);
    oracle.issued(cpu, p);
  }
  /** What a barrier that ends now has missed. */
  function missed(oracle: SharedOracle, key: Ptr): Ptr {
    const epoch = oracle.barrier_end(key);
    return epoch === undefined ? NULL : oracle.overdue(epoch, 0, BYTES);
  }

  test.each([
    ["deferred", [O_TRANSIT, O_DEFERRED]],
    ["deferred by RCU", [O_DEFERRED_RCU]],
    ["in an rcu sheaf", [O_RCU_SHEAF]],
    ["in krc", [O_KRC]],
    ["from the list to the batch that is being freed", [O_DEFERRED_RCU, O_KRC, O_TRANSIT]],
    ["between krc and kfree()", [O_KRC, O_USER]],
  ])("an object that is still %s", (_, places) => {
    const oracle = oracleWithSlab();
    free(oracle, 1, A, ...places);
    oracle.barrier_begin(0, KEY);
    expect(missed(oracle, KEY)).toBe(A);
    walk(oracle, 2, A, places.at(-1) ?? 0, O_TRANSIT, O_FREELIST);
    expect(missed(oracle, KEY)).toBe(NULL);
    expect(oracle.barrier_end(KEY)).toBeUndefined();
  });
  test("frees that return later, or have not returned, are none of its business", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, O_FREELIST, O_USER, O_DEFERRED_RCU); // Still inside.
    oracle.barrier_begin(0, KEY);
    oracle.issued(1, A);
    free(oracle, 2, object(1), O_KRC);
    expect(missed(oracle, KEY)).toBe(NULL);
    expect(oracle.overdue(1, 0, BYTES)).toBe(NULL); // Even if a free of earlier has made somebody look.
    oracle.barrier_begin(0, OTHER_KEY);
    expect(missed(oracle, OTHER_KEY)).toBe(A);
    expect(missed(oracle, KEY)).toBe(NULL);
  });
  test("a free that is done before it returns", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, O_FREELIST, O_USER, O_DEFERRED, O_TRANSIT, O_FREELIST);
    oracle.issued(1, A);
    walk(oracle, 1, A, O_FREELIST, O_USER);
    oracle.issued(1, A);
    oracle.barrier_begin(0, KEY);
    expect(oracle.barrier_end(KEY)).toBeUndefined();
  });
  test("a later free of the same memory by another CPU is not taken for the one that returns", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, O_FREELIST, O_USER, O_RCU_SHEAF, O_TRANSIT, O_SHEAF);
    walk(oracle, 2, A, O_SHEAF, O_USER, O_RCU_SHEAF); // CPU 2 is still inside.
    oracle.issued(1, A);
    oracle.barrier_begin(0, KEY);
    expect(oracle.barrier_end(KEY)).toBeUndefined();
  });
  test("an ordinary free that takes its time is not waited for", () => {
    const oracle = oracleWithSlab();
    walk(oracle, 1, A, O_FREELIST, O_USER, O_TRANSIT);
    oracle.barrier_begin(0, KEY);
    expect(oracle.barrier_end(KEY)).toBeUndefined();
  });
  test("counts stay right over many epochs", () => {
    const oracle = oracleWithSlab();
    let reported = 0;
    for (let i = 0; i < 5000; i++) {
      oracle.move(1, A, O_FREELIST, O_USER, 0);
      oracle.move(1, A, O_USER, O_KRC, 0);
      oracle.issued(1, A);
      oracle.barrier_begin(0, KEY);
      if (missed(oracle, KEY) === A) reported++;
      oracle.move(1, A, O_KRC, O_FREELIST, 0);
      expect(oracle.barrier_end(KEY)).toBeUndefined();
    }
    expect(reported).toBe(5000);
  });
  test("a barrier that others have overtaken too often says nothing", () => {
    const oracle = oracleWithSlab();
    free(oracle, 1, A, O_KRC);
    oracle.barrier_begin(0, KEY);
    for (let i = 0; i < 3000; i++) oracle.barrier_begin(0, OTHER_KEY);
    free(oracle, 1, object(1), O_KRC);
    expect(oracle.barrier_end(KEY)).toBeUndefined();
  });
});

test("restore() undoes everything since snapshot(), any number of times", () => {
  const oracle = oracleWithSlab();
  walk(oracle, 0, object(2), O_FREELIST, O_USER, O_KRC);
  oracle.issued(0, object(2));
  oracle.reader_enter(2);
  const before = new Int32Array(oracle.buffer).slice();
  oracle.snapshot();
  for (let i = 0; i < 3; i++) {
    walk(oracle, 1, A, O_FREELIST, O_USER, O_DEFERRED_RCU);
    oracle.issued(1, A);
    expect(oracle.move(1, A, O_USER, O_SHEAF, 0)).toBeDefined();
    oracle.reader_exit(2);
    oracle.reader_enter(1);
    oracle.grace_period_begin(0, KEY);
    oracle.grace_period_end(0, KEY);
    oracle.barrier_begin(0, OTHER_KEY);
    walk(oracle, 0, object(2), O_KRC, O_TRANSIT, O_FREELIST);
    expect(oracle.barrier_end(OTHER_KEY)).toBeDefined();
    expect(new Int32Array(oracle.buffer)).not.toEqual(before);
    oracle.restore();
    expect(new Int32Array(oracle.buffer)).toEqual(before);
  }
});
