/** Memory for arrays that may be large. */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { kvzalloc } from "../../shared/linux/mm/util.ts";
import { vzalloc } from "../../shared/linux/mm/vmalloc.ts";
import type { Ptr } from "../../shared/mem/struct.ts";

/**
 * kvzalloc(): a slab object, a large kmalloc, or pages of the vmalloc area. The last is rare as long as memory is not
 * fragmented; so every other array that may lie there does.
 *
 * @returns NULL: no memory. @context Task, may sleep
 */
export function alloc_array(cpu: Cpu, bytes: number): Ptr<"object"> {
  if (bytes > PAGE_SIZE && random_below(cpu, 2) === 0) return vzalloc(cpu, bytes);
  return kvzalloc(cpu, bytes, GFP_KERNEL);
}
