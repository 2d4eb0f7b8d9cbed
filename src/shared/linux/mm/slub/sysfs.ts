/**
 * Writing to files under /sys/kernel/slab/<cache>/. mm/slub.c, slab_attr_store() and the store functions; spec slub 10.2.
 *
 * Context: task, may sleep. Lock order: cpu_hotplug_lock, slab_mutex, flush_lock.
 *
 * Differs: in Linux an open file keeps its cache from being released; here slab_mutex does, held meanwhile. Who writes is
 * no CPU: it leaves a request in globals.sysfs, and the first CPU that comes by between two operations serves it.
 */
import { might_sleep } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { Globals } from "../../../layout/globals.ts";
import { CACHE_NAME_BYTES, KmemCache, SlabGlobals } from "../../../layout/slab.ts";
import { KmemCacheStats } from "../../../layout/slab_stat.ts";
import { SLAB_FAILSLAB, SLAB_SKIP_KFENCE } from "../../../layout/slab_flags.ts";
import {
  SYSFS_DONE,
  SYSFS_POSTED,
  SYSFS_SETTINGS,
  SYSFS_TAKEN,
  SYSFS_VALUE_BYTES,
  SysfsWrite,
} from "../../../layout/sysfs.ts";
import { ListHead } from "../../../layout/types.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { kstrtouint } from "../../lib/kstrtox.ts";
import { read_text } from "../../lib/packed_text.ts";
import { cpu_online, cpus_read_lock, cpus_read_unlock } from "../../sync/cpu_hotplug.ts";
import { mutex_lock, mutex_unlock } from "../../sync/mutex.ts";
import { kasan_cache_shrink } from "../debug/kasan.ts";
import { cache_name } from "./cache_name.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { flush_all_cpus_locked } from "./flush.ts";
import { assert_alive } from "./kmalloc.ts";
import { aliases_of } from "./merge.ts";
import { __kmem_cache_do_shrink } from "./shrink.ts";
import { validate_slab_nodes } from "./validate.ts";

const { slab: SLAB, sysfs: SYSFS } = Globals.offset;
const { slab_mutex: SLAB_MUTEX, slab_caches: SLAB_CACHES } = SlabGlobals.offset;
const { next: NEXT } = ListHead.offset;
const { state: STATE, attribute: ATTRIBUTE, cache: CACHE, value: VALUE, result: RESULT } = SysfsWrite.offset;
const {
  list: LIST,
  flags: FLAGS,
  min_partial: MIN_PARTIAL,
  refcount: REFCOUNT,
  remote_node_defrag_ratio: REMOTE_NODE_DEFRAG_RATIO,
  cpu_stats: CPU_STATS,
} = KmemCache.offset;
const { counts: COUNTS } = KmemCacheStats.offset;

const ENOENT = 2;
const EINVAL = 22;
const ERANGE = 34;

type Cache = Ptr<"kmem_cache">;

/** Serves the request that has been left, if there is one and no other CPU has taken it. @context Task, may sleep */
export function serve_sysfs_write(cpu: Cpu): void {
  const { mem } = cpu;
  const request = embedded(cpu.globals, SYSFS);
  // Race: a request that comes just now is for the next look.
  if (mem.data_race_read(request, STATE) !== SYSFS_POSTED) return;
  if (mem.cmpxchg(request, STATE, SYSFS_POSTED, SYSFS_TAKEN) !== SYSFS_POSTED) return;
  const name = read_text(mem, request, CACHE, CACHE_NAME_BYTES);
  const value = read_text(mem, request, VALUE, SYSFS_VALUE_BYTES);
  mem.write(request, RESULT, write_attribute(cpu, name, mem.read(request, ATTRIBUTE), value));
  mem.write_once(request, STATE, SYSFS_DONE);
}

/** @returns 0 or a negative error; -ENOENT: there is no such cache. */
function write_attribute(cpu: Cpu, name: string, attribute: number, value: string): number {
  const slab_mutex = embedded(embedded(cpu.globals, SLAB), SLAB_MUTEX);
  cpus_read_lock(cpu);
  mutex_lock(cpu, slab_mutex);
  const s = find_cache(cpu, name);
  const result = s === NULL ? -ENOENT : slab_attr_store(cpu, s, attribute, value);
  if (s !== NULL) assert_alive(cpu, s); // It has stayed meanwhile.
  mutex_unlock(cpu, slab_mutex);
  cpus_read_unlock(cpu);
  return result;
}
/** The cache of that name, which may be one of several. @returns NULL: none. */
function find_cache(cpu: Cpu, name: string): Cache {
  const head = embedded(embedded(cpu.globals, SLAB), SLAB_CACHES);
  for (let entry = cpu.mem.read(head, NEXT); entry !== head; entry = cpu.mem.read(entry, NEXT)) {
    const s = container_of(entry, LIST);
    if (cache_name(cpu, s) === name || aliases_of(cpu, s).includes(name)) return s;
  }
  return NULL;
}

/**
 * slab_attr_store() - a file of the cache is written.
 *
 * @kernel  mm/slub.c
 * @param   attribute  position in SYSFS_WRITABLE.
 * @returns 0, or a negative error.
 * @context Task, may sleep. cpus_read_lock() and slab_mutex held.
 */
function slab_attr_store(cpu: Cpu, s: Cache, attribute: number, text: string): number {
  might_sleep(cpu, "slab_attr_store");
  switch (SYSFS_SETTINGS[attribute]) {
    case "min_partial":
      return min_partial_store(cpu, s, text);
    case "cpu_partial":
      return cpu_partial_store(text);
    case "validate":
      return validate_store(cpu, s, text);
    case "shrink":
      return shrink_store(cpu, s, text);
    case "skip_kfence":
      return skip_kfence_store(cpu, s, text);
    case "failslab":
      return failslab_store(cpu, s, text);
    case "remote_node_defrag_ratio":
      return remote_node_defrag_ratio_store(cpu, s, text);
    default:
      return stat_store(cpu, s, attribute - SYSFS_SETTINGS.length, text);
  }
}

/** Empty slabs that a node keeps. @kernel mm/slub.c */
function min_partial_store(cpu: Cpu, s: Cache, text: string): number {
  const min = kstrtouint(text);
  if (min < 0) return min;
  cpu.mem.write(s, MIN_PARTIAL, min);
  return 0;
}
/** There are no per-CPU partial lists any more: only 0 is allowed. @kernel mm/slub.c */
function cpu_partial_store(text: string): number {
  const objects = kstrtouint(text);
  return objects > 0 ? -EINVAL : objects;
}
/** Only debugged caches can tell. What is wrong is reported in the log. @kernel mm/slub.c */
function validate_store(cpu: Cpu, s: Cache, text: string): number {
  if (!text.startsWith("1") || !kmem_cache_debug(cpu, s)) return -EINVAL;
  flush_all_cpus_locked(cpu, s);
  validate_slab_nodes(cpu, s);
  return 0;
}
/** @kernel mm/slub.c */
function shrink_store(cpu: Cpu, s: Cache, text: string): number {
  if (!text.startsWith("1")) return -EINVAL;
  kasan_cache_shrink(cpu, s);
  flush_all_cpus_locked(cpu, s);
  __kmem_cache_do_shrink(cpu, s);
  return 0;
}
/** @kernel mm/slub.c */
function skip_kfence_store(cpu: Cpu, s: Cache, text: string): number {
  if (text.startsWith("0")) clear_flag(cpu, s, SLAB_SKIP_KFENCE);
  else if (text.startsWith("1")) set_flag(cpu, s, SLAB_SKIP_KFENCE);
  else return -EINVAL;
  return 0;
}
/** Merged caches cannot be told apart. @kernel mm/slub.c */
function failslab_store(cpu: Cpu, s: Cache, text: string): number {
  if (cpu.mem.read(s, REFCOUNT) > 1) return -EINVAL;
  if (text.startsWith("1")) set_flag(cpu, s, SLAB_FAILSLAB);
  else clear_flag(cpu, s, SLAB_FAILSLAB);
  return 0;
}
/** In percent; kept in thousandths. @kernel mm/slub.c */
function remote_node_defrag_ratio_store(cpu: Cpu, s: Cache, text: string): number {
  const ratio = kstrtouint(text);
  if (ratio < 0) return ratio;
  if (ratio > 100) return -ERANGE;
  cpu.mem.write(s, REMOTE_NODE_DEFRAG_RATIO, ratio * 10);
  return 0;
}
/** Counters of CPUs that are down stay. Race: a CPU that counts just now may bring its old sum back. @kernel mm/slub.c */
function stat_store(cpu: Cpu, s: Cache, item: number, text: string): number {
  if (!text.startsWith("0")) return -EINVAL;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const stats = (cpu.mem.peek(s, CPU_STATS) + id * KmemCacheStats.size) as Ptr<"kmem_cache_stats">;
    if (cpu_online(cpu, id)) cpu.mem.poke(stats, element(COUNTS, item), 0);
  }
  return 0;
}

/** Nobody else changes the flags of a cache once it is on the list; readers may see either value. */
function set_flag(cpu: Cpu, s: Cache, flag: number): void {
  cpu.mem.write(s, FLAGS, cpu.mem.read(s, FLAGS) | flag);
}
function clear_flag(cpu: Cpu, s: Cache, flag: number): void {
  cpu.mem.write(s, FLAGS, cpu.mem.read(s, FLAGS) & ~flag);
}
