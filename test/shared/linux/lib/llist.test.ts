import { describe, expect, test } from "vitest";
import { MachineBug } from "../../../../src/shared/base/verdict.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { CpuCounters } from "../../../../src/shared/layout/cpu.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import {
  init_llist_head,
  llist_add,
  llist_add_batch,
  llist_del_all,
  llist_del_first,
  llist_empty,
  llist_next,
  llist_reverse_order,
} from "../../../../src/shared/linux/lib/llist.ts";
import { element, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inNmi, room } from "../layer.ts";

const headOf = (cpu: Cpu): Ptr<"llist_head"> => room(cpu, 0);
const node = (cpu: Cpu, i: number): Ptr<"llist_node"> => room(cpu, 1 + i);
const indexOf = (cpu: Cpu, p: number): number => (p - cpu.map.pages) / 256 - 1;
function chain(cpu: Cpu, first: Ptr<"llist_node">): number[] {
  const found: number[] = [];
  for (let n = first; n !== 0; n = llist_next(cpu, n)) found.push(indexOf(cpu, n));
  return found;
}
function fresh(): Cpu {
  const [cpu] = boot(1) as [Cpu];
  init_llist_head(cpu, headOf(cpu));
  return cpu;
}

test("llist_add says whether the list was empty; the newest is first", () => {
  const cpu = fresh();
  expect(llist_empty(cpu, headOf(cpu))).toBe(true);
  expect(llist_add(cpu, node(cpu, 0), headOf(cpu))).toBe(true);
  expect(llist_add(cpu, node(cpu, 1), headOf(cpu))).toBe(false);
  expect(llist_empty(cpu, headOf(cpu))).toBe(false);
  expect(chain(cpu, llist_del_all(cpu, headOf(cpu)))).toEqual([1, 0]);
  expect(llist_empty(cpu, headOf(cpu))).toBe(true);
  expect(llist_del_all(cpu, headOf(cpu))).toBe(0);
});

test("llist_add_batch pushes a chain", () => {
  const cpu = fresh();
  llist_add(cpu, node(cpu, 1), headOf(cpu));
  llist_add(cpu, node(cpu, 0), headOf(cpu));
  const first = llist_del_all(cpu, headOf(cpu));
  expect(llist_add_batch(cpu, first, node(cpu, 1), headOf(cpu))).toBe(true);
  llist_add(cpu, node(cpu, 2), headOf(cpu));
  expect(chain(cpu, llist_del_all(cpu, headOf(cpu)))).toEqual([2, 0, 1]);
});

test("llist_del_first takes one at a time", () => {
  const cpu = fresh();
  expect(llist_del_first(cpu, headOf(cpu))).toBe(0);
  llist_add(cpu, node(cpu, 0), headOf(cpu));
  llist_add(cpu, node(cpu, 1), headOf(cpu));
  expect(llist_del_first(cpu, headOf(cpu))).toBe(node(cpu, 1));
  expect(llist_del_first(cpu, headOf(cpu))).toBe(node(cpu, 0));
  expect(llist_del_first(cpu, headOf(cpu))).toBe(0);
});

test("llist_reverse_order", () => {
  const cpu = fresh();
  for (const i of [0, 1, 2]) llist_add(cpu, node(cpu, i), headOf(cpu));
  expect(chain(cpu, llist_reverse_order(cpu, llist_del_all(cpu, headOf(cpu))))).toEqual([0, 1, 2]);
  expect(llist_reverse_order(cpu, 0 as Ptr<never>)).toBe(0);
});

test("a node that is the first already must not be added", () => {
  const cpu = fresh();
  llist_add(cpu, node(cpu, 0), headOf(cpu));
  expect(() => llist_add(cpu, node(cpu, 0), headOf(cpu))).toThrow(MachineBug);
});

test("legal in NMI, and its window is a named point", () => {
  const cpu = fresh();
  inNmi(cpu, () => llist_add(cpu, node(cpu, 0), headOf(cpu)));
  expect(chain(cpu, llist_del_all(cpu, headOf(cpu)))).toEqual([0]);
  const visited = element(CpuCounters.offset.points_visited, POINT.llist_add_before_cmpxchg);
  expect(cpu.mem.peek(cpu.counters, visited)).toBe(1);
});

describe("interleaved", () => {
  const COUNT = 60;
  const count = (cpu: Cpu, i: number): number => room(cpu, COUNT + i);
  /** Marks every node of a chain once more. */
  const drain = (cpu: Cpu): void => {
    for (let n = llist_del_all(cpu, headOf(cpu)); n !== 0;) {
      const next = llist_next(cpu, n);
      const at = count(cpu, indexOf(cpu, n));
      cpu.mem.store_word(at, cpu.mem.load_word(at) + 1);
      n = next;
    }
  };
  test("pushes on two CPUs, in an NMI on either, and drains on both: each node comes out exactly once", () => {
    const push =
      (i: number) =>
      (cpu: Cpu): void =>
        void llist_add(cpu, node(cpu, i), headOf(cpu));
    const { failure, exhausted } = exploreLayer(
      {
        name: "push, push, drain",
        setup: (cpu) => init_llist_head(cpu, headOf(cpu)),
        cpus: [
          [push(0), drain],
          [push(1), drain],
        ],
        nmi: (cpu) => {
          const mine = room(cpu, 20 + cpu.id);
          if (cpu.mem.load_word(mine) !== 0) return;
          cpu.mem.store_word(mine, 1);
          push(2 + cpu.id)(cpu);
          push(4 + cpu.id)(cpu);
        },
        nmis: 2,
        check: (cpu) => {
          drain(cpu);
          for (let i = 0; i < 6; i++) {
            const pushed = i < 2 ? 1 : cpu.mem.load_word(room(cpu, 20 + (i & 1)));
            if (cpu.mem.load_word(count(cpu, i)) !== pushed) return `node ${i}: not ${pushed}`;
          }
          return undefined;
        },
      },
      { bound: 1, exhaustive: 20_000 },
    );
    expect(failure).toBeUndefined();
    expect(exhausted).toBe(1);
  });
  test("exactly one of several pushes onto an empty list is told so", () => {
    const { failure, exhausted } = exploreLayer(
      {
        name: "who was first",
        setup: (cpu) => init_llist_head(cpu, headOf(cpu)),
        cpus: [0, 1, 2].map((i) => [
          (cpu: Cpu): void => {
            if (llist_add(cpu, node(cpu, i), headOf(cpu))) cpu.mem.store_word(room(cpu, 20 + i), 1);
          },
        ]),
        check: (cpu) => {
          const told = [0, 1, 2].reduce((n, i) => n + cpu.mem.load_word(room(cpu, 20 + i)), 0);
          return told === 1 ? undefined : `${told} pushes found the list empty`;
        },
      },
      { bound: 2, exhaustive: 20_000 },
    );
    expect(failure).toBeUndefined();
    expect(exhausted).toBe(2);
  });
  test("two consumers that use llist_del_first without a lock lose: the table says so", () => {
    const pop = (cpu: Cpu): void => {
      const n = llist_del_first(cpu, headOf(cpu));
      if (n !== 0) cpu.mem.store_word(count(cpu, indexOf(cpu, n)), cpu.mem.load_word(count(cpu, indexOf(cpu, n))) + 1);
    };
    const popAndPushBack = (cpu: Cpu): void => {
      const a = llist_del_first(cpu, headOf(cpu));
      pop(cpu);
      if (a !== 0) llist_add(cpu, a, headOf(cpu));
    };
    const { failure } = exploreLayer(
      {
        name: "ABA",
        setup: (cpu) => {
          init_llist_head(cpu, headOf(cpu));
          for (const i of [0, 1, 2]) llist_add(cpu, node(cpu, i), headOf(cpu));
        },
        cpus: [[pop], [popAndPushBack]],
        final: (cpu) => {
          pop(cpu);
          pop(cpu);
        },
        check: (cpu) => {
          const seen = [0, 1, 2].map((i) => cpu.mem.load_word(count(cpu, i)));
          return seen.some((n) => n > 1) ? `popped twice: ${seen.join(" ")}` : undefined;
        },
      },
      { bound: 2, exhaustive: 20_000 },
    );
    expect(failure?.message).toContain("popped twice");
  });
});
