/** Allocation flags: include/linux/gfp_types.h. Only bits that some code here looks at. */

export const __GFP_DMA = 0x1;
export const __GFP_RECLAIMABLE = 0x2;
export const __GFP_DIRECT_RECLAIM = 0x4; // may sleep
export const __GFP_KSWAPD_RECLAIM = 0x8;
export const __GFP_IO = 0x10;
export const __GFP_FS = 0x20;
export const __GFP_ZERO = 0x40;
export const __GFP_NOWARN = 0x80;
export const __GFP_NORETRY = 0x100;
export const __GFP_NOMEMALLOC = 0x200;
export const __GFP_NOFAIL = 0x400;
export const __GFP_THISNODE = 0x800;
export const __GFP_COMP = 0x1000;
export const __GFP_ACCOUNT = 0x2000;
export const __GFP_MEMALLOC = 0x4000;
export const __GFP_HIGH = 0x8000;
export const __GFP_DMA32 = 0x10000;

export const __GFP_RECLAIM = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM;

export const GFP_KERNEL = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM | __GFP_IO | __GFP_FS;
export const GFP_KERNEL_ACCOUNT = GFP_KERNEL | __GFP_ACCOUNT;
export const GFP_ATOMIC = __GFP_HIGH | __GFP_KSWAPD_RECLAIM;
export const GFP_NOWAIT = __GFP_KSWAPD_RECLAIM | __GFP_NOWARN;
export const NUMA_NO_NODE = -1;

/** May this allocation sleep? */
export function gfpflags_allow_blocking(gfp: number): boolean {
  return (gfp & __GFP_DIRECT_RECLAIM) !== 0;
}
