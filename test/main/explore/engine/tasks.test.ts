/** Several tasks on one CPU: switches are found, rebuilds are exact, and both engines do the same. */
import { describe, expect, test } from "vitest";
import { preempt_disable, preempt_enable } from "../../../../src/shared/cpu/context.ts";
import { schedule, wait_event, wake_up } from "../../../../src/shared/cpu/sched.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { CpuSlot } from "../../../../src/shared/layout/cpu.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { embedded, element, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { WaitQueue } from "../../../../src/shared/layout/types.ts";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { get, result, resultOf, scenario, set } from "../../../../src/main/explore/scenario.ts";
import { RandomWalk } from "../../../../src/main/explore/strategies/random_walk.ts";
import type { TracedMemory } from "../../../../src/main/explore/engine/traced_memory.ts";

const N = 0;
const QUEUE = 8;
const { scenario: WORDS } = Globals.offset;
const increment = (cpu: Cpu): void => set(cpu, N, get(cpu, N) + 1);
const total = (cpu: Cpu, n: number): string | undefined =>
  cpu.mem.peek(cpu.globals, element(WORDS, N)) === n ? undefined : "lost update";
const queue = (cpu: Cpu): Ptr<"wait_queue"> => (cpu.globals + (element(WORDS, QUEUE) & 0x3ffffff)) as Ptr<"wait_queue">;

const bare = { kernel: BARE_KERNEL, globals: { preempt: 1 } } as const;
const lostUpdate = scenario({
  name: "lost-update-of-two-tasks",
  ...bare,
  cpus: [[increment]],
  tasks: [{ cpu: 0, program: [increment] }],
  check: (cpu) => total(cpu, 2),
});
const guarded = (cpu: Cpu): void => {
  preempt_disable(cpu);
  increment(cpu);
  preempt_enable(cpu);
};

describe("preemption", () => {
  test("one preemption loses an update of two tasks of one CPU", () => {
    const { failure } = new Explorer(lostUpdate).explore({ random: 0, bound: 1 });
    expect(failure?.message).toBe("lost update");
    const again = new Explorer(lostUpdate).replay(failure?.schedule ?? []);
    expect(again?.message).toBe("lost update");
  });
  test("not with preemption disabled, whatever the schedule", () => {
    const exclusive = { ...lostUpdate, cpus: [[guarded]], tasks: [{ cpu: 0, program: [guarded] }] };
    const { failure, exhausted } = new Explorer(exclusive).explore({ bound: 3 });
    expect([failure, exhausted]).toEqual([undefined, 3]);
  });
  test("tasks need globals.preempt, and are two per CPU at most", () => {
    expect(() => new Explorer({ ...lostUpdate, globals: {} })).toThrow("tasks need preempt");
    const three = { ...lostUpdate, tasks: [lostUpdate.tasks, lostUpdate.tasks].flatMap((tasks) => tasks ?? []) };
    expect(() => new Explorer(three)).toThrow("two tasks at most");
  });
});

const isOpen = (cpu: Cpu): boolean => get(cpu, N) !== 0;
const open = (cpu: Cpu): void => {
  set(cpu, N, 1);
  wake_up(cpu, queue(cpu));
};
describe("a sleeping task", () => {
  const sleeper = scenario({
    name: "sleeper",
    ...bare,
    cpus: [[(cpu) => wait_event(cpu, queue(cpu), isOpen, queue(cpu)), (cpu) => result(cpu, 0, 1)]],
    tasks: [{ cpu: 0, program: [open] }],
    setup: (cpu) => cpu.mem.init(queue(cpu), WaitQueue.offset.cpus, 0),
    check: (cpu) => (resultOf(cpu, 0) === 1 ? undefined : "still sleeps"),
  });
  test("lets the other task of its CPU wake it", () => {
    const { failure, exhausted } = new Explorer(sleeper).explore({ bound: 2 });
    expect([failure?.message, exhausted]).toEqual([undefined, 2]);
  });
  test("is a deadlock if nobody does", () => {
    const { failure } = new Explorer({ ...sleeper, tasks: [{ cpu: 0, program: [] }] }).explore({ random: 5 });
    expect(failure?.message).toContain("deadlock");
  });
});

describe("a rebuild", () => {
  test("leaves each slot exactly as it was", () => {
    let compared = 0;
    let rebuilt = 0;
    const look = (cpu: Cpu): void => {
      schedule(cpu);
      for (let i = 0; i < 4; i++) increment(cpu);
      schedule(cpu);
      increment(cpu);
    };
    const explorer = new Explorer({
      ...lostUpdate,
      name: "rebuilds",
      cpus: [[look, look], [look, look], [look]],
      tasks: [
        { cpu: 0, program: [look, look] },
        { cpu: 2, program: [look] },
      ],
      check: () => undefined,
    });
    const { engine, map } = explorer;
    const { words } = engine.memory;
    const slots = Array.from({ length: 3 }, (_, id) => embedded(map.section(id), PerCpu.offset.slot) >> 2);
    const size = CpuSlot.size >> 2;
    for (const lane of engine.lanes) {
      const memory = engine.cpus[lane.id].mem as TracedMemory;
      const restore = lane.restoreSlot.bind(lane);
      let before: Int32Array | undefined;
      lane.restoreSlot = () => {
        before = words.slice(slots[lane.cpu], slots[lane.cpu] + size);
        rebuilt++;
        restore();
      };
      let live = memory.rebuilding;
      Object.defineProperty(memory, "rebuilding", {
        get: () => live,
        set: (now: boolean) => {
          // One that waits for its CPU gets the slot back a moment later: then it has just given it away here.
          if (live && !now && before !== undefined && lane.isCurrent) {
            expect(words.slice(slots[lane.cpu], slots[lane.cpu] + size)).toEqual(before);
            compared++;
          }
          live = now;
        },
      });
    }
    const strategy = new RandomWalk(1, 0.3, 0, true);
    for (let i = 0; i < 300 && strategy.begin(); i++) expect(explorer.execute(strategy)?.message).toBeUndefined();
    expect(rebuilt).toBeGreaterThan(1000);
    expect(compared).toBeGreaterThan(1000);
  });
});
