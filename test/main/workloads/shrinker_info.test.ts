/** shrinker_info: arrays grow, units and what is in them stay. */
import { beforeEach, expect, test } from "vitest";
import {
  check_shrinker_info,
  expand_shrinker_info,
  free_shrinker_info,
  set_shrinker_bit,
  shrink_slab_memcg,
  shrinker_info_init,
} from "../../../src/main/workloads/shrinker_info.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import {
  ShrinkerInfo,
  ShrinkerInfoUnit,
  ShrinkerMemcg,
  WorkloadGlobals,
} from "../../../src/shared/layout/workloads.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../src/workers/quiescence.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let m: TestMachine;
let cpu: Cpu;
const info = (): Ptr<"shrinker_info"> => {
  const memcg = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.shrinker);
  return cpu.mem.peek(memcg, ShrinkerMemcg.offset.shrinker_info);
};
const unit = (i: number): Ptr<"shrinker_info_unit"> => cpu.mem.peek(info(), element(ShrinkerInfo.offset.unit, i));
const map = (i: number): number => cpu.mem.peek(unit(i), ShrinkerInfoUnit.offset.map);

beforeEach(() => {
  m = new TestMachine({ bytes: 8 << 20 }, { poison_free: 1 });
  [cpu] = m.cpus;
  shrinker_info_init(cpu);
});

test("a longer array leads to the same units, and the old one is freed after its readers", () => {
  expand_shrinker_info(cpu, 40);
  set_shrinker_bit(cpu, 33);
  const first = unit(1);
  for (const nr of [100, 20_000, 40_000]) {
    const old = info();
    expect(expand_shrinker_info(cpu, nr)).toBe(true);
    expect(unit(1)).toBe(first);
    expect(map(1)).toBe(2);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(old)).not.toBe("user");
  }
});
test("an array that is long enough stays", () => {
  expand_shrinker_info(cpu, 40);
  const old = info();
  expand_shrinker_info(cpu, 20);
  expect(info()).toBe(old);
});
test("a bit is set, and served", () => {
  expand_shrinker_info(cpu, 40);
  m.nmi(cpu, () => set_shrinker_bit(cpu, 7));
  expect(map(0)).toBe(1 << 7);
  shrink_slab_memcg(cpu, 0);
  expect(map(0)).toBe(0);
  expect(check_shrinker_info(cpu)).toBeUndefined();
});
test("a lost bit is noticed", () => {
  expand_shrinker_info(cpu, 40);
  set_shrinker_bit(cpu, 39);
  cpu.mem.poke(unit(1), ShrinkerInfoUnit.offset.map, 0);
  expect(check_shrinker_info(cpu)).toBe("shrinker 39 has 1 objects to free, and its bit is not set");
  expect(() => free_shrinker_info(cpu)).toThrow(/shrinker 39 has 1/);
});
test("an array with a hole is noticed", () => {
  expand_shrinker_info(cpu, 40);
  cpu.mem.poke(info(), element(ShrinkerInfo.offset.unit, 1), NULL);
  expect(() => set_shrinker_bit(cpu, 39)).toThrow(/no unit 1, and is published/);
});
test("no memory: nothing is changed, nothing is left behind", () => {
  const baseline = take_account(cpu);
  expand_shrinker_info(cpu, 40);
  const old = info();
  expect(expand_shrinker_info(cpu, 4_000_000)).toBe(false);
  expect(info()).toBe(old);
  free_shrinker_info(cpu);
  check_quiescence(cpu, baseline);
});
test("freed, nothing is left, and nobody finds anything", () => {
  const baseline = take_account(cpu);
  expand_shrinker_info(cpu, 100);
  expand_shrinker_info(cpu, 40_000);
  free_shrinker_info(cpu);
  check_quiescence(cpu, baseline);
  set_shrinker_bit(cpu, 1);
  shrink_slab_memcg(cpu, 1);
});
