/**
 * Walks the sheaves of a cache while nothing runs, and puts them together with its slabs: every object is in one place.
 * For oracles and tests; spec slub 14, invariants 1, 4, 5, and what must add up at quiescence.
 *
 * Takes no lock and makes no step (peek only). Sheaves on their way through RCU or a deferred list are not seen here:
 * with such about, their objects count as used.
 */
import { KmemCache, KmemCachePerNode, NodeBarn, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { ListHead, LocalTrylock, Spinlock } from "../../../layout/types.ts";
import { container_of, element, embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { check_slabs, is_object_of_cache, type SlabCensus } from "./check.ts";
import { stat_sum } from "./stat.ts";

const { cpu_sheaves: CPU_SHEAVES, sheaf_capacity: SHEAF_CAPACITY, per_node: PER_NODE } = KmemCache.offset;
const { barn: BARN } = KmemCachePerNode.offset;
const { lock: LOCK, main: MAIN, spare: SPARE, rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { size: SHEAF_SIZE, cache: SHEAF_CACHE, objects: OBJECTS, barn_list: BARN_LIST } = SlabSheaf.offset;
const {
  lock: BARN_LOCK,
  sheaves_full: FULL,
  sheaves_empty: EMPTY,
  nr_full: NR_FULL,
  nr_empty: NR_EMPTY,
} = NodeBarn.offset;
const { acquired: ACQUIRED } = LocalTrylock.offset;
const { val: VAL } = Spinlock.offset;
const { next: NEXT } = ListHead.offset;

type Cache = Ptr<"kmem_cache">;
type Sheaf = Ptr<"slab_sheaf">;

/** What a walk over slabs and sheaves has seen. */
export interface CacheCensus extends SlabCensus {
  readonly sheaves: ReadonlySet<Sheaf>;
  /** Objects in them. */
  readonly cached: ReadonlySet<Ptr>;
}

/** Walks slabs, per-CPU sheaves and barns of a cache. @context Any, machine at rest. */
export function take_census(cpu: Cpu, s: Cache): CacheCensus {
  const census = check_slabs(cpu, s);
  const walk = new SheafWalk(cpu, s, census);
  if (cpu.mem.peek(s, SHEAF_CAPACITY) !== 0) {
    for (let id = 0; id < cpu.map.shape.cpus; id++) walk.pcs(id);
    for (let node = 0; node < cpu.map.shape.nodes; node++) walk.barn(node);
  }
  return { ...census, sheaves: walk.sheaves, cached: walk.cached };
}

/** check_slab_cache() - what is wrong with a cache, in words; nothing if all is well. @context Any, machine at rest. */
export function check_slab_cache(cpu: Cpu, s: Cache): string[] {
  return take_census(cpu, s).problems;
}

/**
 * The same when nothing is on its way either (no deferred list, no grace period): everything must add up.
 * @param users  objects that are allocated.
 * @param exact  false: counts may have been lost to NMIs, so statistics prove nothing.
 */
export function check_quiescent_cache(cpu: Cpu, s: Cache, users: number, exact: boolean): string[] {
  const census = take_census(cpu, s);
  const { problems, inuse, cached, sheaves } = census;
  if (inuse - cached.size !== users) {
    problems.push(
      `${inuse} objects in use, ${cached.size} of them in sheaves: ${inuse - cached.size} used, not ${users}`,
    );
  }
  const alive = stat_sum(cpu, s, STAT.SHEAF_ALLOC) - stat_sum(cpu, s, STAT.SHEAF_FREE);
  if (exact && alive !== sheaves.size) problems.push(`${sheaves.size} sheaves found, but ${alive} are alive`);
  return problems;
}

class SheafWalk {
  readonly sheaves = new Set<Sheaf>();
  readonly cached = new Set<Ptr>();
  private readonly cpu: Cpu;
  private readonly s: Cache;
  private readonly census: SlabCensus;
  private readonly capacity: number;

  constructor(cpu: Cpu, s: Cache, census: SlabCensus) {
    this.cpu = cpu;
    this.s = s;
    this.census = census;
    this.capacity = cpu.mem.peek(s, SHEAF_CAPACITY);
  }

  /** Main is there; rcu_free is neither empty nor full; the lock is free. */
  pcs(id: number): void {
    const mem = this.cpu.mem;
    const pcs = (mem.peek(this.s, CPU_SHEAVES) + id * SlubPercpuSheaves.size) as Ptr<"slub_percpu_sheaves">;
    const name = `CPU ${id}`;
    if (mem.peek(embedded(pcs, LOCK), ACQUIRED) !== 0) this.complain(`${name}: the sheaf lock is held`);
    const main = mem.peek(pcs, MAIN);
    if (main === NULL) this.complain(`${name}: no main sheaf`);
    else this.sheaf(main, `${name} main`, 0, this.capacity);
    const spare = mem.peek(pcs, SPARE);
    if (spare !== NULL) this.sheaf(spare, `${name} spare`, 0, this.capacity);
    const rcu_free = mem.peek(pcs, RCU_FREE);
    if (rcu_free !== NULL) this.sheaf(rcu_free, `${name} rcu_free`, 1, this.capacity - 1);
  }

  /** Empties are empty, fulls are not, the counters are the lengths. */
  barn(node: number): void {
    const mem = this.cpu.mem;
    const barn = mem.peek(embedded_at(this.s, PER_NODE, node, KmemCachePerNode.size), BARN);
    if (barn === NULL) return;
    if (mem.peek(embedded(barn, BARN_LOCK), VAL) !== 0) this.complain(`barn ${node}: the lock is held`);
    this.list(embedded(barn, FULL), mem.peek(barn, NR_FULL), `barn ${node} full`, 1, this.capacity);
    this.list(embedded(barn, EMPTY), mem.peek(barn, NR_EMPTY), `barn ${node} empty`, 0, 0);
  }

  private list(head: Ptr<"list_head">, counter: number, name: string, least: number, most: number): void {
    let length = 0;
    for (let entry = this.cpu.mem.peek(head, NEXT); entry !== head; entry = this.cpu.mem.peek(entry, NEXT)) {
      if (!this.sheaf(container_of(entry, BARN_LIST), name, least, most)) return;
      length++;
    }
    if (length !== counter) this.complain(`${name}: counter is ${counter}, but there are ${length}`);
  }

  /** @returns false: seen before, or no sheaf of this cache. */
  private sheaf(sheaf: Sheaf, name: string, least: number, most: number): boolean {
    const mem = this.cpu.mem;
    if (this.sheaves.has(sheaf)) {
      this.complain(`${name}: sheaf 0x${sheaf.toString(16)} is somewhere else, too`);
      return false;
    }
    if (mem.peek(sheaf, SHEAF_CACHE) !== this.s) {
      this.complain(`${name}: sheaf 0x${sheaf.toString(16)} is of another cache`);
      return false;
    }
    this.sheaves.add(sheaf);
    const size = mem.peek(sheaf, SHEAF_SIZE);
    if (size < least || size > most) this.complain(`${name}: ${size} objects, not ${least} to ${most}`);
    for (let i = 0; i < Math.min(size, this.capacity); i++) this.object(mem.peek(sheaf, element(OBJECTS, i)), name);
    return true;
  }

  private object(object: Ptr, name: string): void {
    if (this.cached.has(object)) this.complainOf(object, name, "is in two sheaves");
    this.cached.add(object);
    if (this.census.free.has(object)) this.complainOf(object, name, "is on a freelist, too");
    if (!is_object_of_cache(this.cpu, this.s, object)) this.complainOf(object, name, "is no object of the cache");
  }
  private complainOf(object: Ptr, name: string, what: string): void {
    this.complain(`${name}: object 0x${object.toString(16)} ${what}`);
  }
  private complain(what: string): void {
    this.census.problems.push(what);
  }
}
