/**
 * When memory has run out: what waits for a grace period is waited for, a while; then all that is kept in reserve goes back
 * to the page allocator. Only what other threads have at hand stays out of reach: their magazines.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { pcs_flush_all } from "../../shared/linux/mm/slub/flush.ts";
import { cache_has_sheaves } from "../../shared/linux/mm/slub/sheaf.ts";
import { __kmem_cache_do_shrink } from "../../shared/linux/mm/slub/shrink.ts";
import type { Attachment } from "./attachment.ts";
import type { Classes } from "./classes.ts";
import { type HeapMap, HeapSlot } from "./layout.ts";
import { flush_magazine, magazine_count } from "./magazines.ts";
import { READER_INSIDE } from "./readers.ts";
import { Barrier } from "./waits.ts";

const { reader: READER } = HeapSlot.offset;

/** How long an allocation waits for readers. */
const PATIENCE_MS = 200;

export function reclaim(at: Attachment): void {
  const { calls, classes, map, slot } = at;
  calls.run(slot, (cpu) => flushMagazines(cpu, map, classes, slot));
  for (let id = 0; id < map.slots; id++) calls.run(id, (cpu) => flushSheaves(cpu, classes));
  const barrier = new Barrier(calls, classes);
  // A reader would wait for itself.
  const isReader = (calls.mem.read_once(map.slot(slot), READER) & READER_INSIDE) !== 0;
  const until = performance.now() + (isReader ? 0 : PATIENCE_MS);
  while (!barrier.advance() && performance.now() < until) barrier.sleep();
  for (const c of classes.all()) calls.run(slot, (cpu) => __kmem_cache_do_shrink(cpu, classes.get(c).cache));
}

/** Empties the magazines of a slot. @context Task on the slot's CPU, and nobody uses them */
export function flushMagazines(cpu: Cpu, map: HeapMap, classes: Classes, slot: number): void {
  for (const c of classes.all()) {
    const magazine = map.magazine(slot, c);
    const count = magazine_count(cpu.mem, magazine);
    if (count > 0) flush_magazine(cpu, magazine, classes.get(c).cache, count);
  }
}
/** Empties the sheaves of the CPU; those of retired objects go to RCU. @context Task */
export function flushSheaves(cpu: Cpu, classes: Classes): void {
  for (const c of classes.all()) {
    const { cache } = classes.get(c);
    if (cache_has_sheaves(cpu, cache)) pcs_flush_all(cpu, cache);
  }
}
