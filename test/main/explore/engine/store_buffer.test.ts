/** --tso and --pso: exactly the outcomes that the models allow, from exhaustive search on two bare CPUs. */
import { expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { BARE_KERNEL } from "../../../../src/main/explore/kernel.ts";
import { get, result, resultOf, scenario, set, type Operation } from "../../../../src/main/explore/scenario.ts";
import type { MemoryModel } from "../../../../src/main/explore/engine/store_buffer.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { element } from "../../../../src/shared/mem/struct.ts";

const { scenario: WORDS } = Globals.offset;
const MODELS: readonly MemoryModel[] = ["sc", "tso", "pso"];

/** The values that results 0 and 1 take together, over all schedules with two preemptions, or with none and an NMI. */
function outcomes(model: MemoryModel, cpus: readonly Operation[], nmi?: Operation): string[] {
  const bound = nmi === undefined ? 2 : 0;
  const found = new Set<string>();
  const explorer = new Explorer(
    scenario({
      name: "model",
      kernel: BARE_KERNEL,
      cpus: cpus.map((program) => [program]),
      ...(nmi === undefined ? {} : { nmi }),
      check: (cpu) => {
        found.add(`${resultOf(cpu, 0)}${resultOf(cpu, 1)}`);
        return undefined;
      },
    }),
    { model },
  );
  expect(explorer.explore({ bound, random: 50 })).toMatchObject({ failure: undefined, exhausted: bound });
  return [...found].toSorted();
}

const barrier = (cpu: Cpu): void => cpu.mem.smp_mb();
const locked = (cpu: Cpu): void => void cpu.mem.fetch_add(cpu.globals, element(WORDS, 100 + cpu.id), 1);
const nothing = (): void => undefined;
/** Store buffering: each writes its word, then reads the other's. */
const storeBuffering = (between: Operation): Operation[] =>
  [0, 1].map((mine) => (cpu) => {
    set(cpu, mine, 1);
    between(cpu);
    result(cpu, mine, get(cpu, 1 - mine));
  });
/** Message passing: data, then flag; the other reads the flag, then the data. */
const messagePassing = (between: Operation): Operation[] => [
  (cpu) => {
    set(cpu, 0, 1);
    between(cpu);
    set(cpu, 1, 1);
  },
  (cpu) => {
    result(cpu, 0, get(cpu, 1));
    result(cpu, 1, get(cpu, 0));
  },
];

test("store buffering: both read 0 with buffers, and never with a full barrier or a locked operation between", () => {
  const [sc, tso, pso] = MODELS.map((model) => outcomes(model, storeBuffering(nothing)));
  expect(sc).toEqual(["01", "10", "11"]);
  expect(tso).toEqual(["00", "01", "10", "11"]);
  expect(pso).toEqual(tso);
  for (const model of MODELS) {
    expect(outcomes(model, storeBuffering(barrier)), model).toEqual(sc);
    expect(outcomes(model, storeBuffering(locked)), model).toEqual(sc);
  }
});

test("message passing: the flag may overtake the data under PSO only, and not over a barrier", () => {
  const [sc, tso, pso] = MODELS.map((model) => outcomes(model, messagePassing(nothing)));
  expect(sc).toEqual(["00", "01", "11"]);
  expect(tso).toEqual(sc);
  expect(pso).toEqual(["00", "01", "10", "11"]);
  expect(outcomes("pso", messagePassing(barrier))).toEqual(sc);
});

test("a CPU and its NMIs see its own stores at once", () => {
  const own: Operation = (cpu) => {
    set(cpu, 0, 1);
    result(cpu, 0, get(cpu, 0));
  };
  for (const model of MODELS) expect(outcomes(model, [own, nothing])).toEqual(["10"]);
  const behind: Operation = (cpu) => {
    set(cpu, 2, cpu.id + 1);
    set(cpu, 0, 1);
    set(cpu, 1, 1);
  };
  // On CPU 0 an NMI that sees the second store sees the first, however late both reach memory.
  const look: Operation = (cpu) => {
    if (cpu.id !== 0) return;
    result(cpu, 0, get(cpu, 1));
    result(cpu, 1, get(cpu, 0));
  };
  for (const model of MODELS) expect(outcomes(model, [behind, nothing], look)).toEqual(["00", "01", "11"]);
});

test("a store that is only buffered reaches memory before a spinning CPU is called deadlocked", () => {
  for (const model of MODELS) {
    const explorer = new Explorer(
      scenario({
        name: "spin",
        kernel: BARE_KERNEL,
        cpus: [
          [(cpu) => set(cpu, 0, 1)],
          [
            (cpu) => {
              while (get(cpu, 0) === 0) cpu.mem.relax();
            },
          ],
        ],
      }),
      { model },
    );
    expect(explorer.explore({ bound: 1, random: 50 }), model).toMatchObject({ failure: undefined, exhausted: 1 });
  }
});

test("a look that is no step sees the CPU's own stores, though they are on the way", () => {
  const program = (cpu: Cpu): void => {
    set(cpu, cpu.id, 1);
    result(cpu, cpu.id, cpu.mem.peek(cpu.globals, element(WORDS, cpu.id)));
  };
  for (const model of MODELS) expect(outcomes(model, [program, program]), model).toEqual(["11"]);
});
