/** kfree_rcu: objects are allocated and given to kfree_rcu(). The time includes that all are freed. */
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { RcuHead } from "../../../src/shared/layout/types.ts";
import { kfree_rcu, kvfree_rcu_barrier, synchronize_rcu } from "../../../src/shared/linux/api.ts";
import { type Ptr, struct } from "../../../src/shared/mem/struct.ts";
import type { SheafHeap } from "../../subjects/sheaf/heaps.ts";
import type { Activity, Thread, Workload } from "../workload.ts";

const OBJECTS = 512;
/** Without memory it waits for so many grace periods, and then gives up. */
const MOST_WAITS = 16;

const RcuObject = struct("rcu_object", { head: RcuHead });
const { head: HEAD } = RcuObject.offset;

class Retire implements Activity {
  private readonly heap: SheafHeap;
  private readonly cpu: Cpu;
  private readonly size: number;

  constructor({ heap, parameter }: Thread<SheafHeap>) {
    this.heap = heap;
    this.cpu = heap.cpu;
    this.size = parameter("size");
  }
  chunk(): number {
    const { heap, cpu } = this;
    for (let i = 0; i < OBJECTS; i++) {
      const object = this.obtain();
      heap.store(object, i);
      kfree_rcu(cpu, object as Ptr<"rcu_object">, HEAD);
    }
    return OBJECTS;
  }
  /** What waits for a grace period may be all the memory there is. */
  private obtain(): number {
    for (let waits = 0; waits < MOST_WAITS; waits++) {
      const object = this.heap.malloc(this.size);
      if (object !== 0) return object;
      if (waits === 0) synchronize_rcu(this.cpu);
      else kvfree_rcu_barrier(this.cpu);
    }
    throw new RangeError("out of memory");
  }
  settle(): void {
    kvfree_rcu_barrier(this.cpu);
  }
  finish(): void {
    // All has been given away.
  }
}

export const kfree_rcu_workload: Workload<SheafHeap> = { start: (thread) => new Retire(thread) };
