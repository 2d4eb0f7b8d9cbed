/** Tests that are refused what they ask for fail, and leave the machine to the next one. */
import { expect, test } from "vitest";
import { bucket_cases } from "../../../src/main/kunit/buckets.ts";
import { KunitTest, run_case } from "../../../src/main/kunit/test.ts";
import { user_cases } from "../../../src/main/kunit/users.ts";
import { probabilityWord } from "../../../src/main/settings.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

const OPTIONS = { rounds: 1, seed: 1, nmisPerTick: 0, nmis: false };
const MACHINES = 25;

/** All but the one that asks for so little that it is hardly ever refused. */
const CASES = [...user_cases, ...bucket_cases].filter(({ name }) => name !== "test_kmem_buckets_disabled");

test.each(CASES.map(({ name, run }) => [name, run] as const))("%s", (_, run) => {
  const ends = new Set<string>();
  for (let seed = 1; seed <= MACHINES; seed++) {
    const machine = new TestMachine({}, { seed, tiny: 1, lowmem: probabilityWord(0.3) });
    const [cpu] = machine.cpus;
    machine.set("fault_injection", 1);
    const { state, lines } = run_case(new KunitTest(cpu, OPTIONS), run);
    ends.add(state);
    expect(lines.filter((line) => !line.startsWith("ASSERTION FAILED: "))).toEqual([]);
    expect(cpu.mem.peek(cpu.globals, Globals.offset.slab_buckets)).toBe(0);
  }
  expect(ends).toContain("failed");
});
