/** What ends an execution besides its programs, and what may be injected where. */
import { expect, test } from "vitest";
import { Explorer, type Exploration } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { get, type Scenario, set } from "../../../../src/main/explore/scenario.ts";
import { local_irq_disable, local_irq_enable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { point } from "../../../../src/shared/cpu/trace.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import { element } from "../../../../src/shared/mem/struct.ts";

const { scenario: WORDS } = Globals.offset;
const explore = (scenario: Omit<Scenario, "name">, budget = {}): Exploration =>
  new Explorer({ name: "test", kernel: BARE_KERNEL, ...scenario }).explore({ random: 30, bound: 1, ...budget });

test("a spin loop that gives up after some turns is no deadlock, even with IRQs off", () => {
  const tries = (cpu: Cpu): void => {
    local_irq_disable(cpu);
    for (let turn = 0; turn < 10 && get(cpu, 0) === 0; turn++) cpu.mem.relax();
    local_irq_enable(cpu);
  };
  expect(explore({ cpus: [[tries], [tries]] }).failure).toBeUndefined();
  const waits = (cpu: Cpu): void => {
    local_irq_disable(cpu);
    while (get(cpu, 0) === 0) cpu.mem.relax();
    local_irq_enable(cpu);
  };
  expect(explore({ cpus: [[waits], [tries]] }).failure?.message).toMatch(/deadlock: no CPU can run. CPU 0: spins/);
});

test("two CPUs that push each other on for ever are a livelock, long before the bound on steps", () => {
  const flip = (own: number) => (cpu: Cpu) => {
    for (;;) {
      while (get(cpu, 0) !== own) cpu.mem.relax();
      set(cpu, 0, 1 - own);
    }
  };
  const { failure } = explore({ cpus: [[flip(0)], [flip(1)]], steps: 1_000_000 });
  expect(failure?.message).toMatch(/livelock: the same state came back again and again/);
  expect(failure?.steps).toBeLessThan(20_000);
  // The same with a counter in shared memory is no repetition; only the bound ends it.
  const counted = (own: number) => (cpu: Cpu) => {
    for (;;) {
      while ((get(cpu, 0) & 1) !== own) cpu.mem.relax();
      set(cpu, 0, get(cpu, 0) + 1);
    }
  };
  const { failure: bounded } = explore({ cpus: [[counted(0)], [counted(1)]], steps: 20_000 });
  expect(bounded?.message).toMatch(/livelock: 20000 steps without an end/);
});

test("an invariant is looked at after each store, and stops at the first that breaks it", () => {
  const both = (cpu: Cpu): void => {
    set(cpu, 0, 1);
    set(cpu, 1, 1);
    set(cpu, 0, 0);
    set(cpu, 1, 0);
  };
  const invariant = (cpu: Cpu): string | undefined =>
    cpu.mem.peek(cpu.globals, element(WORDS, 1)) > cpu.mem.peek(cpu.globals, element(WORDS, 0))
      ? "1 above 0"
      : undefined;
  const { failure } = explore({ cpus: [[both]], invariant });
  expect(failure?.message).toBe("CPU 0: 1 above 0");
  expect(failure?.steps).toBe(3);
  // At the end of an execution nothing would be wrong.
  expect(explore({ cpus: [[both]], check: invariant }).failure).toBeUndefined();
});

test("an exception of the scenario's own code is a failure with a schedule", () => {
  const check = (): string | undefined => {
    throw new TypeError("my assertion");
  };
  expect(explore({ cpus: [[(cpu) => set(cpu, 0, 1)]], check }).failure?.message).toBe("TypeError: my assertion");
  const asserting = (cpu: Cpu): void => {
    if (get(cpu, 0) === 1) throw new RangeError("saw 1");
  };
  const { failure } = explore({ cpus: [[(cpu) => set(cpu, 0, 1)], [asserting]] });
  expect(failure?.message).toBe("RangeError: saw 1");
});

test("with nmiPoints an NMI hits at those named points only, and everywhere else without", () => {
  const program = (cpu: Cpu): void => {
    set(cpu, 0, 1);
    point(cpu, POINT.spin_lock_held);
    set(cpu, 0, 2);
    set(cpu, 0, 3);
  };
  const seen = (nmiPoints?: readonly number[]): number[] => {
    const found = new Set<number>();
    const run = explore({
      cpus: [[program]],
      nmi: (cpu) => set(cpu, 1, get(cpu, 0) + 10),
      ...(nmiPoints === undefined ? {} : { nmiPoints }),
      check: (cpu) => {
        found.add(get(cpu, 1));
        return undefined;
      },
    });
    expect(run.exhausted).toBe(1);
    return [...found].toSorted((a, b) => a - b);
  };
  expect(seen([POINT.spin_lock_held])).toEqual([0, 11]);
  expect(seen()).toEqual([0, 10, 11, 12]); // After the last step nobody could see a difference.
  expect(seen([POINT.barn_lock_held])).toEqual([0]);
});
