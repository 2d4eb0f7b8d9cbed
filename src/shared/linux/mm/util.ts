/**
 * kvmalloc(): memory from kmalloc(), or from vmalloc() where that has no block large enough. Who frees it need not know
 * which: kvfree() tells by the address. mm/util.c, mm/slub.c.
 */
import { PAGE_SIZE } from "../../base/limits.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { __GFP_ZERO, gfpflags_allow_blocking } from "../../layout/gfp.ts";
import { NULL, type Ptr } from "../../mem/struct.ts";
import { kfree, kmalloc } from "./slub/kmalloc.ts";
import { __vmalloc, is_vmalloc_addr, vfree } from "./vmalloc.ts";

/**
 * kvmalloc() - contiguous memory if there is some, else whole pages of the vmalloc area. No more than a page always
 * comes from kmalloc(), and so does what is allocated where one may not sleep.
 *
 * @kernel  mm/slub.c
 * @returns NULL: no memory; ZERO_SIZE_PTR for size 0. @context Hardirq, or Task if gfp may block.
 */
export function kvmalloc(cpu: Cpu, bytes: number, gfp: number): Ptr<"object"> {
  const object = kmalloc(cpu, bytes, gfp);
  if (object !== NULL || bytes <= PAGE_SIZE || !gfpflags_allow_blocking(gfp)) return object;
  return __vmalloc(cpu, bytes, gfp);
}
/** kvmalloc() of zeroed memory. @kernel include/linux/slab.h */
export function kvzalloc(cpu: Cpu, bytes: number, gfp: number): Ptr<"object"> {
  return kvmalloc(cpu, bytes, gfp | __GFP_ZERO);
}
/**
 * kvfree() - free what kvmalloc(), kmalloc() or vmalloc() returned; NULL and ZERO_SIZE_PTR are ignored.
 * @kernel  mm/slub.c
 * @context Task (work item or may sleep), Softirq, Hardirq; never NMI.
 */
export function kvfree(cpu: Cpu, object: Ptr): void {
  if (is_vmalloc_addr(cpu, object)) vfree(cpu, object);
  else kfree(cpu, object);
}
