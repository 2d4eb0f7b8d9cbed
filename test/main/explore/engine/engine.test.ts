/** The engine itself: what it finds, that it finds everything, that a rebuild repeats nothing, that it notices lies. */
import { expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { get, result, resultOf, set, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { Bounded } from "../../../../src/main/explore/strategies/bounded.ts";
import { scheduleFromText, scheduleToText } from "../../../../src/main/explore/strategy.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { wait_event, wake_up } from "../../../../src/shared/cpu/sched.ts";
import { CpuCounters } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { element, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";

const { scenario: WORDS } = Globals.offset;
const add = (cpu: Cpu, i: number): void => set(cpu, i, get(cpu, i) + 1);
const explorer = (scenario: Scenario, filter = true): Explorer =>
  new Explorer({ ...scenario, kernel: BARE_KERNEL }, { filter });
/** All final values of the words listed, over every schedule of a bound. */
function outcomes(scenario: Scenario, words: readonly number[], bound: number, filter: boolean): Set<string> {
  const found = new Set<string>();
  const e = explorer(
    {
      ...scenario,
      check: (cpu) => {
        found.add(words.map((i) => `${resultOf(cpu, i)}`).join(","));
        return undefined;
      },
    },
    filter,
  );
  const run = e.explore({ bound, random: 20 });
  expect(run.exhausted).toBe(bound);
  return found;
}

test("finds a lost update, and its schedule shows it again", () => {
  const lostUpdate: Scenario = {
    name: "lost update",
    cpus: [[(cpu) => add(cpu, 0)], [(cpu) => add(cpu, 0)]],
    check: (cpu) => (get(cpu, 0) === 2 ? undefined : `lost update: ${get(cpu, 0)}`),
  };
  const found = explorer(lostUpdate).explore();
  expect(found.failure?.message).toBe("lost update: 1");
  const schedule = scheduleFromText(scheduleToText(found.failure?.schedule ?? []));
  expect(explorer(lostUpdate).replay(schedule)?.message).toBe("lost update: 1");
  expect(explorer(lostUpdate).replay([])).toBeUndefined();
});

test("an atomic counter is clean, and the search says that it was exhaustive", () => {
  const atomic = (cpu: Cpu): void => void cpu.mem.fetch_add(cpu.globals, element(WORDS, 0), 1);
  const run = explorer({
    name: "atomic counter",
    cpus: [[atomic, atomic], [atomic], [atomic]],
    check: (cpu) => (get(cpu, 0) === 4 ? undefined : `${get(cpu, 0)}`),
  }).explore({ bound: 4 });
  expect(run).toMatchObject({ failure: undefined, exhausted: 4, incomplete: false });
});

test("reaches exactly the interleavings there are: three CPUs, load and store each", () => {
  const program = (i: number) => (cpu: Cpu) => {
    const seen = get(cpu, 0);
    set(cpu, 0, 10 * seen + i);
    result(cpu, 0, cpu.mem.peek(cpu.globals, element(WORDS, 0)));
  };
  // By brute force: every order of the six steps that keeps each program's order.
  const expected = new Set<string>();
  const go = (pcs: number[], seen: number[], x: number): void => {
    let moved = false;
    for (let i = 0; i < 3; i++) {
      if (pcs[i] === 2) continue;
      moved = true;
      const pcs2 = pcs.map((pc, j) => (i === j ? pc + 1 : pc));
      if (pcs[i] === 0)
        go(
          pcs2,
          seen.map((s, j) => (i === j ? x : s)),
          x,
        );
      else go(pcs2, seen, 10 * seen[i] + i + 1);
    }
    if (!moved) expected.add(`${x}`);
  };
  go([0, 0, 0], [0, 0, 0], 0);
  const scenario: Scenario = { name: "orders", cpus: [1, 2, 3].map((i) => [program(i)]) };
  const final: Scenario = { ...scenario, final: (cpu) => result(cpu, 0, get(cpu, 0)) };
  for (const filter of [true, false]) {
    const found = outcomes(final, [0], 3, filter); // Three preemptions are all that six steps have room for.
    expect([...found].toSorted()).toEqual([...expected].toSorted());
  }
});

test("the shared-word filter loses no final state", () => {
  const program = (mine: number, other: number) => (cpu: Cpu) => {
    set(cpu, 10 + mine, 1); // private words: no decision points with the filter
    set(cpu, mine, get(cpu, 10 + mine));
    result(cpu, mine, get(cpu, other));
  };
  const dekker: Scenario = { name: "dekker", cpus: [[program(0, 1)], [program(1, 0)]] };
  const plain = outcomes(dekker, [0, 1], 3, false);
  expect(outcomes(dekker, [0, 1], 3, true)).toEqual(plain);
  expect([...plain].toSorted()).toEqual(["0,1", "1,0", "1,1"]);
});

test("an NMI hits between two accesses of the CPU that it interrupts", () => {
  const scenario: Scenario = {
    name: "nmi in the middle",
    cpus: [[(cpu) => add(cpu, 0)]],
    nmi: (cpu) => add(cpu, 0),
    nmis: 1,
    check: (cpu) => (get(cpu, 0) === 1 && resultOf(cpu, 0) === 0 ? "lost" : undefined),
  };
  const counted: Scenario = {
    ...scenario,
    nmi: (cpu) => add(cpu, 0),
    check: (cpu) => {
      const nmis = cpu.mem.peek(cpu.counters, element(CpuCounters.offset.nmis, 1));
      return nmis === 1 && get(cpu, 0) === 1 ? "the NMI's update was lost" : undefined;
    },
  };
  const found = explorer(counted).explore({ bound: 0 });
  expect(found.failure?.message).toBe("the NMI's update was lost");
  expect(explorer(counted).replay(found.failure?.schedule ?? [])?.message).toBe("the NMI's update was lost");
});

test("says deadlock when nobody can move, and does not when somebody can", () => {
  const waiter = (cpu: Cpu): void => {
    while (get(cpu, 0) === 0) cpu.mem.relax();
  };
  const stuck = explorer({ name: "stuck", cpus: [[waiter], [(cpu) => set(cpu, 1, 1)]] }).explore({ random: 1 });
  expect(stuck.failure?.message).toContain("deadlock");
  const fine = explorer({ name: "fine", cpus: [[waiter], [(cpu) => set(cpu, 0, 1)]] }).explore({ bound: 2 });
  expect(fine).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("wait_event and wake_up lose no wake-up; without the condition first they would", () => {
  const queue = (cpu: Cpu): Ptr<"wait_queue"> => (cpu.globals + (element(WORDS, 4) as number)) as Ptr<"wait_queue">;
  const waiter = (cpu: Cpu): void => wait_event(cpu, queue(cpu), (c) => get(c, 0) === 1, queue(cpu));
  const waker = (cpu: Cpu): void => {
    set(cpu, 0, 1);
    wake_up(cpu, queue(cpu));
  };
  const right = explorer({ name: "wake-up", cpus: [[waiter], [waker]] }).explore({ bound: 3 });
  expect(right).toMatchObject({ failure: undefined, exhausted: 3 });
  const wrong = (cpu: Cpu): void => {
    wake_up(cpu, queue(cpu));
    set(cpu, 0, 1);
  };
  const lost = explorer({ name: "lost wake-up", cpus: [[waiter], [wrong]], bytes: 1 << 20 });
  const found = lost.explore({ bound: 2 });
  expect(found.failure?.message).toContain("deadlock");
});

test("a rebuild repeats no count and no result, however often lanes are unwound", () => {
  const { irqs: IRQS } = CpuCounters.offset;
  const program = (cpu: Cpu): void => {
    for (let i = 0; i < 6; i++) {
      add(cpu, cpu.id);
      cpu.mem.count(cpu.counters, IRQS, 1);
      get(cpu, (cpu.id + 1) % 4);
    }
  };
  const run = explorer({
    name: "rebuild",
    cpus: [[program, program], [program], [program], [program]],
    check: (cpu) => {
      for (let id = 0; id < 4; id++) {
        const expected = id === 0 ? 12 : 6;
        const counters = cpu.map.section(id) + (cpu.counters - cpu.section);
        const counted = cpu.mem.peek(counters as Ptr<"cpu_counters">, IRQS);
        if (get(cpu, id) !== expected || counted !== expected) return `CPU ${id}: ${get(cpu, id)}, ${counted}`;
      }
      return undefined;
    },
  }).explore({ random: 300 });
  expect(run.failure).toBeUndefined();
});

test("hidden state outside shared memory is reported as a divergence", () => {
  let hidden = 0;
  const program = (cpu: Cpu): void => {
    set(cpu, 0, ++hidden);
    get(cpu, 1);
    get(cpu, 0);
  };
  const other = (cpu: Cpu): void => {
    set(cpu, 0, 7);
    set(cpu, 1, get(cpu, 0));
    set(cpu, 0, 8);
  };
  const run = explorer({ name: "hidden", cpus: [[other], [program], [other]] }).explore({ random: 300 });
  expect(run.failure?.message).toMatch(/divergence: hidden state outside shared memory/);
});

test("a bounded search with n preemptions is larger than one with n - 1, and ends", () => {
  const e = explorer({ name: "bounds", cpus: [[(cpu) => add(cpu, 0)], [(cpu) => add(cpu, 0)]] });
  const sizes = [0, 1, 2].map((bound) => {
    const strategy = new Bounded(bound);
    let n = 0;
    for (; strategy.begin(); n++) e.execute(strategy);
    return n;
  });
  expect(sizes[0]).toBeLessThan(sizes[1]);
  expect(sizes[1]).toBeLessThan(sizes[2]);
});
