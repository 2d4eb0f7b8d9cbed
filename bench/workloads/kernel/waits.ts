/**
 * Waits, one after the other, on CPU 0. Metrics p50 and p99: how long one takes.
 *
 *   grace_period   synchronize_rcu(); the other CPUs read (busy=1), or are idle
 *   barrier        kvfree_rcu_barrier() with nothing to wait for; `caches` caches more than the kernel's own
 */
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { kmem_cache_create, kvfree_rcu_barrier, synchronize_rcu } from "../../../src/shared/linux/api.ts";
import { NULL } from "../../../src/shared/mem/struct.ts";
import type { SheafHeap } from "../../subjects/sheaf/heaps.ts";
import type { Activity, Workload } from "../workload.ts";
import { Reader } from "./readers.ts";
import { Samples } from "./samples.ts";
import { Serving } from "./serving.ts";

const CACHE_OBJECT_BYTES = 64;

class Waiter implements Activity {
  private readonly samples = new Samples();
  private readonly once: () => void;

  constructor(cpu: Cpu, wait: (cpu: Cpu) => void) {
    this.once = () => wait(cpu);
  }
  begin(): void {
    this.samples.clear();
  }
  chunk(): number {
    this.samples.time(this.once);
    return 1;
  }
  finish(): void {
    // Nothing was allocated.
  }
  metrics(): Readonly<Record<string, number>> {
    return this.samples.percentiles();
  }
}
/** Reads; what it reads counts as no operation. */
class BusyReader extends Reader {
  override chunk(): number {
    super.chunk();
    return 0;
  }
}

export const grace_period: Workload<SheafHeap> = {
  start(thread) {
    const { id, heap } = thread;
    if (id === 0) return new Waiter(heap.cpu, synchronize_rcu);
    return thread.parameter("busy") === 0 ? new Serving(heap.cpu) : new BusyReader(thread);
  },
};

export const barrier: Workload<SheafHeap> = {
  setup({ heap, parameter }) {
    for (let i = 0; i < parameter("caches"); i++) {
      if (kmem_cache_create(heap.cpu, `bench-${i}`, CACHE_OBJECT_BYTES) === NULL) throw new RangeError("out of memory");
    }
  },
  start: ({ id, heap: { cpu } }) => (id === 0 ? new Waiter(cpu, kvfree_rcu_barrier) : new Serving(cpu)),
};
