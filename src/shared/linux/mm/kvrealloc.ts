/**
 * kvrealloc(): krealloc() for what kvmalloc() has allocated: large blocks may lie in the vmalloc area, and a block may go
 * from the one kind to the other as it grows. mm/slub.c, mm/vmalloc.c. Nobody else uses the block.
 */
import type { Cpu } from "../../cpu/cpu.ts";
import { __GFP_ZERO } from "../../layout/gfp.ts";
import { NULL, type Ptr } from "../../mem/struct.ts";
import { memcpy } from "../lib/string.ts";
import { kfree, ksize } from "./slub/kmalloc.ts";
import { krealloc } from "./slub/krealloc.ts";
import { ZERO_OR_NULL_PTR } from "./slub/size_class.ts";
import { kvmalloc } from "./util.ts";
import { __vmalloc, is_vmalloc_addr, vfree, vmalloc_size } from "./vmalloc.ts";

type Obj = Ptr<"object">;

/**
 * kvrealloc() - a block of another size with the same content.
 * @kernel  mm/slub.c
 * @returns NULL: no memory; the old block is untouched. ZERO_SIZE_PTR for size 0 (NULL if it was a vmalloc block).
 * @context Task, may sleep if gfp says so
 */
export function kvrealloc(cpu: Cpu, p: Obj, size: number, gfp: number): Obj {
  if (is_vmalloc_addr(cpu, p)) return vrealloc(cpu, p, size, gfp);
  const object = krealloc(cpu, p, size, gfp);
  if (object !== NULL) return object;
  const block = kvmalloc(cpu, size, gfp);
  if (block === NULL || ZERO_OR_NULL_PTR(p)) return block;
  memcpy(cpu, block, p, Math.min(size, ksize(cpu, p)));
  kfree(cpu, p);
  return block;
}

/**
 * vrealloc() - the same in the vmalloc area. A smaller block keeps its pages.
 *
 * Differs: how many bytes were asked for is not known, only pages: with __GFP_ZERO what is cut off is cleared, so it is
 * clear when the block grows again.
 *
 * @kernel  mm/vmalloc.c
 * @returns NULL: no memory; the old block is untouched. NULL for size 0, too: the block is freed.
 * @context Task, may sleep
 */
export function vrealloc(cpu: Cpu, p: Obj, size: number, gfp: number): Obj {
  if (size === 0) {
    vfree(cpu, p);
    return NULL;
  }
  const old_size = p === NULL ? 0 : vmalloc_size(cpu, p);
  if (size <= old_size) {
    if (gfp & __GFP_ZERO && size < old_size) cpu.mem.fill(p + size, old_size - size, 0);
    return p;
  }
  const block = __vmalloc(cpu, size, gfp);
  if (block === NULL || p === NULL) return block;
  memcpy(cpu, block, p, old_size);
  vfree(cpu, p);
  return block;
}
