/**
 * Bulk allocation: from this CPU's sheaves as long as there are full ones, the rest straight from slabs. mm/slub.c; spec
 * slub 2.5, 2.13, 3.5.
 *
 * Differs: KFENCE is not asked for an object.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { ObjectArray, SlabSheaf, SlubPercpuSheaves, STAT } from "../../../layout/slab.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../layout/slab_flags.ts";
import { element, embedded, NULL, offsetof, type Ptr } from "../../../mem/struct.ts";
import { local_trylock, local_unlock } from "../../sync/local_lock.ts";
import { barn_replace_empty_sheaf } from "./barn.ts";
import { assert_bulk_context, __kmem_cache_free_bulk, kmem_cache_free_bulk, read_slots } from "./bulk_free.ts";
import { maybe_wipe_obj_freeptr, slab_post_alloc_hook, slab_pre_alloc_hook } from "./hooks.ts";
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
  if (size === 0) return true;
  const got = alloc_from_pcs_bulk(cpu, s, size, p);
  if (got < size) {
    const rest = (p + offsetof(element(SLOTS, got))) as Objects;
    if (__kmem_cache_alloc_bulk(cpu, s, gfp, size - got, rest) === 0) {
      __kmem_cache_free_bulk(cpu, s, read_slots(cpu, p, got));
      return false;
    }
  }
  const objects = read_slots(cpu, p, size);
  for (let i = 0; i < size; i++) {
    maybe_wipe_obj_freeptr(cpu, s, objects[i]);
    if (slab_post_alloc_hook(cpu, s, gfp, SLAB_ALLOC_DEFAULT, objects[i]) !== NULL) continue;
    kmem_cache_free_bulk(cpu, s, i, p);
    __kmem_cache_free_bulk(cpu, s, objects.slice(i + 1));
    return false;
  }
  return true;
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
