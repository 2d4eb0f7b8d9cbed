/** The allocator and kfree_rcu() with PREEMPT_RT: what may be called where, and that nothing is lost. */
import { expect, test } from "vitest";
import { Explorer } from "../../../../src/main/explore/explore.ts";
import { get, result, resultOf, set, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { cache, HEAD, OBJECTS, thing, withThings } from "../../../../src/main/litmus/kit_objects.ts";
import { local_irq_disable, local_irq_enable } from "../../../../src/shared/cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { KvfreeCounters } from "../../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import {
  kfree,
  kfree_nolock,
  kfree_rcu,
  kfree_rcu_nolock,
  kmalloc,
  kmalloc_nolock,
} from "../../../../src/shared/linux/api.ts";
import { kvfree_rcu_barrier } from "../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_destroy } from "../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { element, NULL } from "../../../../src/shared/mem/struct.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_sheaf: N_SHEAF } = KvfreeCounters.offset;
const TRIES = 8;
const rt = (scenario: Partial<Scenario> & Pick<Scenario, "cpus">): Scenario => ({
  name: "rt-mm",
  globals: { ...OBJECTS, rt: 1 },
  oracle: true,
  ...scenario,
});
const explore = (scenario: Scenario, random = 30): string | undefined =>
  new Explorer(scenario).explore({ random }).failure?.message;

const tries: Operation = (cpu) => {
  set(cpu, TRIES, get(cpu, TRIES) + 1);
  const object = kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE);
  if (object !== NULL) result(cpu, 0, 1);
  kfree_nolock(cpu, object);
};
const gets: Operation = (cpu) => kfree(cpu, kmalloc(cpu, 64, GFP_KERNEL));
test("kmalloc_nolock() gives nothing in an NMI or a hardirq, and something in a task with IRQs off", () => {
  const seen = new Set<number>();
  const check = (cpu: Cpu): undefined => {
    if (get(cpu, TRIES) !== 0) seen.add(resultOf(cpu, 0));
  };
  expect(explore(rt({ cpus: [[gets]], nmi: tries, check }))).toBeUndefined();
  expect([...seen]).toEqual([0]);
  const off: Operation = (cpu) => {
    local_irq_disable(cpu);
    tries(cpu);
    local_irq_enable(cpu);
  };
  expect(explore(rt({ cpus: [[gets, off]], check }))).toBeUndefined();
  expect(seen).toContain(1);
});
test("kfree_rcu() goes round the sheaves, kfree_rcu_nolock() does not", () => {
  const frees: Operation = (cpu) => {
    kfree_rcu(cpu, thing(cpu, 0), HEAD);
    result(cpu, 0, cpu.mem.peek(this_cpu_ptr(cpu, KVFREE), N_SHEAF));
    kfree_rcu_nolock(cpu, thing(cpu, 1), HEAD);
  };
  const machine = (globals: Scenario["globals"]): Scenario => ({
    ...rt({ cpus: [[frees]], setup: withThings(2, 0), final: kvfree_rcu_barrier }),
    globals: { ...OBJECTS, ...globals },
  });
  const sheaves: number[] = [];
  const check = (cpu: Cpu): undefined => void sheaves.push(resultOf(cpu, 0));
  expect(explore({ ...machine({ rt: 1 }), check }, 3)).toBeUndefined();
  expect(new Set(sheaves.splice(0))).toEqual(new Set([0]));
  expect(explore({ ...machine({}), check }, 3)).toBeUndefined();
  expect(new Set(sheaves)).toEqual(new Set([1]));
});
/** Things that have been freed so far. */
const claim = (cpu: Cpu): number => cpu.mem.fetch_add(cpu.globals, element(Globals.offset.scenario, TRIES), 1);
test("what an NMI frees meanwhile is there for the barrier, and the cache can go", () => {
  const busy: Operation = (cpu) => {
    gets(cpu);
    kfree_rcu(cpu, thing(cpu, 0), HEAD);
  };
  const scenario = rt({
    setup: withThings(3, 0),
    cpus: [[busy], [gets]],
    nmis: 2,
    nmi: (cpu) => {
      const n = claim(cpu);
      if (n === 0) kfree_nolock(cpu, thing(cpu, 1));
      else if (n === 1) kfree_rcu_nolock(cpu, thing(cpu, 2), HEAD);
    },
    final: (cpu) => {
      for (let n = claim(cpu); n < 2; n = claim(cpu)) kfree_nolock(cpu, thing(cpu, n + 1));
      kvfree_rcu_barrier(cpu);
      kmem_cache_destroy(cpu, cache(cpu));
    },
  });
  expect(explore(scenario, 6)).toBeUndefined();
});
