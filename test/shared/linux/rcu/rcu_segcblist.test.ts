/** Segmented callback lists: the table of spec rcu 4.4, row by row. */
import { beforeEach, describe, expect, test } from "vitest";
import { local_irq_disable, local_irq_enable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { RCU_CBLIST_NSEGS, RcuCblist, RcuSegcblist } from "../../../../src/shared/layout/rcu.ts";
import { RcuHead } from "../../../../src/shared/layout/types.ts";
import {
  rcu_segcblist_accelerate,
  rcu_segcblist_add_len,
  rcu_segcblist_advance,
  rcu_segcblist_empty,
  rcu_segcblist_enqueue,
  rcu_segcblist_entrain,
  rcu_segcblist_extract_done_cbs,
  rcu_segcblist_first_pend_cb,
  rcu_segcblist_init,
  rcu_segcblist_insert_done_cbs,
  rcu_segcblist_merge,
  rcu_segcblist_n_cbs,
  rcu_segcblist_pend_cbs,
  rcu_segcblist_ready_cbs,
  rcu_segcblist_unassigned_cbs,
} from "../../../../src/shared/linux/rcu/rcu_segcblist.ts";
import { element, NULL, offsetof, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { bootRcu, head, room } from "./rcu_machine.ts";

const { head: HEAD, tails: TAILS, gp_seq: GP_SEQ, seglen: SEGLEN } = RcuSegcblist.offset;
const { head: CB_HEAD, tail: CB_TAIL, len: CB_LEN } = RcuCblist.offset;
const { next: NEXT } = RcuHead.offset;

let cpu: Cpu;
let list: Ptr<"rcu_segcblist">;
let other: Ptr<"rcu_segcblist">;
let taken: Ptr<"rcu_cblist">;

beforeEach(() => {
  [cpu] = bootRcu(1);
  list = room(cpu, 0);
  other = room(cpu, 1);
  taken = room(cpu, 2);
  local_irq_disable(cpu);
  rcu_segcblist_init(cpu, list);
  rcu_segcblist_init(cpu, other);
});

/** Callback number n has room 10 + n. */
const cb = (n: number): Ptr<"rcu_head"> => head(cpu, 10 + n);
const numberOf = (rhp: number): number => (rhp - cpu.map.pages) / 256 - 10;
const enqueue = (...ns: number[]): void => ns.forEach((n) => rcu_segcblist_enqueue(cpu, list, cb(n)));
const labels = (of = list): number[] => [1, 2].map((i) => cpu.mem.peek(of, element(GP_SEQ, i)));

/** The four segments as lists of callback numbers; checks seglen on the way. */
function segments(of = list): number[][] {
  const found: number[][] = [];
  let slot = (of + offsetof(HEAD)) as Ptr as Ptr<"rcu_head">;
  for (let i = 0; i < RCU_CBLIST_NSEGS; i++) {
    const end = cpu.mem.peek(of, element(TAILS, i));
    const segment: number[] = [];
    while (slot !== end) {
      slot = cpu.mem.peek(slot, NEXT);
      expect(slot).not.toBe(NULL);
      segment.push(numberOf(slot));
    }
    expect(cpu.mem.peek(of, element(SEGLEN, i))).toBe(segment.length);
    found.push(segment);
  }
  expect(cpu.mem.peek(slot, NEXT)).toBe(NULL);
  return found;
}

test("empty", () => {
  expect(segments()).toEqual([[], [], [], []]);
  expect(rcu_segcblist_empty(cpu, list)).toBe(true);
  expect(rcu_segcblist_ready_cbs(cpu, list)).toBe(false);
  expect(rcu_segcblist_pend_cbs(cpu, list)).toBe(false);
  expect(rcu_segcblist_unassigned_cbs(cpu, list)).toBe(false);
  expect(rcu_segcblist_first_pend_cb(cpu, list)).toBe(NULL);
});
test("enqueue appends to NEXT and counts", () => {
  enqueue(1, 2, 3);
  expect(segments()).toEqual([[], [], [], [1, 2, 3]]);
  expect(rcu_segcblist_n_cbs(cpu, list)).toBe(3);
  expect(rcu_segcblist_unassigned_cbs(cpu, list)).toBe(true);
  expect(rcu_segcblist_first_pend_cb(cpu, list)).toBe(cb(1));
});
test("enqueue with IRQs on is a bug", () => {
  local_irq_enable(cpu);
  expect(() => enqueue(1)).toThrow(/IRQs on/);
});

describe("accelerate", () => {
  test("numbers what has no number, in the first free segment", () => {
    enqueue(1, 2);
    expect(rcu_segcblist_accelerate(cpu, list, 8)).toBe(true);
    expect(segments()).toEqual([[], [1, 2], [], []]);
    expect(labels()).toEqual([8, 8]);
  });
  test("keeps a segment that waits for less", () => {
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, 8);
    enqueue(2);
    expect(rcu_segcblist_accelerate(cpu, list, 12)).toBe(true);
    expect(segments()).toEqual([[], [1], [2], []]);
    expect(labels()).toEqual([8, 12]);
  });
  test("joins a segment that waits for the same", () => {
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, 8);
    enqueue(2);
    expect(rcu_segcblist_accelerate(cpu, list, 8)).toBe(true);
    expect(segments()).toEqual([[], [1, 2], [], []]);
  });
  test("lets a segment that waits for more wait for less", () => {
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, 16);
    enqueue(2);
    expect(rcu_segcblist_accelerate(cpu, list, 8)).toBe(true);
    expect(segments()).toEqual([[], [1, 2], [], []]);
    expect(labels()).toEqual([8, 8]);
  });
  test("has no third number: the rest stays without", () => {
    for (const [n, seq] of [
      [1, 8],
      [2, 12],
    ]) {
      enqueue(n);
      rcu_segcblist_accelerate(cpu, list, seq);
    }
    enqueue(3);
    expect(rcu_segcblist_accelerate(cpu, list, 16)).toBe(false);
    expect(segments()).toEqual([[], [1], [2], [3]]);
    expect(labels()).toEqual([8, 12]);
  });
  test("nothing to number", () => {
    expect(rcu_segcblist_accelerate(cpu, list, 8)).toBe(false);
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, 8);
    expect(rcu_segcblist_accelerate(cpu, list, 12)).toBe(false); // It waits for less already.
    expect(labels()[0]).toBe(8);
    rcu_segcblist_advance(cpu, list, 8);
    expect(rcu_segcblist_accelerate(cpu, list, 12)).toBe(false); // All are done.
  });
  test("compares over the wrap", () => {
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, -4);
    enqueue(2);
    rcu_segcblist_accelerate(cpu, list, 4);
    expect(segments()).toEqual([[], [1], [2], []]);
  });
});

describe("advance", () => {
  beforeEach(() => {
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, 8);
    enqueue(2);
    rcu_segcblist_accelerate(cpu, list, 12);
    enqueue(3);
  });
  test("too early: nothing", () => {
    rcu_segcblist_advance(cpu, list, 4);
    expect(segments()).toEqual([[], [1], [2], [3]]);
  });
  test("one grace period: WAIT is done, NEXT_READY moves down with its number", () => {
    rcu_segcblist_advance(cpu, list, 8);
    expect(segments()).toEqual([[1], [2], [], [3]]);
    expect(labels()[0]).toBe(12);
  });
  test("two grace periods: both are done, what has no number is not", () => {
    rcu_segcblist_advance(cpu, list, 12);
    expect(segments()).toEqual([[1, 2], [], [], [3]]);
    expect(rcu_segcblist_ready_cbs(cpu, list)).toBe(true);
    expect(rcu_segcblist_first_pend_cb(cpu, list)).toBe(cb(3));
  });
  test("then the rest gets its number in the freed place", () => {
    rcu_segcblist_advance(cpu, list, 8);
    expect(rcu_segcblist_accelerate(cpu, list, 16)).toBe(true);
    expect(segments()).toEqual([[1], [2], [3], []]);
    expect(labels()).toEqual([12, 16]);
    rcu_segcblist_advance(cpu, list, 12);
    expect(segments()).toEqual([[1, 2], [3], [], []]);
  });
});

describe("entrain", () => {
  test("empty: nothing to wait for", () => {
    expect(rcu_segcblist_entrain(cpu, list, cb(9))).toBe(false);
    expect(rcu_segcblist_n_cbs(cpu, list)).toBe(0);
  });
  test("goes behind the last callback, and waits for no more than it does", () => {
    enqueue(1);
    rcu_segcblist_accelerate(cpu, list, 8);
    expect(rcu_segcblist_entrain(cpu, list, cb(9))).toBe(true);
    expect(segments()).toEqual([[], [1, 9], [], []]);
    expect(rcu_segcblist_n_cbs(cpu, list)).toBe(2);
    enqueue(2);
    expect(segments()).toEqual([[], [1, 9], [], [2]]);
  });
  test("into NEXT, and into DONE", () => {
    enqueue(1);
    rcu_segcblist_entrain(cpu, list, cb(9));
    expect(segments()).toEqual([[], [], [], [1, 9]]);
    rcu_segcblist_accelerate(cpu, list, 8);
    rcu_segcblist_advance(cpu, list, 8);
    rcu_segcblist_entrain(cpu, list, cb(8));
    expect(segments()).toEqual([[1, 9, 8], [], [], []]);
  });
  test("while all are being invoked, it goes behind them", () => {
    enqueue(1, 2);
    rcu_segcblist_accelerate(cpu, list, 8);
    rcu_segcblist_advance(cpu, list, 8);
    rcu_segcblist_extract_done_cbs(cpu, list, taken);
    expect(rcu_segcblist_entrain(cpu, list, cb(9))).toBe(true);
    rcu_segcblist_insert_done_cbs(cpu, list, taken);
    expect(segments()).toEqual([[1, 2, 9], [], [], []]);
  });
});

describe("extract and insert", () => {
  beforeEach(() => {
    enqueue(1, 2);
    rcu_segcblist_accelerate(cpu, list, 8);
    rcu_segcblist_advance(cpu, list, 8);
    enqueue(3);
  });
  test("take DONE; they still count", () => {
    rcu_segcblist_extract_done_cbs(cpu, list, taken);
    expect(segments()).toEqual([[], [], [], [3]]);
    expect(rcu_segcblist_n_cbs(cpu, list)).toBe(3);
    expect(numberOf(cpu.mem.peek(taken, CB_HEAD))).toBe(1);
    expect(numberOf(cpu.mem.peek(taken, CB_TAIL))).toBe(2);
    expect(cpu.mem.peek(taken, CB_LEN)).toBe(2);
    expect(cpu.mem.peek(cb(2), NEXT)).toBe(NULL);
  });
  test("nothing is done", () => {
    rcu_segcblist_extract_done_cbs(cpu, list, taken);
    rcu_segcblist_extract_done_cbs(cpu, list, taken);
    expect(cpu.mem.peek(taken, CB_HEAD)).toBe(NULL);
  });
  test("what was not invoked comes back in front", () => {
    rcu_segcblist_extract_done_cbs(cpu, list, taken);
    rcu_segcblist_accelerate(cpu, list, 12);
    rcu_segcblist_advance(cpu, list, 12); // Meanwhile another one is done.
    cpu.mem.write(taken, CB_HEAD, cb(2)); // Callback 1 was invoked.
    cpu.mem.write(taken, CB_LEN, 1);
    rcu_segcblist_insert_done_cbs(cpu, list, taken);
    rcu_segcblist_add_len(cpu, list, -1);
    expect(segments()).toEqual([[2, 3], [], [], []]);
    expect(rcu_segcblist_n_cbs(cpu, list)).toBe(2);
  });
});

describe("merge: the callbacks of a dead CPU", () => {
  test("done ones stay done, the others lose their number; order is kept", () => {
    enqueue(1, 2);
    rcu_segcblist_accelerate(cpu, list, 8);
    rcu_segcblist_advance(cpu, list, 8);
    enqueue(3);
    rcu_segcblist_accelerate(cpu, list, 12);
    enqueue(4);
    rcu_segcblist_enqueue(cpu, other, cb(5));
    rcu_segcblist_accelerate(cpu, other, 12);
    rcu_segcblist_merge(cpu, other, list);
    expect(segments(other)).toEqual([[1, 2], [5], [], [3, 4]]);
    expect(segments(list)).toEqual([[], [], [], []]);
    expect(rcu_segcblist_n_cbs(cpu, other)).toBe(5);
    expect(rcu_segcblist_n_cbs(cpu, list)).toBe(0);
  });
  test("nothing to merge", () => {
    rcu_segcblist_merge(cpu, other, list);
    expect(segments(other)).toEqual([[], [], [], []]);
  });
});

test("a thousand random operations keep the order and lose nothing", () => {
  let seq = -40;
  let next = 0;
  const invoked: number[] = [];
  let random = 12345;
  const draw = (n: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return (random >>> 16) % n;
  };
  for (let i = 0; i < 1000; i++) {
    const what = draw(4);
    if (what === 0) {
      cpu.mem.write(cb(next % 900), NEXT, NULL);
      enqueue(next++ % 900);
    } else if (what === 1) rcu_segcblist_accelerate(cpu, list, seq + 4 + 4 * draw(2));
    else if (what === 2) rcu_segcblist_advance(cpu, list, (seq += 4));
    else {
      rcu_segcblist_extract_done_cbs(cpu, list, taken);
      let n = 0;
      for (let rhp = cpu.mem.peek(taken, CB_HEAD); rhp !== NULL; rhp = cpu.mem.peek(rhp, NEXT), n++) {
        invoked.push(numberOf(rhp));
      }
      rcu_segcblist_add_len(cpu, list, -n);
    }
    const linked = segments().flat();
    expect(linked.length).toBe(rcu_segcblist_n_cbs(cpu, list));
    expect([...invoked, ...linked]).toEqual(Array.from({ length: next }, (_, n) => n % 900));
  }
});
