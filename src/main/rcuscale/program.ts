/**
 * The program of a machine that rcuscale measures: the first CPUs are kfreers (kfreer.ts), the others idle. When all
 * have ended, interrupts stop, and CPU 0 measures barriers.
 */
import { no_memory } from "../../shared/cpu/bug.ts";
import { per_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { wait_event, wake_up } from "../../shared/cpu/sched.ts";
import { CpuCounters } from "../../shared/layout/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { TortureGlobals } from "../../shared/layout/torture.ts";
import {
  kmem_cache_create,
  kmem_cache_destroy,
  kvfree_rcu_barrier,
  kvfree_rcu_barrier_on_cache,
} from "../../shared/linux/api.ts";
import { kmalloc_size_index, kmalloc_slab, KMALLOC_SIZES } from "../../shared/linux/mm/slub/size_class.ts";
import { element, embedded, NULL, type Field, type Ptr } from "../../shared/mem/struct.ts";
import type { Program } from "../../workers/program.ts";
import { allCpus } from "../../workers/stop.ts";
import { give_back } from "../scenarios/holdings.ts";
import { empty_shared_words } from "../scenarios/shared_words.ts";
import { bind_kfree_obj } from "./kfree_obj.ts";
import { grace_periods, Kfreer, type Work } from "./kfreer.ts";
import { clock, type Measurements } from "./measurements.ts";

const { scenario: WORDS, stopping: STOPPING, torture: TORTURE } = Globals.offset;
const { sleepers: SLEEPERS } = TortureGlobals.offset;
const { counters: COUNTERS } = PerCpu.offset;
const { items: ITEMS } = CpuCounters.offset;

type CacheWord = Field<"globals", "atomic", number>;
/** Scenario words; kfreer.ts has word 0. */
const ENDED = element(WORDS, 1);
const CACHE = element(WORDS, 2);
const FIRST_EXTRA_CACHE = 3;
/** So often an idle barrier is measured; the median counts. The first are not compiled yet, some wait for threads. */
const BARRIERS = 25;

export interface ScaleWork extends Work {
  /** Objects come from a cache without sheaves, of the same size as the kmalloc cache. */
  readonly noSheaves: boolean;
  /** Caches that exist beside those of the kernel. */
  readonly extraCaches: number;
}

export function programOf(work: ScaleWork, measured: Measurements): Program {
  return {
    bind: bind_kfree_obj,
    setup(cpu) {
      if (!make_caches(cpu, work)) no_memory(cpu, "its caches");
    },
    main(cpu) {
      if (cpu.id < work.nthreads) new Kfreer(cpu, work, cache_at(cpu, CACHE), measured).run();
      wait_for_all(cpu);
    },
    nmi: () => undefined,
    irq: () => undefined,
    teardown: give_back,
    finish(cpu) {
      measure_barriers(cpu, measured);
      destroy_caches(cpu, work);
      empty_shared_words(cpu);
    },
  };
}

/** Until all CPUs have ended; then the interrupts stop, too. @context Task, may sleep */
function wait_for_all(cpu: Cpu): void {
  const { mem, globals } = cpu;
  const sleepers = embedded(embedded(globals, TORTURE), SLEEPERS);
  const bit = 1 << cpu.id;
  if ((mem.fetch_or(globals, ENDED, bit) | bit) === allCpus(cpu.map.shape)) {
    mem.write_once(globals, STOPPING, 1);
    wake_up(cpu, sleepers);
  } else {
    wait_event(cpu, sleepers, is_stopping, NULL);
  }
}
function is_stopping(cpu: Cpu): boolean {
  return cpu.mem.read_once(cpu.globals, STOPPING) !== 0;
}

/** @returns false: no memory. */
function make_caches(cpu: Cpu, { size, noSheaves, extraCaches }: ScaleWork): boolean {
  const object_size = KMALLOC_SIZES[kmalloc_size_index(size)];
  const make = (word: CacheWord, name: string, flags: number): boolean => {
    const s = kmem_cache_create(cpu, name, object_size, { flags });
    cpu.mem.write_once(cpu.globals, word, s);
    return s !== NULL;
  };
  if (noSheaves && !make(CACHE, "kfree_obj", SLAB_NO_SHEAVES)) return false;
  for (let i = 0; i < extraCaches; i++) {
    if (!make(extra_cache(i), `extra-${i}`, 0)) return false;
  }
  return true;
}
function destroy_caches(cpu: Cpu, { extraCaches }: ScaleWork): void {
  kmem_cache_destroy(cpu, cache_at(cpu, CACHE)); // NULL is none.
  for (let i = 0; i < extraCaches; i++) kmem_cache_destroy(cpu, cache_at(cpu, extra_cache(i)));
}
function extra_cache(i: number): CacheWord {
  return element(WORDS, FIRST_EXTRA_CACHE + i);
}
function cache_at(cpu: Cpu, word: CacheWord): Ptr<"kmem_cache"> {
  return cpu.mem.read_once(cpu.globals, word) as Ptr<"kmem_cache">;
}

/** @context Task on CPU 0, all others at rest: they only serve. */
function measure_barriers(cpu: Cpu, measured: Measurements): void {
  const gps = grace_periods(cpu);
  const start = clock();
  kvfree_rcu_barrier(cpu);
  measured.set(0, "barrier", clock() - start);
  measured.set(0, "barrierGps", grace_periods(cpu) - gps);
  const s = kmalloc_slab(cpu, KMALLOC_SIZES[1], GFP_KERNEL);
  measure_idle(cpu, measured, "idleBarrier", kvfree_rcu_barrier);
  measure_idle(cpu, measured, "cacheBarrier", () => kvfree_rcu_barrier_on_cache(cpu, s));
}
function measure_idle(
  cpu: Cpu,
  measured: Measurements,
  field: "idleBarrier" | "cacheBarrier",
  barrier: (cpu: Cpu) => void,
): void {
  const times: number[] = [];
  const items = work_items(cpu);
  for (let i = 0; i < BARRIERS; i++) {
    const start = clock();
    barrier(cpu);
    times.push(clock() - start);
  }
  measured.set(0, field, times.toSorted((a, b) => a - b)[BARRIERS >> 1]);
  measured.set(0, `${field}Items`, (work_items(cpu) - items) / BARRIERS);
}
/** Work items that all CPUs have run. */
function work_items(cpu: Cpu): number {
  let sum = 0;
  for (let id = 0; id < cpu.map.shape.cpus; id++) sum += cpu.mem.peek(per_cpu_ptr(cpu, COUNTERS, id), ITEMS);
  return sum;
}
