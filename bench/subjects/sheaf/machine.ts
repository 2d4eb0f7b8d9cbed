/**
 * A process that measures sheaf: a machine whose CPUs each run one thread of a workload, with ticks and without NMIs.
 *
 *   node machine.ts JSON      a SheafJob; prints a Sample
 */
import { Machine, type MachineConfig, threadModule } from "../../../src/main/machine.ts";
import { BARRIER_FDRK, IRQWORK_PROMPT } from "../../../src/shared/layout/globals.ts";
import { RCU_MIN_CACHED_OBJS } from "../../../src/shared/layout/kvfree_rcu.ts";
import { KERNEL_WORKLOADS } from "../../workloads/kernel/catalogue.ts";
import { answer } from "../answer.ts";
import type { Job, Sample } from "../job.ts";
import { commonOf, metricsOf, threadTimes, workloadOf } from "../thread_run.ts";
import type { BenchTask } from "./cpu_thread.ts";

export interface SheafJob extends Job {
  readonly allocator: "kmalloc" | "kmem_cache";
  /** Does every step let interrupts in? Otherwise they come where the code turns IRQs on, polls or waits. */
  readonly interruptible: boolean;
  readonly megabytes: number;
}

function configOf({ threads, megabytes }: SheafJob): MachineConfig {
  return {
    shape: { bytes: megabytes << 20, cpus: threads, nodes: 1 },
    seed: 1,
    globals: {
      irqwork_mode: IRQWORK_PROMPT,
      barrier_order: BARRIER_FDRK,
      rcu_min_cached_objs: RCU_MIN_CACHED_OBJS,
    },
  };
}

async function run(job: SheafJob): Promise<Sample> {
  const common = commonOf(job, workloadOf(KERNEL_WORKLOADS, job));
  const cpuTask: BenchTask = { common, sheafJob: job };
  const machine = new Machine(configOf(job), {
    cpuModule: threadModule("cpu_thread", import.meta.url),
    cpuTask,
    watched: false,
    nmisPerTick: 0,
    noise: false,
    nmiRate: 0,
    irqRate: 0,
  });
  try {
    await machine.booted;
    const outcomes = await machine.outcomes;
    const first = machine.control.firstFailure();
    const failed = outcomes.toSorted((a, b) => Number(b.cpu === first) - Number(a.cpu === first));
    for (const outcome of failed) {
      if (outcome.kind !== "rested")
        throw new Error("message" in outcome ? outcome.message : (machine.trouble ?? outcome.kind));
    }
  } finally {
    await machine.shutDown();
  }
  const version = job.interruptible ? "InterruptibleMemory" : "BareMemory";
  return { version, threads: threadTimes(common), metrics: metricsOf(common) };
}

await answer(() => run(JSON.parse(process.argv[2]) as SheafJob));
