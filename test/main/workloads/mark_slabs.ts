import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { Page, PGTY_slab } from "../../../src/shared/layout/page.ts";
import { SL_pfmemalloc, Slab } from "../../../src/shared/layout/slab.ts";
import { pfn_to_page } from "../../../src/shared/linux/mm/page_alloc/zone.ts";
import { page_slab } from "../../../src/shared/linux/mm/slub/slab.ts";

const { flags: FLAGS } = Slab.offset;

/** Says of each slab there is that it lies in emergency reserves. */
export function mark_slabs(cpu: Cpu): void {
  const { mem } = cpu;
  for (let pfn = 0; pfn < cpu.map.nrPages; pfn++) {
    const page = pfn_to_page(cpu, pfn);
    if (mem.peek(page, Page.offset.type) !== PGTY_slab) continue;
    mem.poke(page_slab(page), FLAGS, mem.peek(page_slab(page), FLAGS) | SL_pfmemalloc);
  }
}
