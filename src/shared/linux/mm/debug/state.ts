/** Memory for the state of a facility: pages taken at boot, and only if the facility is on; they are never given back. */
import { PAGE_SIZE } from "../../../base/limits.ts";
import { no_memory } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { MAX_PAGE_ORDER } from "../../../layout/page.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { alloc_frozen_pages } from "../page_alloc/page_alloc.ts";
import { get_order, page_address } from "../page_alloc/zone.ts";

/** Cleared memory. @param name  of the facility. @context Task, at boot, alone */
export function debug_state_alloc(cpu: Cpu, name: string, bytes: number): Ptr {
  const order = get_order(bytes);
  const page = order > MAX_PAGE_ORDER ? NULL : alloc_frozen_pages(cpu, order, NUMA_NO_NODE);
  if (page === NULL) no_memory(cpu, `${name}: ${bytes} bytes`);
  const start = page_address(cpu, page);
  cpu.mem.fill(start, PAGE_SIZE << order, 0);
  return start;
}

/**
 * How many records a facility should have room for: `share` of the machine's pages, at most one block of pages.
 * @context Any
 */
export function debug_state_capacity(cpu: Cpu, share: number, record_bytes: number): number {
  const pages = Math.min(Math.ceil(cpu.map.nrPages * share), 1 << MAX_PAGE_ORDER);
  return Math.floor((pages * PAGE_SIZE) / record_bytes);
}
