/** Per-CPU counters of fault injection, and of what came of it. lib/fault-inject.c. */
import { aligned, struct, u32 } from "../mem/struct.ts";

export const FaultInject = struct("fault_inject", {
  fail_page_alloc: aligned(64, u32), // allocations of pages that were made to fail
  failslab: u32, // objects that were refused
  sheaf_refills_short: u32, // sheaves for which there were some objects, but not enough
});
