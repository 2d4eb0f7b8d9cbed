/**
 * Emergency reserves: pages of each zone that ordinary allocations leave alone, so that whoever frees memory (by writing
 * it out, say) finds some. mm/page_alloc.c; spec slub 1.2, 2.7.
 *
 * Who may have them: __GFP_MEMALLOC, a task that says so of itself (memalloc_noreclaim_save()), and its softirqs; never
 * with __GFP_NOMEMALLOC. A page from there is marked (PG_pfmemalloc), and so is its slab: its objects are for the same few.
 *
 * Differs: one watermark, globals.min_free_pages, 0 by default: no reserve. __GFP_HIGH may have half of it.
 */
import { in_hardirq, in_nmi } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { CpuSlot, PF_MEMALLOC, Task } from "../../../layout/cpu.ts";
import { __GFP_HIGH, __GFP_MEMALLOC, __GFP_NOMEMALLOC } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";

const { min_free_pages: MIN_FREE_PAGES } = Globals.offset;
const { current: CURRENT } = CpuSlot.offset;
const { flags: TASK_FLAGS } = Task.offset;

/** Pages that this allocation leaves in a zone, if it can do without reserves. @context Any */
export function min_watermark(cpu: Cpu, gfp: number): number {
  const min = cpu.mem.peek(cpu.globals, MIN_FREE_PAGES);
  return gfp & __GFP_HIGH ? min >> 1 : min;
}

/** May this allocation have emergency reserves, and objects that lie in them? @kernel mm/page_alloc.c @context Any */
export function gfp_pfmemalloc_allowed(cpu: Cpu, gfp: number): boolean {
  if (gfp & __GFP_NOMEMALLOC) return false;
  if (gfp & __GFP_MEMALLOC) return true;
  return !in_nmi(cpu) && !in_hardirq(cpu) && (task_flags(cpu) & PF_MEMALLOC) !== 0;
}
function task_flags(cpu: Cpu): number {
  return cpu.mem.peek(cpu.mem.peek(cpu.slot, CURRENT), TASK_FLAGS);
}

/** What this task allocates may come from reserves. @kernel include/linux/sched/mm.h @returns for restore @context Task */
export function memalloc_noreclaim_save(cpu: Cpu): number {
  const flags = task_flags(cpu);
  cpu.mem.poke(cpu.mem.peek(cpu.slot, CURRENT), TASK_FLAGS, flags | PF_MEMALLOC);
  return flags & PF_MEMALLOC;
}
/** As it was before. @kernel include/linux/sched/mm.h @context Task */
export function memalloc_noreclaim_restore(cpu: Cpu, flags: number): void {
  cpu.mem.poke(cpu.mem.peek(cpu.slot, CURRENT), TASK_FLAGS, (task_flags(cpu) & ~PF_MEMALLOC) | flags);
}
