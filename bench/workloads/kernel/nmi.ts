/**
 * What NMIs cost, and how soon they come. Their handler only looks at the clock.
 *
 *   nmi-local   a CPU raises them at itself, every so many steps. Metric cost: what one takes of the CPU's time
 *   nmi-running one CPU raises them at another, which runs. Metrics p50 and p99: until the handler looks at the clock
 *   nmi-idle    the same at an idle CPU, whose thread has to be woken
 */
import { clock } from "../../../src/main/rcuscale/measurements.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { CB } from "../../../src/shared/layout/callbacks.ts";
import { P_NMI, P_NMI_LOCAL } from "../../../src/shared/layout/cpu.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { pause } from "../../../src/shared/mem/bare_memory.ts";
import { InterruptibleMemory, NO_POINT, type StepSource } from "../../../src/shared/mem/interruptible_memory.ts";
import { embedded } from "../../../src/shared/mem/struct.ts";
import type { SheafHeap } from "../../subjects/sheaf/heaps.ts";
import { type Activity, OPS, type Thread, type Workload } from "../workload.ts";
import { Samples } from "./samples.ts";
import { Serving } from "./serving.ts";

const { pending: PENDING } = PerCpu.offset;

/** Steps between two NMIs of the local source, or none; and of each half of a chunk, without and with them. */
const GAP = 100;
const NEVER = 0x3fffffff;
const STEPS = 10 * OPS;

/** Shared words: an NMI has been handled, and (8 bytes) when. */
const HANDLED = 0;
const HANDLED_AT_BYTE = 64;
const SHARED_WORDS = 32;
/** A handler that does not come is given up: its CPU may have ended. */
const MOST_SPINS = 1 << 24;
/** Between two NMIs at a running CPU; at an idle one: until it has gone idle again. */
const PAUSES = 200;
const UNTIL_IDLE_MS = 0.5;

/** A step is a poll: it does nothing but let interrupts in. */
function takeSteps(cpu: Cpu, steps: number): void {
  for (let i = 0; i < steps; i++) cpu.mem.poll(0);
}

class LocalNmis implements Activity, StepSource {
  private readonly cpu: Cpu;
  private readonly mem: InterruptibleMemory;
  private nmis = 0;
  private quietNs = 0;
  private loudNs = 0;

  constructor(cpu: Cpu) {
    if (!(cpu.mem instanceof InterruptibleMemory)) throw new TypeError("NMIs need an interruptible memory");
    this.cpu = cpu;
    this.mem = cpu.mem;
    bind_callback(CB.nmi_handler, () => {
      this.nmis++;
    });
  }
  expired(): number {
    Atomics.or(this.mem.words, this.cpu.pending >> 2, P_NMI_LOCAL);
    return GAP;
  }
  visited(point: number): number {
    return point;
  }
  begin(): void {
    this.nmis = this.quietNs = this.loudNs = 0;
  }
  chunk(): number {
    const before = this.nmis;
    const start = clock();
    this.mem.attachSource(this, NEVER, NO_POINT);
    takeSteps(this.cpu, STEPS);
    const middle = clock();
    this.mem.attachSource(this, GAP, NO_POINT);
    takeSteps(this.cpu, STEPS);
    this.mem.attachSource(this, NEVER, NO_POINT);
    this.quietNs += middle - start;
    this.loudNs += clock() - middle;
    return this.nmis - before;
  }
  finish(): void {
    // Nothing was allocated.
  }
  metrics(): Readonly<Record<string, number>> {
    if (this.nmis === 0) throw new RangeError("no NMI came");
    return { cost: (this.loudNs - this.quietNs) / this.nmis };
  }
}

/** Raises NMIs at CPU 1. */
class Raiser implements Activity {
  private readonly cpu: Cpu;
  private readonly shared: Int32Array;
  private readonly between: () => void;
  private readonly samples = new Samples();

  constructor({ heap, shared }: Thread<SheafHeap>, between: () => void) {
    this.cpu = heap.cpu;
    this.shared = shared;
    this.between = between;
  }
  begin(): void {
    this.samples.clear();
  }
  chunk(): number {
    const { cpu, shared } = this;
    this.between();
    Atomics.store(shared, HANDLED, 0);
    const start = clock();
    cpu.mem.raise(embedded(cpu.map.section(1), PENDING), P_NMI);
    for (let spins = 0; Atomics.load(shared, HANDLED) === 0; spins++) {
      if (spins === MOST_SPINS) return 0;
      pause();
    }
    this.samples.add(handledAt(shared)[0] - start);
    return 1;
  }
  finish(): void {
    // Nothing was allocated.
  }
  metrics(): Readonly<Record<string, number>> {
    return this.samples.percentiles();
  }
}
function handledAt(shared: Int32Array): Float64Array {
  return new Float64Array(shared.buffer, HANDLED_AT_BYTE, 1);
}
function bindTarget(shared: Int32Array): void {
  const at = handledAt(shared);
  bind_callback(CB.nmi_handler, () => {
    at[0] = clock();
    Atomics.store(shared, HANDLED, 1);
  });
}
class Running implements Activity {
  private readonly cpu: Cpu;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
  }
  chunk(): number {
    takeSteps(this.cpu, OPS);
    return 0;
  }
  finish(): void {
    // Nothing was allocated.
  }
}

function pauseBriefly(): void {
  for (let i = 0; i < PAUSES; i++) pause();
}
function sleepBriefly(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, UNTIL_IDLE_MS);
}
function raisedAt(target: (cpu: Cpu) => Activity, between: () => void): Workload<SheafHeap> {
  return {
    sharedWords: () => SHARED_WORDS,
    start(thread) {
      if (thread.id === 0) return new Raiser(thread, between);
      bindTarget(thread.shared);
      return target(thread.heap.cpu);
    },
  };
}

export const nmi_local: Workload<SheafHeap> = { start: ({ heap }) => new LocalNmis(heap.cpu) };
export const nmi_running = raisedAt((cpu) => new Running(cpu), pauseBriefly);
export const nmi_idle = raisedAt((cpu) => new Serving(cpu), sleepBriefly);
