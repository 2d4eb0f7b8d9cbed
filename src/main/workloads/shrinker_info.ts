/**
 * shrinker_info: for a memory cgroup, which shrinkers may have something to free. Bits and counts lie in units, which stay;
 * the array that leads to them is replaced by a longer one when there are more shrinkers. mm/shrinker.c; spec rcu 2.1.
 *
 *   set_shrinker_bit()        Any; a reader
 *   shrink_slab_memcg()       Any; a reader
 *   expand_shrinker_info()    Task; shrinker_mutex; the old array goes by kvfree_rcu()
 *   free_shrinker_info()      Task; shrinker_mutex; waits for readers
 *
 * A count is added before its bit is set, and the bit is cleared before the count is taken. So a shrinker with a count
 * has its bit set, or somebody is about to set it or to take the count: at rest no count is without its bit.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import {
  SHRINKER_UNIT_BITS,
  ShrinkerInfo,
  ShrinkerInfoUnit,
  ShrinkerMemcg,
  WorkloadGlobals,
} from "../../shared/layout/workloads.ts";
import {
  kfree,
  kvfree_rcu,
  kzalloc,
  LC,
  rcu_read_lock,
  rcu_read_unlock,
  synchronize_rcu,
} from "../../shared/linux/api.ts";
import { kvfree } from "../../shared/linux/mm/util.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "../../shared/linux/sync/mutex.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { alloc_array } from "./array.ts";
import { assert_batching, check_tag, TAG_END, tag_object } from "./tag.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { shrinker: SHRINKER } = WorkloadGlobals.offset;
const { shrinker_info: SHRINKER_INFO, mutex: MUTEX } = ShrinkerMemcg.offset;
const { rcu: RCU, tag: TAG, map_nr_max: MAP_NR_MAX, unit: UNIT } = ShrinkerInfo.offset;
const { map: MAP, tag: UNIT_TAG, nr_deferred: NR_DEFERRED } = ShrinkerInfoUnit.offset;

type Info = Ptr<"shrinker_info">;
type Unit = Ptr<"shrinker_info_unit">;

const memcg_of = (cpu: Cpu): Ptr<"shrinker_memcg"> => embedded(embedded(cpu.globals, WORKLOADS), SHRINKER);
const units_of = (map_nr_max: number): number => Math.ceil(map_nr_max / SHRINKER_UNIT_BITS);

/** A memory cgroup without shrinkers. @context Task, alone */
export function shrinker_info_init(cpu: Cpu): void {
  assert_batching(cpu);
  mutex_init(cpu, embedded(memcg_of(cpu), MUTEX), LC.test_mutex);
}

/** The present array. @returns NULL: there is none. @context Any, a reader */
function shrinker_info(cpu: Cpu): Info {
  const info = cpu.mem.read_once(memcg_of(cpu), SHRINKER_INFO);
  if (info !== NULL) check_tag(cpu, info, embedded(info, TAG), "reader of shrinker_info");
  return info;
}
function unit_at(cpu: Cpu, info: Info, i: number): Unit {
  const unit = cpu.mem.read_once(info, element(UNIT, i));
  if (unit === NULL) bug(cpu, `shrinker_info has no unit ${i}, and is published`);
  check_tag(cpu, unit, embedded(unit, UNIT_TAG), "reader of shrinker_info_unit");
  return unit;
}

/** set_shrinker_bit() - a shrinker has something to free. @param draw  chooses it. @context Any */
export function set_shrinker_bit(cpu: Cpu, draw: number): void {
  const { mem } = cpu;
  rcu_read_lock(cpu);
  const info = shrinker_info(cpu);
  if (info !== NULL) {
    const id = draw % mem.read(info, MAP_NR_MAX);
    const unit = unit_at(cpu, info, Math.floor(id / SHRINKER_UNIT_BITS));
    mem.fetch_add(unit, element(NR_DEFERRED, id % SHRINKER_UNIT_BITS), 1);
    mem.fetch_or(unit, MAP, 1 << (id % SHRINKER_UNIT_BITS));
  }
  rcu_read_unlock(cpu);
}
/** shrink_slab_memcg() - lets the shrinkers of one unit work that have their bit set. @context Any */
export function shrink_slab_memcg(cpu: Cpu, draw: number): void {
  const { mem } = cpu;
  rcu_read_lock(cpu);
  const info = shrinker_info(cpu);
  if (info !== NULL) {
    const unit = unit_at(cpu, info, draw % units_of(mem.read(info, MAP_NR_MAX)));
    for (let left = mem.read_once(unit, MAP); left !== 0; left &= left - 1) {
      const bit = 31 - Math.clz32(left & -left);
      // First the bit: an addition that the exchange misses sets it again.
      mem.fetch_and(unit, MAP, ~(1 << bit));
      mem.xchg(unit, element(NR_DEFERRED, bit), 0);
    }
  }
  rcu_read_unlock(cpu);
}

function alloc_unit(cpu: Cpu): Unit {
  const bytes = ShrinkerInfoUnit.size + TAG_END;
  const unit = kzalloc(cpu, bytes, GFP_KERNEL) as Ptr as Unit;
  if (unit !== NULL) tag_object(cpu, unit, embedded(unit, UNIT_TAG), bytes);
  return unit;
}
/**
 * expand_shrinker_info() - an array for `map_nr_max` shrinkers, unless the present one is large enough.
 * @returns false: no memory, nothing is changed.
 * @context Task, may sleep
 * @pairs   set_shrinker_bit(): whichever array it finds, the unit is the same.
 */
export function expand_shrinker_info(cpu: Cpu, map_nr_max: number): boolean {
  const { mem } = cpu;
  const memcg = memcg_of(cpu);
  mutex_lock(cpu, embedded(memcg, MUTEX));
  const old = mem.read_once(memcg, SHRINKER_INFO);
  const done = (old !== NULL && mem.read(old, MAP_NR_MAX) >= map_nr_max) || expand_one(cpu, old, map_nr_max);
  mutex_unlock(cpu, embedded(memcg, MUTEX));
  return done;
}
/** @context Task, shrinker_mutex held */
function expand_one(cpu: Cpu, old: Info, map_nr_max: number): boolean {
  const { mem } = cpu;
  const units = units_of(map_nr_max);
  const old_units = old === NULL ? 0 : units_of(mem.read(old, MAP_NR_MAX));
  const bytes = ShrinkerInfo.size + 8 * units + TAG_END;
  const info = alloc_array(cpu, bytes) as Ptr as Info;
  if (info === NULL) return false;
  mem.init(info, MAP_NR_MAX, map_nr_max);
  tag_object(cpu, info, embedded(info, TAG), bytes);
  for (let i = 0; i < units; i++) {
    const unit = i < old_units ? mem.read_once(old, element(UNIT, i)) : alloc_unit(cpu);
    if (unit === NULL) {
      for (let made = old_units; made < i; made++) kfree(cpu, mem.read_once(info, element(UNIT, made)));
      kvfree(cpu, info);
      return false;
    }
    mem.init(info, element(UNIT, i), unit);
  }
  mem.write_once(memcg_of(cpu), SHRINKER_INFO, info);
  if (old !== NULL) kvfree_rcu(cpu, old, RCU);
  return true;
}

/** A count without its bit: that shrinker would never be called. @context Any, nobody else at the units */
export function check_shrinker_info(cpu: Cpu): string | undefined {
  const { mem } = cpu;
  const info = mem.peek(memcg_of(cpu), SHRINKER_INFO);
  return info === NULL ? undefined : check_units(cpu, info);
}
function check_units(cpu: Cpu, info: Info): string | undefined {
  const { mem } = cpu;
  for (let i = 0; i < units_of(mem.peek(info, MAP_NR_MAX)); i++) {
    const unit = mem.peek(info, element(UNIT, i));
    for (let bit = 0; bit < SHRINKER_UNIT_BITS; bit++) {
      const count = mem.peek(unit, element(NR_DEFERRED, bit));
      if (count !== 0 && (mem.peek(unit, MAP) & (1 << bit)) === 0)
        return `shrinker ${i * SHRINKER_UNIT_BITS + bit} has ${count} objects to free, and its bit is not set`;
    }
  }
  return undefined;
}
/** free_shrinker_info() - the memory cgroup goes, with array and units. @context Task, may sleep */
export function free_shrinker_info(cpu: Cpu): void {
  const { mem } = cpu;
  const memcg = memcg_of(cpu);
  mutex_lock(cpu, embedded(memcg, MUTEX));
  const info = mem.xchg(memcg, SHRINKER_INFO, NULL);
  mutex_unlock(cpu, embedded(memcg, MUTEX));
  if (info === NULL) return;
  synchronize_rcu(cpu);
  const problem = check_units(cpu, info);
  if (problem !== undefined) bug(cpu, problem);
  for (let i = 0; i < units_of(mem.read(info, MAP_NR_MAX)); i++) kfree(cpu, mem.read_once(info, element(UNIT, i)));
  kvfree(cpu, info);
}
