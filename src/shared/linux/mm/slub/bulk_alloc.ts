/**
 * Bulk allocation: from this CPU's sheaves as long as there are full ones, the rest straight from slabs. mm/slub.c; spec
 * slub 2.5, 2.13, 3.5.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { random_below } from "../../../cpu/random.ts";
import { ObjectArray, SlabSheaf, SlubPercpuSheaves } from "../../../layout/slab.ts";
import { STAT } from "../../../layout/slab_stat.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../layout/slab_flags.ts";
import { element, embedded, NULL, offsetof, type Ptr } from "../../../mem/struct.ts";
import { local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { alloc_elsewhere, hooks_enabled } from "../debug/facilities.ts";
import { kfence_free } from "../debug/kfence.ts";
import { barn_replace_empty_sheaf } from "./barn.ts";
import { assert_bulk_context, __kmem_cache_free_bulk, kmem_cache_free_bulk, read_slots } from "./bulk_free.ts";
import { should_failslab } from "./failslab.ts";
import { alloc_path, maybe_wipe_obj_freeptr, slab_post_alloc_hook, slab_pre_alloc_hook } from "./hooks.ts";
import { assert_alive } from "./kmalloc.ts";
import { get_barn, this_cpu_sheaves } from "./pcs.ts";
import { __kmem_cache_alloc_bulk } from "./refill.ts";
import { cache_has_sheaves } from "./sheaf.ts";
import { stat } from "./stat.ts";

const { slots: SLOTS } = ObjectArray.offset;
const { lock: LOCK, main: MAIN, spare: SPARE } = SlubPercpuSheaves.offset;
const { size: SIZE, objects: OBJECTS } = SlabSheaf.offset;

type Cache = Ptr<"kmem_cache">;
type Objects = Ptr<"object_array">;

/**
 * kmem_cache_alloc_bulk() - allocate exactly `size` objects, or none.
 *
 * @kernel  mm/slub.c
 * @param   p  receives them.
 * @returns false: too little memory, or a facility refuses one.
 * @context Task or Softirq, IRQs on; Task if gfp may block.
 */
export function kmem_cache_alloc_bulk(cpu: Cpu, s: Cache, gfp: number, size: number, p: Objects): boolean {
  assert_bulk_context(cpu, "kmem_cache_alloc_bulk");
  slab_pre_alloc_hook(cpu, gfp);
  assert_alive(cpu, s);
  if (should_failslab(cpu, s, gfp)) return false;
  if (size === 0) return true;
  const elsewhere = hooks_enabled(cpu) ? alloc_elsewhere(cpu, alloc_path(SLAB_ALLOC_DEFAULT), s, gfp) : NULL;
  const wanted = elsewhere === NULL ? size : size - 1;
  const got = alloc_from_pcs_bulk(cpu, s, wanted, p);
  if (got < wanted) {
    const rest = (p + offsetof(element(SLOTS, got))) as Objects;
    if (__kmem_cache_alloc_bulk(cpu, s, gfp, wanted - got, rest) === 0) {
      give_up(cpu, s, [...read_slots(cpu, p, got), ...(elsewhere === NULL ? [] : [elsewhere])]);
      return false;
    }
  }
  if (elsewhere !== NULL) insert_somewhere(cpu, p, wanted, elsewhere);
  const objects = read_slots(cpu, p, size);
  for (let i = 0; i < size; i++) {
    maybe_wipe_obj_freeptr(cpu, s, objects[i]);
    if (slab_post_alloc_hook(cpu, s, gfp, SLAB_ALLOC_DEFAULT, objects[i]) !== NULL) continue;
    kmem_cache_free_bulk(cpu, s, i, p);
    give_up(cpu, s, objects.slice(i + 1));
    return false;
  }
  return true;
}

/** At most one object of a bulk comes from elsewhere, at any place of it. @param n  objects that are there already. */
function insert_somewhere(cpu: Cpu, p: Objects, n: number, object: Ptr<"object">): void {
  const i = random_below(cpu, n + 1);
  if (i < n) cpu.mem.write(p, element(SLOTS, n), cpu.mem.read(p, element(SLOTS, i)));
  cpu.mem.write(p, element(SLOTS, i), object);
}
/** Frees objects that no user has seen yet. */
function give_up(cpu: Cpu, s: Cache, objects: readonly Ptr<"object">[]): void {
  const own = hooks_enabled(cpu) ? objects.filter((object) => kfence_free(cpu, s, object)) : [...objects];
  __kmem_cache_free_bulk(cpu, s, own);
}

/**
 * alloc_from_pcs_bulk() - take objects from this CPU's sheaves. No refill: the caller has the slabs fill p directly.
 *
 * @kernel  mm/slub.c
 * @returns how many there were.
 * @context Task or Softirq, IRQs on.
 */
export function alloc_from_pcs_bulk(cpu: Cpu, s: Cache, size: number, p: Objects): number {
  const mem = cpu.mem;
  let got = 0;
  while (got < size) {
    const pcs = this_cpu_sheaves(cpu, s);
    if (!local_trylock(cpu, embedded(pcs, LOCK))) break;
    if (mem.read(mem.read(pcs, MAIN), SIZE) === 0 && !replace_empty_main(cpu, s, pcs)) {
      local_unlock(cpu, embedded(pcs, LOCK));
      break;
    }
    const main = mem.read(pcs, MAIN);
    const main_size = mem.read(main, SIZE);
    const batch = Math.min(size - got, main_size);
    const left = main_size - batch;
    for (let i = 0; i < batch; i++) mem.write(p, element(SLOTS, got + i), mem.read(main, element(OBJECTS, left + i)));
    mem.write(main, SIZE, left);
    local_unlock(cpu, embedded(pcs, LOCK));
    stat(cpu, s, STAT.ALLOC_FASTPATH, batch);
    got += batch;
  }
  return got;
}

/** Makes a sheaf with objects main, under the sheaf lock: the spare, or one of the barn. @returns false: none. */
function replace_empty_main(cpu: Cpu, s: Cache, pcs: Ptr<"slub_percpu_sheaves">): boolean {
  const mem = cpu.mem;
  if (!cache_has_sheaves(cpu, s)) return false;
  const main = mem.read(pcs, MAIN);
  const spare = mem.read(pcs, SPARE);
  if (spare !== NULL && mem.read(spare, SIZE) > 0) {
    mem.write(pcs, MAIN, spare);
    mem.write(pcs, SPARE, main);
    return true;
  }
  const barn = get_barn(cpu, s);
  if (barn === NULL) return false;
  const full = barn_replace_empty_sheaf(cpu, barn, main, true);
  stat(cpu, s, full === NULL ? STAT.BARN_GET_FAIL : STAT.BARN_GET, 1);
  if (full === NULL) return false;
  mem.write(pcs, MAIN, full);
  return true;
}
