/**
 * Kfreer: what a CPU of rcuscale does. `loops` times it allocates `allocNum` objects and gives each away by the chosen
 * function, then it calls cond_resched(). kernel/rcu/rcuscale.c, kfree_scale_thread(); spec rcu 6.4.
 *
 * With `remote` it pushes its objects in groups to a list of the next CPU, and gives away what it finds on its own.
 *
 * Differs: memory is scarce here. An allocation that fails waits for a grace period and is tried again; in the kernel
 * it ends the thread.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { cond_resched, schedule } from "../../shared/cpu/sched.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuState } from "../../shared/layout/rcu.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import { LlistNode } from "../../shared/layout/types.ts";
import {
  kvfree_rcu_barrier,
  llist_add_batch,
  llist_del_all,
  llist_next,
  synchronize_rcu,
} from "../../shared/linux/api.ts";
import { nr_free_pages, nr_trylock_free_pages } from "../../shared/linux/mm/page_alloc/page_alloc.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { allocator, FREE, type KfreeObjPtr, node_of, obj_of } from "./kfree_obj.ts";
import { clock, type Measurements, threadClock } from "./measurements.ts";
import type { Method } from "./methods.ts";

const { rcu_state: RCU_STATE, scenario: WORDS, stopping: STOPPING, jiffies: JIFFIES } = Globals.offset;
const { n_gps: N_GPS } = RcuState.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { ops: OPS, list: LIST } = TortureCpu.offset;
const { next: NEXT } = LlistNode.offset;

/** Scenario word: CPUs that push no more, a mask. */
const PUSHED_ALL = element(WORDS, 0);
/** Objects between two marks of progress; with `remote`, objects that are pushed together. */
const GROUP = 256;
/** A failed allocation waits for so many grace periods, then for barriers, then no more. */
const GRACE_PERIODS = 4;
const MOST_WAITS = 16;

export interface Work {
  readonly by: Method;
  readonly loops: number;
  readonly allocNum: number;
  /** CPUs that do this, from CPU 0 on; the others idle. */
  readonly nthreads: number;
  /** Bytes of an object. */
  readonly size: number;
  /** Jiffies that a CPU sleeps after each loop. */
  readonly holdoff: number;
  readonly remote: boolean;
}

/** Free pages, those included that wait in a list of their own. @context Any */
function free_pages(cpu: Cpu): number {
  return nr_free_pages(cpu) + nr_trylock_free_pages(cpu);
}
/** Normal grace periods that have ended. @context Any */
export function grace_periods(cpu: Cpu): number {
  return cpu.mem.peek(embedded(cpu.globals, RCU_STATE), N_GPS);
}

export class Kfreer {
  private readonly cpu: Cpu;
  private readonly work: Work;
  private readonly measured: Measurements;
  private readonly allocate: (cpu: Cpu) => KfreeObjPtr;
  private readonly giveAway: (cpu: Cpu, obj: KfreeObjPtr) => void;

  /** @param s  where objects come from; NULL: kmalloc caches. */
  constructor(cpu: Cpu, work: Work, s: Ptr<"kmem_cache">, measured: Measurements) {
    this.cpu = cpu;
    this.work = work;
    this.measured = measured;
    this.allocate = allocator(work.by, work.size, s);
    this.giveAway = FREE[work.by];
  }

  /** All loops. @context Task, may sleep */
  run(): void {
    const { cpu, measured, work } = this;
    const { id } = cpu;
    measured.set(id, "freeAtStart", free_pages(cpu));
    measured.set(id, "freeAtLeast", free_pages(cpu));
    measured.set(id, "gpsAtStart", grace_periods(cpu));
    measured.set(id, "start", clock());
    const before = threadClock();
    this.loops();
    if (work.remote) this.freeTheRest();
    measured.set(id, "cpuTime", threadClock() - before);
    measured.set(id, "end", clock());
    measured.set(id, "gpsAtEnd", grace_periods(cpu));
  }

  private loops(): void {
    const { cpu, work } = this;
    const quarter = Math.max(Math.floor(work.loops / 4), 1);
    for (let loop = 1; loop <= work.loops; loop++) {
      for (let left = work.allocNum; left > 0; left -= GROUP) {
        if (!this.group(Math.min(left, GROUP))) return;
      }
      this.lookAtMemory(loop % quarter === 0);
      cond_resched(cpu);
      this.sleep();
    }
  }
  /** `holdoff` jiffies. */
  private sleep(): void {
    const { cpu, work } = this;
    const start = cpu.mem.read_once(cpu.globals, JIFFIES);
    const passed = (): number => (cpu.mem.read_once(cpu.globals, JIFFIES) - start) | 0;
    while (passed() < work.holdoff && !this.isStopping()) schedule(cpu);
  }
  private isStopping(): boolean {
    return this.cpu.mem.read_once(this.cpu.globals, STOPPING) !== 0;
  }
  /** @returns false if it had to stop. */
  private group(n: number): boolean {
    const { cpu, work } = this;
    const done = work.remote ? this.push(n) : this.free(n);
    this.measured.add(cpu.id, "objects", done);
    cpu.mem.count(embedded(cpu.section, TORTURE_CPU), OPS, 1);
    return done === n && !this.isStopping();
  }
  private lookAtMemory(atQuarter: boolean): void {
    const { cpu, measured } = this;
    const free = free_pages(cpu);
    if (free < measured.get(cpu.id, "freeAtLeast")) measured.set(cpu.id, "freeAtLeast", free);
    if (!atQuarter) return;
    measured.add(cpu.id, "freeAtQuarters", free);
    measured.add(cpu.id, "quarters", 1);
  }

  /** @returns how many there were. */
  private free(n: number): number {
    const { cpu, giveAway } = this;
    for (let i = 0; i < n; i++) {
      const obj = this.obtain();
      if (obj === NULL) return i;
      giveAway(cpu, obj);
    }
    return n;
  }
  private push(n: number): number {
    const { cpu } = this;
    let first: Ptr<"llist_node"> = NULL;
    let last: Ptr<"llist_node"> = NULL;
    let made = 0;
    for (; made < n; made++) {
      const obj = this.obtain();
      if (obj === NULL) break;
      const node = node_of(obj);
      cpu.mem.init(node, NEXT, first);
      first = node;
      if (last === NULL) last = node;
    }
    if (first !== NULL) llist_add_batch(cpu, first, last, list_of(cpu, (cpu.id + 1) % this.work.nthreads));
    this.freeList();
    return made;
  }
  /** Gives away what the CPU before this one has pushed. */
  private freeList(): void {
    const { cpu, giveAway } = this;
    for (let node = llist_del_all(cpu, list_of(cpu, cpu.id)); node !== NULL;) {
      const next = llist_next(cpu, node);
      giveAway(cpu, obj_of(node));
      node = next;
    }
  }
  /** Until the CPU before this one pushes no more. */
  private freeTheRest(): void {
    const { cpu } = this;
    const { nthreads } = this.work;
    const before = 1 << ((cpu.id + nthreads - 1) % nthreads);
    cpu.mem.fetch_or(cpu.globals, PUSHED_ALL, 1 << cpu.id);
    for (;;) {
      const last = (cpu.mem.read_once(cpu.globals, PUSHED_ALL) & before) !== 0; // First: what it pushed is there then.
      this.freeList();
      if (last) return;
      schedule(cpu);
    }
  }

  /** @returns NULL: there is none even after some waiting, or the machine is to stop. */
  private obtain(): KfreeObjPtr {
    const obj = this.allocate(this.cpu);
    return obj === NULL ? this.waitForMemory() : obj;
  }
  /** What is missing waits for grace periods. @returns as obtain() */
  private waitForMemory(): KfreeObjPtr {
    const { cpu, measured, work } = this;
    for (let waits = 0; waits < MOST_WAITS; waits++) {
      this.lookAtMemory(false);
      measured.add(cpu.id, "failedAllocations", 1);
      if (work.remote) this.freeList();
      if (waits < GRACE_PERIODS) synchronize_rcu(cpu);
      else kvfree_rcu_barrier(cpu);
      const obj = this.allocate(cpu);
      if (obj !== NULL || this.isStopping()) return obj;
    }
    measured.set(cpu.id, "gaveUp", 1);
    return NULL;
  }
}

/** Objects that CPU `id` is to give away. It is the llist scenario's list, which does not run here. */
function list_of(cpu: Cpu, id: number): Ptr<"llist_head"> {
  return embedded(embedded(cpu.map.section(id), TORTURE_CPU), LIST);
}
