/**
 * A user of irq_work and of the nolock functions as BPF has it: bpf_mem_alloc keeps some objects at hand, for programs in any
 * context, and an irq_work gets new ones when few are left. kernel/bpf/memalloc.c; spec slub B32: it was destroyed with the
 * irq_work still pending, which then ran in memory that was free. `--bug destroy-no-sync`.
 */
import { has_bug } from "../../shared/cpu/bugs.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { BUG_DESTROY_NO_SYNC } from "../../shared/layout/bugs.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { IRQWORK_LATE } from "../../shared/layout/globals.ts";
import { IrqWork } from "../../shared/layout/irq_work.ts";
import { LlistHead } from "../../shared/layout/types.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import {
  init_llist_head,
  llist_add,
  llist_del_all,
  llist_del_first,
  llist_next,
} from "../../shared/linux/lib/llist.ts";
import { kfree, kmalloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { container_of, embedded, NULL, type Ptr, struct } from "../../shared/mem/struct.ts";
import { callbackId, get, type Operation, set } from "../explore/scenario.ts";
import { FIRST_WORD, race } from "./kit.ts";

const BpfMemCache = struct("bpf_mem_cache", { refill_work: IrqWork, free_llist: LlistHead });
type BpfMemCachePtr = Ptr<"bpf_mem_cache">;
const { refill_work: REFILL_WORK, free_llist: FREE_LLIST } = BpfMemCache.offset;
const UNIT_SIZE = 64;
/** Words: the bpf_mem_cache; it has been used for the last time. */
const CACHE = FIRST_WORD;
const LAST_USE = FIRST_WORD + 1;
const cacheOf = (cpu: Cpu): BpfMemCachePtr => get(cpu, CACHE) as BpfMemCachePtr;

const bpf_mem_alloc_init: Operation = (cpu) => {
  const c = kmalloc(cpu, BpfMemCache.size, GFP_KERNEL) as Ptr as BpfMemCachePtr;
  init_irq_work(cpu, embedded(c, REFILL_WORK), callbackId(0));
  init_llist_head(cpu, embedded(c, FREE_LLIST));
  set(cpu, CACHE, c);
};
/** An object from those at hand, if there is one; the irq_work gets another. @context Any */
const unit_alloc: Operation = (cpu) => {
  const c = cacheOf(cpu);
  const unit = llist_del_first(cpu, embedded(c, FREE_LLIST));
  irq_work_queue(cpu, embedded(c, REFILL_WORK));
  if (unit !== NULL) kfree_nolock(cpu, unit);
};
const bpf_mem_refill = (cpu: Cpu, work: Ptr<"irq_work">): void => {
  const c = container_of(work, REFILL_WORK);
  const unit = kmalloc_nolock(cpu, UNIT_SIZE, 0, NUMA_NO_NODE) as Ptr as Ptr<"llist_node">;
  if (unit !== NULL) llist_add(cpu, unit, embedded(c, FREE_LLIST));
};
const bpf_mem_alloc_destroy: Operation = (cpu) => {
  const c = cacheOf(cpu);
  if (!has_bug(cpu, BUG_DESTROY_NO_SYNC)) irq_work_sync(cpu, embedded(c, REFILL_WORK));
  for (let unit = llist_del_all(cpu, embedded(c, FREE_LLIST)); unit !== NULL;) {
    const next = llist_next(cpu, unit);
    kfree(cpu, unit);
    unit = next;
  }
  kfree(cpu, c);
};

const SCRIBBLE = 0x6b;

export default [
  race({
    name: "bpf-mem-alloc-destroy",
    summary:
      "bpf_mem_alloc is destroyed after its last use, while the work that refills it may be pending; irq_work late",
    globals: { irqwork_mode: IRQWORK_LATE },
    callbacks: [bpf_mem_refill],
    setup: bpf_mem_alloc_init,
    cpus: [
      [unit_alloc, (cpu) => set(cpu, LAST_USE, 1)],
      [
        (cpu) => {
          while (get(cpu, LAST_USE) === 0) cpu.mem.relax();
          bpf_mem_alloc_destroy(cpu);
          cpu.mem.fill(kmalloc(cpu, BpfMemCache.size, GFP_KERNEL), BpfMemCache.size, SCRIBBLE);
        },
      ],
    ],
  }),
];
