/** What CPUs do that are only there: idle, they serve interrupts and run what others give them to do. */
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { schedule } from "../../../src/shared/cpu/sched.ts";
import type { Activity } from "../workload.ts";

export class Serving implements Activity {
  private readonly cpu: Cpu;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
  }
  /** Until the next interrupt: at the latest a tick. */
  chunk(): number {
    schedule(this.cpu);
    return 0;
  }
  finish(): void {
    // It has nothing.
  }
}
