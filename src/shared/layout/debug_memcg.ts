/** Memory cgroups: who pays for an object. include/linux/memcontrol.h, mm/slab.h, mm/memcontrol.c. */
import { NR_CPUS } from "../base/limits.ts";
import { aligned, array, atomic32, atomic_ptr, ptr, struct, u32, ulong } from "../mem/struct.ts";
import { IrqWork } from "./irq_work.ts";
import { LlistHead, LlistNode, LocalTrylock, Mutex, RcuHead, Spinlock } from "./types.ts";
import { WorkStruct } from "./workqueue.ts";

/** Low bits of slab.obj_exts: enum objexts_flags. */
export const MEMCG_DATA_OBJEXTS = 1; // the rest is the address of a vector
export const OBJEXTS_ALLOC_FAIL = 2; // there was no memory for a vector
export const OBJEXTS_NOSPIN_ALLOC = 4; // until 7.0: the vector is from kmalloc_nolock()
export const OBJEXTS_FLAGS_MASK = 7;

/** slabobj_ext.ref: by whom the object was allocated. */
export const CODETAG_NONE = 0; // not accounted for
export const CODETAG_KMALLOC = 1;
export const CODETAG_KMALLOC_NOLOCK = 2;
/** struct slabobj_ext: one per object of a slab. The object's owner writes it. */
export const SlabobjExt = struct("slabobj_ext", {
  objcg: ptr("obj_cgroup"), // who pays; NULL: nobody
  ref: ulong,
});

/** struct obj_cgroup: what an object, and a stock, hold a reference to. */
export const ObjCgroup = struct("obj_cgroup", {
  refcnt: atomic32,
  in_use: atomic32, // 0: may be had by obj_cgroup_alloc()
  /** Bytes of charged pages that nobody uses. */
  nr_charged_bytes: atomic32,
  rcu: RcuHead,
  release: LlistNode, // on obj_stock.released
});
export const NR_OBJCGS = 8;

/** struct obj_stock_pcp: bytes of charged pages that a CPU keeps for the next object. */
export const ObjStock = struct(
  "obj_stock",
  {
    lock: LocalTrylock, // guards the next two
    cached_objcg: ptr("obj_cgroup"), // whose they are, with a reference
    nr_bytes: u32,
    drain_work: WorkStruct,
    /** Whose last reference was put where nothing may wait. */
    released: LlistHead,
    release_work: IrqWork,
    nr_failed: u32, // charges that failed
    nr_bypassed: u32, // times that the stock could not be used
  },
  { align: 64 },
);

/** The only cgroup that there is, with all that belongs to it. */
export const MemcgState = struct("memcg_state", {
  /** Pages charged, and how many may be. page_counter. */
  memory: atomic32,
  max: u32,
  objcg: atomic_ptr("obj_cgroup"), // pays for new objects
  percpu_charge_mutex: Mutex,
  objcg_lock: aligned(64, Spinlock),
  nr_objcgs: u32, // that are not released yet; under objcg_lock
  objcgs: array(ObjCgroup, NR_OBJCGS),
  stocks: array(ObjStock, NR_CPUS),
});
