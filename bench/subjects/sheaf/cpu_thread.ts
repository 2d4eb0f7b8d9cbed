/**
 * The entry of a CPU's thread: boots it, as src/workers/cpu.ts does, and runs one thread of a workload on it. The CPU
 * serves the others until all have ended. Nobody looks at the memory afterwards.
 */
import { MachineStopped } from "../../../src/shared/base/verdict.ts";
import { attachOnlyCpu, SPIN_BOUND } from "../../../src/shared/cpu/boot.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { wait_event, wake_up } from "../../../src/shared/cpu/sched.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { MachineMap } from "../../../src/shared/layout/map.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { TortureGlobals } from "../../../src/shared/layout/torture.ts";
import { kmem_cache_create } from "../../../src/shared/linux/api.ts";
import { bind_all, start_kernel } from "../../../src/shared/linux/init.ts";
import { BareMemory } from "../../../src/shared/mem/bare_memory.ts";
import { InterruptibleMemory } from "../../../src/shared/mem/interruptible_memory.ts";
import { NULL_ORACLE } from "../../../src/shared/mem/oracle.ts";
import { element, embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { Barrier } from "../../../src/shared/sync/index.ts";
import { Control } from "../../../src/workers/control.ts";
import type { CpuOutcome, CpuTask } from "../../../src/workers/cpu.ts";
import { haltMachine } from "../../../src/workers/stop.ts";
import { KERNEL_WORKLOADS } from "../../workloads/kernel/catalogue.ts";
import type { Thread, Workload } from "../../workloads/workload.ts";
import { type Common, measure, publishMetrics, threadOf, workloadOf } from "../thread_run.ts";
import { KmallocHeap, KmemCacheHeap, type SheafHeap } from "./heaps.ts";
import type { SheafJob } from "./machine.ts";

const { pending: PENDING } = PerCpu.offset;
const { torture: TORTURE, scenario: WORDS } = Globals.offset;
const { sleepers: SLEEPERS } = TortureGlobals.offset;

/** Scenario words: the cache that objects come from; CPUs that have come to a meeting, of all meetings together. */
const CACHE = element(WORDS, 0);
const ARRIVED = element(WORDS, 1);

export interface BenchTask {
  readonly common: Common;
  readonly sheafJob: SheafJob;
}

/** Piscina calls it once. */
export default function cpuThread(task: CpuTask & BenchTask): CpuOutcome {
  const { cpu: id, common, sheafJob } = task;
  const control = Control.at(task.control);
  const map = new MachineMap(task.shape);
  try {
    // One class of memory in each thread: two at one call cost several times as much.
    const pending = embedded(map.section(id), PENDING);
    const mem = sheafJob.interruptible
      ? new InterruptibleMemory(task.buffer, pending, false)
      : new BareMemory(task.buffer, pending, false);
    const cpu = attachOnlyCpu(mem, map, id, SPIN_BOUND, NULL_ORACLE);
    bind_all();
    const workload = workloadOf(KERNEL_WORKLOADS, sheafJob);
    if (id === 0) {
      start_kernel(cpu);
      if (sheafJob.allocator === "kmem_cache") makeCache(cpu, sheafJob);
    }
    Barrier.wait(control.bootBarrier, id + 1);
    runWorkload(threadOf(common, id, openHeap(cpu, sheafJob)), common, workload);
    return { kind: "rested", cpu: id };
  } catch (error) {
    if (error instanceof MachineStopped) return { kind: "stopped", cpu: id };
    control.fail(id);
    haltMachine(new BareMemory(task.buffer, 0), map);
    const { message, stack = "" } = error instanceof Error ? error : new Error(String(error));
    return { kind: "crashed", cpu: id, message, stack };
  }
}

function makeCache(cpu: Cpu, { parameters }: SheafJob): void {
  const cache = kmem_cache_create(cpu, "bench", parameters["size"]);
  if (cache === NULL) throw new RangeError("out of memory");
  cpu.mem.write_once(cpu.globals, CACHE, cache);
}
function openHeap(cpu: Cpu, { allocator }: SheafJob): SheafHeap {
  if (allocator === "kmalloc") return new KmallocHeap(cpu);
  return new KmemCacheHeap(cpu, cpu.mem.read_once(cpu.globals, CACHE) as Ptr<"kmem_cache">);
}

function runWorkload(thread: Thread<SheafHeap>, common: Common, workload: Workload<SheafHeap>): void {
  const { id, threads, heap } = thread;
  let meetings = 0;
  const meet = (): void => meetOthers(heap.cpu, ++meetings * threads);
  if (id === 0) workload.setup?.(thread);
  meet();
  const activity = workload.start(thread);
  measure(common, id, heap, activity, meet);
  if (id === 0) publishMetrics(common, activity);
  activity.finish();
  meet();
  if (id === 0) workload.clear?.(thread);
  meet();
}
/** Waits until so many arrivals have been counted. Meanwhile this CPU serves the others. */
function meetOthers(cpu: Cpu, arrivals: number): void {
  const { mem, globals } = cpu;
  const sleepers = embedded(embedded(globals, TORTURE), SLEEPERS);
  const haveCome = (): boolean => mem.read_once(globals, ARRIVED) >= arrivals;
  mem.fetch_add(globals, ARRIVED, 1);
  if (haveCome()) wake_up(cpu, sleepers);
  else wait_event(cpu, sleepers, haveCome, NULL);
}
