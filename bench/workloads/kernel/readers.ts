/** readers: read sections, one after the other. */
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../src/shared/linux/api.ts";
import type { SheafHeap } from "../../subjects/sheaf/heaps.ts";
import { type Activity, OPS, type Thread, type Workload } from "../workload.ts";

export class Reader implements Activity {
  private readonly cpu: Cpu;
  /** What is read. */
  private readonly object: number;
  private sum = 0;

  constructor({ heap }: Thread<SheafHeap>) {
    this.cpu = heap.cpu;
    this.object = heap.cpu.globals;
  }
  chunk(): number {
    for (let i = 0; i < OPS; i++) this.section();
    return OPS;
  }
  private section(): void {
    const { cpu } = this;
    rcu_read_lock(cpu);
    this.sum = (this.sum + cpu.mem.load_word(this.object)) | 0;
    rcu_read_unlock(cpu);
  }
  finish(): void {
    // Nothing was allocated.
  }
}

export const readers: Workload<SheafHeap> = { start: (thread) => new Reader(thread) };
