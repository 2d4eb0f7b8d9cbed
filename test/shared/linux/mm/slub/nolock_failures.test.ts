/**
 * kmalloc_nolock() may fail at any time, and NULL is then the whole answer: nothing is waited for, and nothing is left
 * behind. Of the causes that spec rcu 3.6 names, these hold several locks at once, or meet them by chance. One lock at a
 * time, the size, the missing cmpxchg_double and the large kmalloc: nolock.test.ts.
 *
 * Not to be had here: can_spin_trylock() is always true, since there is neither PREEMPT_RT nor a kernel without SMP.
 */
import { beforeEach, expect, test } from "vitest";
import { Explorer } from "../../../../../src/main/explore/explore.ts";
import { result, resultOf, type Scenario } from "../../../../../src/main/explore/scenario.ts";
import { Pct } from "../../../../../src/main/explore/strategies/pct.ts";
import { NO_GRACE_PERIODS } from "../../../../../src/main/races/kit_no_grace_periods.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Zone } from "../../../../../src/shared/layout/page.ts";
import { KmemCacheNode, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import {
  kfree,
  kfree_nolock,
  kfree_rcu_nolock,
  kmalloc,
  kmalloc_nolock,
  ksize,
  kvfree_rcu_barrier,
} from "../../../../../src/shared/linux/api.ts";
import { node_zone } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { get_node } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../../../../../src/shared/linux/sync/spinlock.ts";
import { embedded, NULL, type Inner, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { exhaustPages, setSheafState } from "./sheaf_state.ts";

type Obj = Ptr<"object">;
const HEAD = 0 as Inner<"object", "kvfree_rcu_head">;

let m: TestMachine;
let cpu: Cpu;
const bucket = (size: number): Ptr<"kmem_cache"> => kmalloc_slab(cpu, size, 0);
const alloc = (size: number): Obj => kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE);
const emptySheaves = (size: number): void => setSheafState(cpu, bucket(size), { main: 0, spare: 0, full: 0, empty: 0 });
const sheafLock = (size: number): Ptr<"local_trylock"> =>
  embedded(this_cpu_sheaves(cpu, bucket(size)), SlubPercpuSheaves.offset.lock);
const listLock = (size: number): Ptr<"spinlock"> =>
  embedded(get_node(cpu, bucket(size), 0), KmemCacheNode.offset.list_lock);

beforeEach(() => {
  m = new TestMachine({ cpus: 2, bytes: 2 << 20 }, { tiny: 1 });
  [cpu] = m.cpus;
});

test("an NMI on top of the list lock, while both buckets' sheaves are in use: nothing; then everything as before", () => {
  const baseline = take_account(cpu);
  for (const size of [512, 1024]) local_lock(cpu, sheafLock(size));
  const flags = [512, 1024].map((size, i) => spin_lock_irqsave(m.cpus[i], listLock(size)));
  m.nmi(cpu, () => expect(alloc(512)).toBe(NULL));
  for (const [i, size] of [512, 1024].entries()) spin_unlock_irqrestore(m.cpus[i], listLock(size), flags[i]);
  for (const size of [1024, 512]) local_unlock(cpu, sheafLock(size));
  kfree_nolock(cpu, alloc(512));
  check_quiescence(cpu, baseline);
});

test("every trylock fails: allocation gives up, and frees are deferred and done later", () => {
  const baseline = take_account(cpu);
  const [a, b] = [alloc(64), alloc(64)];
  m.set("spurious", -1); // Of 2^32.
  expect(alloc(64)).toBe(NULL);
  const flags = local_irq_save(cpu);
  kfree_nolock(cpu, a);
  kfree_rcu_nolock(cpu, b, HEAD);
  expect([m.placeOf(a), m.placeOf(b)]).toEqual(["deferred", "deferred_rcu"]);
  local_irq_restore(cpu, flags);
  m.set("spurious", 0);
  kvfree_rcu_barrier(cpu);
  check_quiescence(cpu, baseline);
});

test("no slab has a free object, and the zone's lock is busy: nothing", () => {
  for (const size of [4096, 8192]) emptySheaves(size);
  const zoneLock = embedded(node_zone(cpu, 0), Zone.offset.lock);
  const flags = spin_lock_irqsave(m.cpus[1], zoneLock);
  m.nmi(cpu, () => expect(alloc(4096)).toBe(NULL));
  spin_unlock_irqrestore(m.cpus[1], zoneLock, flags);
  expect(ksize(cpu, alloc(4096))).toBe(4096);
});

test("no memory: what slabs still have, then nothing", () => {
  const object = alloc(256);
  exhaustPages(cpu);
  while (alloc(256) !== NULL);
  expect(kmalloc(cpu, 256, GFP_ATOMIC)).toBe(NULL);
  kfree(cpu, object);
  expect(alloc(256)).toBe(object);
});

/** What NMIs got, as bits: an object of the bucket, one of the next bucket, nothing. */
const GOT = 0;
const BUCKET = 1;
const NEXT = 2;
const NOTHING = 4;
const SIZE = 512;
/** Both CPUs take objects from slabs, one of the bucket, one of the next; an NMI hits either anywhere. */
const scenario: Scenario = {
  name: "kmalloc_nolock-fails",
  globals: { tiny: 1 },
  cpus: [[(on) => kfree(on, kmalloc(on, SIZE, GFP_ATOMIC))], [(on) => kfree(on, kmalloc(on, 2 * SIZE, GFP_ATOMIC))]],
  nmi: (on) => {
    const object = kmalloc_nolock(on, SIZE, 0, NUMA_NO_NODE);
    const got = object === NULL ? NOTHING : ksize(on, object) === SIZE ? BUCKET : NEXT;
    result(on, GOT, got);
    kfree_nolock(on, object);
  },
  kernel: NO_GRACE_PERIODS,
  oracle: true,
};
test("contended by chance: an NMI gets what it asked for, or from the next bucket, or nothing", () => {
  const seen = new Set<number>();
  const check = (on: Cpu): undefined => void seen.add(resultOf(on, GOT));
  const explorer = new Explorer({ ...scenario, check });
  const strategy = new Pct(1, 4, 1);
  for (let left = 4000; left > 0 && seen.size < 4 && strategy.begin(); left--)
    expect(explorer.execute(strategy)).toBeUndefined();
  expect(seen).toEqual(new Set([0, BUCKET, NEXT, NOTHING]));
});
