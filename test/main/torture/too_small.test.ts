/** Memory that is too small for the configuration is a matter of usage: one line that names it, and no verdict. */
import { describe, expect, test } from "vitest";
import { main } from "../../../src/main/cli.ts";
import type { Output } from "../../../src/main/command.ts";
import { SCENARIO_NAMES } from "../../../src/main/scenarios/catalogue.ts";
import { programOf } from "../../../src/main/scenarios/registry.ts";
import { NoMemory } from "../../../src/shared/base/verdict.ts";
import { HOOK_KASAN, HOOK_KMEMLEAK } from "../../../src/shared/layout/debug.ts";
import { type MachineShape, shapeProblem } from "../../../src/shared/layout/map.ts";
import { take_account } from "../../../src/workers/quiescence.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

async function sheaf(line: string): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const output: Output = { out: (text) => out.push(text), err: (text) => err.push(text), progress: undefined };
  const code = await main(line.split(" "), output);
  return { code, out, err };
}

describe("exit code 2, and one line", () => {
  const MACHINE = "--cpus 2 --memory 768KiB --config partitions=15,numa=4";
  /** What it is that there is no memory for is a matter of the seed. */
  const MESSAGE: unknown = expect.stringMatching(
    /^sheaf: --memory 768KiB is too small for --cpus 2 --config partitions=15,numa=4(,rt)?: no memory for .*: give a larger --memory$/,
  );

  test("torture: nothing has booted, and there is no verdict", async () => {
    const { code, out, err } = await sheaf(`torture ${MACHINE}`);
    expect({ code, err }).toEqual({ code: 2, err: [MESSAGE] });
    expect(out.filter((line) => !/Start of test|metrics untrustworthy/.test(line))).toEqual([]);
  });
  test.each(["torture --json", "slabinfo", "sysfs kmalloc-64/shrink --write 1"])("%s", async (command) => {
    expect(await sheaf(`${command} ${MACHINE}`)).toEqual({ code: 2, out: [], err: [MESSAGE] });
  });
  test("kunit", async () => {
    const { code, out, err } = await sheaf(`kunit ${MACHINE}`);
    expect({ code, err }).toEqual({ code: 2, err: [MESSAGE] });
    expect(out.some((line) => /ok \d/.test(line))).toBe(false);
  });
  test("with PREEMPT_RT, where a CPU has two threads", async () => {
    const { code, err } = await sheaf(`torture ${MACHINE},rt`);
    expect({ code, err }).toEqual({ code: 2, err: [MESSAGE] });
  });
  test("for the set-up of a scenario", async () => {
    const { code, err } = await sheaf("torture --scenario maple_tree --cpus 1 --memory 512K --config reserve=80");
    expect({ code, err }).toEqual({
      code: 2,
      err: [expect.stringMatching(/no memory for a maple tree: give a larger/)],
    });
  });
  test("words that were drawn are named", async () => {
    const { code, err } = await sheaf("torture --cpus 8 --memory 768KiB --config random --seed 1");
    expect({ code, err }).toEqual({
      code: 2,
      err: [expect.stringMatching(/--config \S*,dma,partitions=3,\S*: no memory/)],
    });
  });
});

describe("a machine of any size boots and is set up, or says that there is no memory, and waits for nobody", () => {
  type Words = ConstructorParameters<typeof TestMachine>[1];
  const MACHINES: readonly (readonly [Words, Partial<MachineShape>])[] = [
    [{ tiny: 1, slab_buckets: 1, min_free_pages: 80 }, {}],
    [
      { slab_buckets: 1, min_free_pages: 16, shuffle: 1 },
      { cpus: 2, nodes: 2 },
    ],
    [
      { kmalloc_partitions: 3, zone_dma: 1 },
      { cpus: 4, nodes: 3, memless: true },
    ],
    [{ tiny: 1, slab_debug: 7, hooks: HOOK_KASAN | HOOK_KMEMLEAK, slab_buckets: 1 }, {}],
  ];
  /** Sizes that follow each other, from the smallest on, until so many were enough. */
  const ENOUGH = 8;
  const STEP = 2 * 4096;

  test.each(MACHINES)("%o %o", (words, shape) => {
    const ends = { "no memory": 0, enough: 0 };
    for (let bytes = 64 << 10; ends.enough < ENOUGH; bytes += STEP) {
      if (shapeProblem({ cpus: 1, nodes: 1, ...shape, bytes }) === undefined) ends[boot(words, { ...shape, bytes })]++;
    }
    expect(ends["no memory"]).toBeGreaterThan(0);
  });
  function boot(words: Words, shape: Partial<MachineShape>): "enough" | "no memory" {
    try {
      const machine = new TestMachine(shape, words);
      machine.onWait(() => {
        throw new Error("it waits");
      });
      const [cpu] = machine.cpus;
      take_account(cpu);
      const { bind, setup } = programOf(SCENARIO_NAMES);
      bind();
      setup(cpu);
      return "enough";
    } catch (error) {
      if (error instanceof NoMemory) return "no memory";
      throw error;
    }
  }
});
