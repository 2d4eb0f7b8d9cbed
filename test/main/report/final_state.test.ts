/** How a machine stands: what waits in kfree_rcu_cpu is shown list by list, object by object. */
import { expect, test } from "vitest";
import { finalState } from "../../../src/main/report/final_state.ts";
import { HeapSymbols } from "../../../src/main/report/heap_symbols.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { krcMachine, monitor, setBulkMaxEntr } from "../../shared/linux/mm/kvfree_rcu/krc_kit.ts";
import { Thing } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

const lines = (cpu: Cpu): readonly string[] =>
  finalState(cpu.map, cpu.mem, new HeapSymbols(cpu.map, cpu.mem), ["", ""]);

test("objects on the list, in pages and in batches", () => {
  const { cpu, alloc } = krcMachine(2);
  expect(lines(cpu).filter((line) => line.includes("krc"))).toEqual([]);
  const things = Array.from({ length: 11 }, alloc);
  kfree_rcu(cpu, things[0], Thing.offset.head);
  kfree_rcu_mightsleep(cpu, things[1]);
  monitor(cpu);
  setBulkMaxEntr(cpu, 2);
  kfree_rcu(cpu, things[2], Thing.offset.head);
  for (const thing of things.slice(3)) kfree_rcu_mightsleep(cpu, thing);
  expect(lines(cpu).filter((line) => line.includes("krc"))).toEqual([
    "  cpu0.krc.head: things#2+8",
    "  cpu0.krc.krw_arr[0].head_free: things#0+8",
    "  cpu0.krc.bulk_head[0]: things#10, things#9, things#8, things#7, things#6, things#5, ...",
    "  cpu0.krc.krw_arr[0].bulk_head_free[0]: things#1",
  ]);
});
