/**
 * Tracks: who allocated and who freed an object last, with SLAB_STORE_USER. mm/slub.c; spec slub 1.5, 10.4.
 *
 * They are written without steps and not again when an operation is executed again: nothing is decided by them.
 * Context: any, NMI included; list_lock held, or the object is the caller's.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { PAGE_SIZE } from "../../../base/limits.ts";
import { CpuSlot, Task } from "../../../layout/cpu.ts";
import { NUMA_NO_NODE } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { Page, PGTY_percpu } from "../../../layout/page.ts";
import { Track, TRACK_ALLOC, TRACK_FREE } from "../../../layout/slab.ts";
import { SLAB_STORE_USER } from "../../../layout/slab_flags.ts";
import { StackPool } from "../../../layout/stackdepot.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import {
  type Looked,
  stack_depot_caller,
  stack_depot_fetch,
  stack_depot_has_pool,
  stack_depot_save_here,
  stack_depot_set_pool,
  symbol_name,
} from "../../lib/stackdepot.ts";
import { alloc_frozen_pages } from "../page_alloc/page_alloc.ts";
import { get_order, page_address } from "../page_alloc/zone.ts";
import { get_track, type Slot } from "./slot.ts";

const { addr: ADDR, handle: HANDLE, cpu: CPU, pid: PID, when: WHEN } = Track.offset;
const { current: CURRENT } = CpuSlot.offset;
const { pid: TASK_PID } = Task.offset;
const { jiffies: JIFFIES } = Globals.offset;
const { type: PAGE_TYPE } = Page.offset;

/** Memory for call stacks, once; if there is none, nothing is recorded. @kernel lib/stackdepot.c @context Task, may sleep */
export function stack_depot_init(cpu: Cpu): void {
  const order = get_order(StackPool.size);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    if (stack_depot_has_pool(cpu, id)) continue;
    const page = alloc_frozen_pages(cpu, order, NUMA_NO_NODE);
    if (page === NULL) return;
    cpu.mem.init(page, PAGE_TYPE, PGTY_percpu);
    const pool = page_address(cpu, page);
    cpu.mem.fill(pool, PAGE_SIZE << order, 0);
    stack_depot_set_pool(cpu, id, pool);
  }
}
/** The caller's stack; before list_lock, since it takes a while. @kernel mm/slub.c @returns 0: none @context Any */
export function set_track_prepare(cpu: Cpu): number {
  return stack_depot_save_here(cpu, set_track_prepare);
}
/** Notes that the object is allocated or freed now. @kernel mm/slub.c */
export function set_track_update(cpu: Cpu, slot: Slot, object: Ptr, alloc: number, handle: number): void {
  const { mem } = cpu;
  if (mem.rebuilding) return;
  const track = get_track(slot, object, alloc);
  mem.poke(track, ADDR, stack_depot_caller(cpu, handle));
  mem.poke(track, HANDLE, handle);
  mem.poke(track, CPU, cpu.id);
  mem.poke(track, PID, mem.peek(mem.peek(cpu.slot, CURRENT), TASK_PID));
  mem.poke(track, WHEN, mem.peek(cpu.globals, JIFFIES));
}
/** @kernel mm/slub.c */
export function set_track(cpu: Cpu, slot: Slot, object: Ptr, alloc: number): void {
  set_track_update(cpu, slot, object, alloc, set_track_prepare(cpu));
}
/** Nobody has had the object yet. @kernel mm/slub.c */
export function init_tracking(cpu: Cpu, slot: Slot, object: Ptr): void {
  if ((slot.flags & SLAB_STORE_USER) === 0) return;
  for (const alloc of [TRACK_ALLOC, TRACK_FREE]) {
    const track = get_track(slot, object, alloc);
    for (const field of [ADDR, HANDLE, CPU, PID, WHEN]) cpu.mem.poke(track, field, 0);
  }
}

export interface TrackRecord {
  /** "kfree_rcu src/...:81"; "<not-available>" if there was no room for it. */
  readonly caller: string;
  /** Its callers after it. */
  readonly stack: readonly string[];
  readonly cpu: number;
  readonly pid: number;
  /** Jiffies. */
  readonly when: number;
}
/** A track in words. No step: also for who looks from outside. @returns undefined: nobody yet, or not recorded. */
export function read_track(machine: Looked, slot: Slot, object: Ptr, alloc: number): TrackRecord | undefined {
  const { mem } = machine;
  if ((slot.flags & SLAB_STORE_USER) === 0) return undefined;
  const track = get_track(slot, object, alloc);
  const [addr, when] = [mem.peek(track, ADDR), mem.peek(track, WHEN)];
  if (addr === 0 && when === 0) return undefined;
  const stack = stack_depot_fetch(machine, mem.peek(track, HANDLE)).slice(1);
  const caller = symbol_name(machine, addr) || "<not-available>";
  return { caller, stack, cpu: mem.peek(track, CPU), pid: mem.peek(track, PID), when };
}
/** Both tracks of an object as lines of a report. @kernel mm/slub.c @context Any. No step. */
export function print_tracking(cpu: Cpu, slot: Slot, object: Ptr): string[] {
  return [["Allocated", TRACK_ALLOC] as const, ["Freed", TRACK_FREE] as const].flatMap(([what, alloc]) => {
    const track = read_track(cpu, slot, object, alloc);
    if (track === undefined) return [];
    const age = (cpu.mem.peek(cpu.globals, JIFFIES) - track.when) | 0;
    return [
      `${what} in ${track.caller} age=${age} cpu=${track.cpu} pid=${track.pid}`,
      ...track.stack.map((frame) => ` ${frame}`),
    ];
  });
}
