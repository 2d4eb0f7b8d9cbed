/** All facilities on, random traffic of three CPUs and NMIs on one thread: at the end the books of each are right. */
import { describe, test } from "vitest";
import { Random } from "../../../../../src/shared/base/random.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { type FacilityName, HOOK_BITS } from "../../../../../src/shared/layout/debug.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { check_quiescence, take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { head: HEAD } = Thing.offset;
const { scenario: WORDS } = Globals.offset;
const POINTS = [POINT.list_lock_held, POINT.spin_lock_held, POINT.zone_lock_held, POINT.local_trylock_acquired];
/** Objects that are in use at the same time: each has a scenario word that points to it. */
const OBJECTS = 96;

class Traffic {
  private readonly random: Random;
  private readonly machine: TestMachine;
  private readonly cache: Ptr<"kmem_cache">;
  private over = false; // An NMI may still be aimed when the traffic has ended.

  constructor(machine: TestMachine, seed: number) {
    this.machine = machine;
    this.random = new Random(seed);
    this.cache = kmem_cache_create(machine.cpus[0], "churn", Thing.size);
  }
  run(operations: number): void {
    const { machine, random } = this;
    for (let i = 0; i < operations; i++) {
      const cpu = machine.cpus[random.below(3)];
      if (random.chance(0.1)) machine.nmiAt(cpu, POINTS[random.below(POINTS.length)], () => this.nmi(cpu));
      this.turn(cpu, random.below(OBJECTS / 2));
      if (i % 64 === 0) machine.run(1);
    }
    this.over = true;
    for (let i = 0; i < OBJECTS; i++) this.free(machine.cpus[random.below(3)], this.take(i), i >= OBJECTS / 2);
    kmem_cache_destroy(machine.cpus[0], this.cache);
  }
  private take(i: number): ThingPtr {
    return this.machine.cpus[0].mem.xchg(this.machine.cpus[0].globals, element(WORDS, i), 0) as ThingPtr;
  }
  private turn(cpu: Cpu, i: number): void {
    const object = this.take(i);
    if (object !== NULL) this.free(cpu, object, false);
    else cpu.mem.write_once(cpu.globals, element(WORDS, i), this.allocate(cpu));
  }
  private allocate(cpu: Cpu): Ptr {
    const kind = this.random.below(4);
    if (kind === 0) return kmem_cache_alloc(cpu, this.cache, GFP_KERNEL);
    if (kind === 1) return kmalloc(cpu, 9000, GFP_KERNEL);
    return kmalloc(cpu, 32 << this.random.below(5), GFP_ATOMIC);
  }
  private free(cpu: Cpu, object: ThingPtr, nolock: boolean): void {
    if (object === NULL) return;
    const kind = this.random.below(nolock ? 5 : 3);
    if (kind === 0) kfree(cpu, object);
    else if (kind === 1) kfree_rcu(cpu, object, HEAD);
    else if (kind === 2) kfree_rcu_mightsleep(cpu, object);
    else if (kind === 3) kfree_nolock(cpu, object);
    else kfree_rcu_nolock(cpu, object, HEAD);
  }
  /** The second half of the words is the NMIs'. */
  private nmi(cpu: Cpu): void {
    if (this.over) return;
    const i = OBJECTS / 2 + this.random.below(OBJECTS / 2);
    const object = this.take(i);
    if (object === NULL) {
      const size = Thing.size << this.random.below(3);
      cpu.mem.write_once(cpu.globals, element(WORDS, i), kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE));
    } else if (this.random.chance(0.5)) {
      kfree_nolock(cpu, object);
    } else {
      kfree_rcu_nolock(cpu, object, HEAD);
    }
  }
}

const churn = (hooks: number, seed: number): void => {
  const machine = new TestMachine({ cpus: 3, nodes: 2, bytes: 8 << 20 }, { hooks, tiny: 1, rcu_min_cached_objs: 2 });
  const [cpu] = machine.cpus;
  const baseline = take_account(cpu);
  new Traffic(machine, seed).run(1500);
  check_quiescence(cpu, baseline);
};

describe("the books are right", () => {
  test.each(Object.entries(HOOK_BITS) as [FacilityName, number][])("%s", (_, bit) => churn(bit, bit));
  const all = Object.values(HOOK_BITS).reduce((bits: number, bit) => bits | bit, 0);
  test.each([1, 2, 3])("all facilities, seed %i", (seed) => churn(all, seed));
});
