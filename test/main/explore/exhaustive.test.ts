/**
 * What exhaustive search may leave out: the shared-word filter, the state cache and sleep sets reach the same final states
 * as the plain search, wherever that can finish.
 */
import { expect, test } from "vitest";
import { Explorer } from "../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { get, result, type Scenario, set } from "../../../src/main/explore/scenario.ts";
import { Bounded } from "../../../src/main/explore/strategies/bounded.ts";
import { RandomWalk } from "../../../src/main/explore/strategies/random_walk.ts";
import { SleepSets } from "../../../src/main/explore/strategies/sleep_sets.ts";
import type { Strategy } from "../../../src/main/explore/strategy.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { wait_event, wake_up } from "../../../src/shared/cpu/sched.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { LC } from "../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_trylock, spin_unlock } from "../../../src/shared/linux/sync/spinlock.ts";
import { llist_add, llist_del_all, llist_next } from "../../../src/shared/linux/lib/llist.ts";
import { element, NULL, offsetof, type Ptr } from "../../../src/shared/mem/struct.ts";

const MOST = 300_000;
const { scenario: WORDS } = Globals.offset;
const at = <T extends string>(cpu: Cpu, i: number): Ptr<T> => (cpu.globals + offsetof(element(WORDS, i))) as Ptr<T>;

/** Every final state of the scenario words that a strategy reaches, and in how many executions. */
function finalStates(scenario: Scenario, strategy: Strategy & { exhausted: boolean }, filter: boolean) {
  const states = new Set<string>();
  const explorer = new Explorer(
    {
      kernel: BARE_KERNEL,
      ...scenario,
      check: (cpu) => {
        const words: number[] = [];
        for (let i = 0; i < 256; i++) words.push(cpu.mem.peek(cpu.globals, element(WORDS, i)));
        states.add(words.join(","));
        return undefined;
      },
    },
    { filter },
  );
  if (filter) {
    const learning = new RandomWalk(1, 0.1, scenario.nmis ?? 0, true);
    for (let n = 0; n < 100; n++) {
      learning.begin();
      explorer.execute(learning);
    }
    states.clear();
  }
  let executions = 0;
  for (; strategy.begin() && executions < MOST; executions++) expect(explorer.execute(strategy)).toBeUndefined();
  expect(strategy.exhausted, `${strategy.name} has finished`).toBe(true);
  return { states: [...states].toSorted(), executions };
}

const add = (i: number) => (cpu: Cpu) => set(cpu, i, get(cpu, i) + 1);
const dekker = (mine: number) => (cpu: Cpu) => {
  set(cpu, mine, 1);
  result(cpu, mine, get(cpu, 1 - mine));
};
const LOCK = 32;
const locked = (cpu: Cpu): void => {
  spin_lock(cpu, at(cpu, LOCK));
  set(cpu, 0, 10 * get(cpu, 0) + cpu.id);
  spin_unlock(cpu, at(cpu, LOCK));
};
const tried = (cpu: Cpu): void => {
  if (!spin_trylock(cpu, at(cpu, LOCK))) return;
  set(cpu, 0, 10 * get(cpu, 0) + 7);
  spin_unlock(cpu, at(cpu, LOCK));
};
const push = (i: number) => (cpu: Cpu) => void llist_add(cpu, at(cpu, 40 + 4 * i), at(cpu, LOCK));
const drain = (cpu: Cpu): void => {
  let order = 0;
  for (let n = llist_del_all(cpu, at(cpu, LOCK)); n !== NULL; n = llist_next(cpu, n))
    order = 10 * order + ((n - at(cpu, 40)) >> 4) + 1;
  set(cpu, 0, order);
};

const scenarios: readonly Scenario[] = [
  { name: "lost update", cpus: [[add(0)], [add(0)]] },
  { name: "three writers", cpus: [[add(0)], [add(0), add(1)], [add(1)]] },
  { name: "dekker", cpus: [[dekker(0)], [dekker(1)]] },
  { name: "NMI", cpus: [[add(0), add(1)], [add(0)]], nmi: add(1) },
  {
    name: "spinlock",
    setup: (cpu) => spin_lock_init(cpu, at(cpu, LOCK), LC.test),
    cpus: [[locked], [locked]],
  },
  {
    name: "trylock",
    setup: (cpu) => spin_lock_init(cpu, at(cpu, LOCK), LC.test),
    cpus: [[locked], [tried]],
  },
  { name: "llist", cpus: [[push(0), drain], [push(1)]] },
  {
    name: "sleep and wake",
    cpus: [
      [(cpu) => wait_event(cpu, at(cpu, 4), (c) => get(c, 0) === 1, NULL), add(1)],
      [
        (cpu) => {
          set(cpu, 0, 1);
          wake_up(cpu, at(cpu, 4));
          add(1)(cpu);
        },
      ],
    ],
  },
];

test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  for (const bound of [0, 1, 2]) {
    const plain = finalStates(scenario, new Bounded(bound), false);
    const filtered = finalStates(scenario, new Bounded(bound), true);
    const cached = finalStates(scenario, new Bounded(bound, { cache: true }), true);
    const cachedPlain = finalStates(scenario, new Bounded(bound, { cache: true }), false);
    expect(filtered.states, `bound ${bound}, filter`).toEqual(plain.states);
    expect(cached.states, `bound ${bound}, filter and cache`).toEqual(plain.states);
    expect(cachedPlain.states, `bound ${bound}, cache`).toEqual(plain.states);
    expect(cached.executions).toBeLessThanOrEqual(filtered.executions);
  }
  const unbounded = finalStates(scenario, new Bounded(Infinity, { cache: true }), true);
  const sleeping = finalStates(scenario, new SleepSets(), true);
  const sleepingPlain = finalStates(scenario, new SleepSets(), false);
  expect(sleeping.states, "sleep sets").toEqual(unbounded.states);
  expect(sleepingPlain.states, "sleep sets without the filter").toEqual(unbounded.states);
});

/** Without sleep sets: a preemption depends on everything, so they leave nothing out. */
const tasks: readonly Scenario[] = [
  { name: "two tasks", cpus: [[add(0)]], tasks: [{ cpu: 0, program: [add(0)] }], globals: { preempt: 1 } },
  {
    name: "a task sleeps and its CPU's other task wakes it",
    cpus: [[(cpu) => wait_event(cpu, at(cpu, 4), (c) => get(c, 0) === 1, NULL), add(1)]],
    tasks: [
      {
        cpu: 0,
        program: [
          (cpu) => {
            set(cpu, 0, 1);
            wake_up(cpu, at(cpu, 4));
          },
          add(1),
        ],
      },
    ],
    globals: { preempt: 1 },
  },
];
test.each(tasks.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
  for (const bound of [0, 1, 2]) {
    const plain = finalStates(scenario, new Bounded(bound), false);
    const cached = finalStates(scenario, new Bounded(bound, { cache: true }), true);
    const cachedPlain = finalStates(scenario, new Bounded(bound, { cache: true }), false);
    expect(cached.states, `bound ${bound}, filter and cache`).toEqual(plain.states);
    expect(cachedPlain.states, `bound ${bound}, cache`).toEqual(plain.states);
    expect(cached.executions).toBeLessThanOrEqual(plain.executions);
  }
});
