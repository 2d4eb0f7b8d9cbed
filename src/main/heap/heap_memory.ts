/**
 * HeapMemory: a BareMemory that remembers which slots this thread has raised something for, so that it can do that work
 * itself after its call; and that gives up waiting for a lock when its holder does not get on.
 */
import { pause, BareMemory } from "../../shared/mem/bare_memory.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { P_STOP } from "../../shared/layout/cpu.ts";
import { MachineStopped } from "../../shared/base/verdict.ts";
import type { HeapMap } from "./layout.ts";

/** What all HeapMemory objects of an attachment share. */
export interface Waiting {
  /** Slots for which something was raised, a mask. */
  raised: number;
  /** When the present wait began; 0: none has. performance.now() */
  since: number;
  /** How long a call waits for a lock, ms. */
  readonly limitMs: number;
}

/** Turns of a spin loop between two looks at the clock. */
const SPINS_PER_LOOK = 1 << 14;

/** A lock was not released in time: whoever held it has died, or was stopped. */
export class LockTimeout extends Error {
  override readonly name = "LockTimeout";
}

export class HeapMemory extends BareMemory {
  private readonly waiting: Waiting;
  private readonly percpu: number;
  private readonly stride: number;
  private spins = 0;

  constructor(buffer: SharedArrayBuffer, pending: number, { machine, debug }: HeapMap, waiting: Waiting) {
    super(buffer, pending, debug);
    this.waiting = waiting;
    this.percpu = machine.percpu;
    this.stride = machine.percpuStride;
  }
  override raise(pending: Ptr<"cpu_pending">, bits: number): void {
    super.raise(pending, bits);
    this.waiting.raised |= 1 << ((pending - this.percpu) / this.stride);
  }
  override wait(seen: number): void {
    this.checkPatience();
    super.wait(seen);
  }
  override relax(): void {
    if (++this.spins % SPINS_PER_LOOK === 0) {
      if ((this.pending() & P_STOP) !== 0) throw new MachineStopped();
      this.checkPatience();
    }
    pause();
  }
  private checkPatience(): void {
    const { waiting } = this;
    const now = performance.now();
    if (waiting.since === 0) waiting.since = now;
    else if (now - waiting.since > waiting.limitMs) {
      throw new LockTimeout(`a lock of the kernel was not released within ${waiting.limitMs} ms`);
    }
  }
}
