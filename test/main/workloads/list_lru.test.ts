/** list_lru: tables of every kind of memory replace each other, and lists stay. */
import { beforeEach, expect, test } from "vitest";
import {
  check_list_lru,
  list_lru_add_del,
  list_lru_destroy,
  list_lru_init,
  memcg_list_lru_alloc,
  memcg_list_lru_free,
  memcg_update_list_lru,
} from "../../../src/main/workloads/list_lru.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { ListLru, ListLruMemcg, ListLruOne, WorkloadGlobals } from "../../../src/shared/layout/workloads.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../src/workers/quiescence.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let m: TestMachine;
let cpu: Cpu;
const table = (): Ptr<"list_lru_memcg"> => {
  const lru = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.list_lru);
  return cpu.mem.peek(lru, ListLru.offset.memcg_lrus);
};
const list = (i: number): Ptr<"list_lru_one"> => cpu.mem.peek(table(), element(ListLruMemcg.offset.lru, i));

beforeEach(() => {
  m = new TestMachine({ bytes: 8 << 20 }, { poison_free: 1 });
  [cpu] = m.cpus;
  list_lru_init(cpu);
});

test("a larger table has the lists of the smaller one, whatever memory it lies in", () => {
  memcg_update_list_lru(cpu, 2);
  memcg_list_lru_alloc(cpu, 1);
  const one = list(1);
  for (const nr of [60, 500, 2000, 4000, 2, 4000]) {
    const old = table();
    expect(memcg_update_list_lru(cpu, nr)).toBe(true);
    expect(list(1)).toBe(one);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(old)).not.toBe("user");
    list_lru_add_del(cpu, 1, 1);
  }
});
test("lists that have no place in the new table are freed after their readers", () => {
  memcg_update_list_lru(cpu, 2);
  memcg_list_lru_alloc(cpu, 1);
  const one = list(1);
  memcg_update_list_lru(cpu, 1);
  expect(m.placeOf(one)).not.toMatch(/user|freelist|^sheaf/);
  kvfree_rcu_barrier(cpu);
  expect(m.placeOf(one)).toMatch(/freelist|^sheaf/);
});
test("a memory cgroup goes, and gets a list again", () => {
  memcg_update_list_lru(cpu, 2);
  memcg_list_lru_alloc(cpu, 0);
  memcg_list_lru_free(cpu, 0);
  expect(list(0)).toBe(NULL);
  memcg_list_lru_alloc(cpu, 0);
  memcg_list_lru_alloc(cpu, 0);
  expect(check_list_lru(cpu)).toBeUndefined();
});
test("without a table, or without a list, a reader finds nothing", () => {
  list_lru_add_del(cpu, 3, 1);
  memcg_update_list_lru(cpu, 2);
  list_lru_add_del(cpu, 3, 1);
});
test("an item that is left, and a list of somebody else, are noticed", () => {
  memcg_update_list_lru(cpu, 1);
  memcg_list_lru_alloc(cpu, 0);
  cpu.mem.poke(list(0), ListLruOne.offset.nr_items, 1);
  expect(check_list_lru(cpu)).toMatch(/has kept 1 items/);
  cpu.mem.poke(list(0), ListLruOne.offset.memcg, 5);
  expect(() => list_lru_add_del(cpu, 0, 0)).toThrow(/memory cgroup 0 is that of 5/);
});
test("destroyed, nothing is left", () => {
  const baseline = take_account(cpu);
  memcg_update_list_lru(cpu, 3000);
  for (const i of [0, 2]) memcg_list_lru_alloc(cpu, i);
  list_lru_destroy(cpu);
  check_quiescence(cpu, baseline);
  expect(table()).toBe(NULL);
});
