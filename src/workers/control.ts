/**
 * The host's hand-shake with its threads: a small shared buffer beside the machine's memory. It holds what is no part
 * of the machine: the boot barrier, the order to the controller, and how many interrupts the controller has raised.
 */
import { Barrier, type SharedWords } from "../shared/sync/index.ts";

/** Words from 64 on are those of migrator.ts. */
export const CONTROL_BYTES = 512;
const BARRIER_OFFSET = 0;
/** Word numbers. What different threads write lies on different cache lines. */
const QUIT = 16;
const RAISED_NMIS = 32;
const RAISED_IRQS = 33;
const RAISED_TICKS = 34;
const FIRST_FAILURE = 48;

export class Control {
  readonly buffer: SharedArrayBuffer;
  readonly bootBarrier: SharedWords;
  private readonly words: Int32Array;

  private constructor(buffer: SharedArrayBuffer, bootBarrier: SharedWords) {
    this.buffer = buffer;
    this.bootBarrier = bootBarrier;
    this.words = new Int32Array(buffer);
  }
  /** For `threads` participants of the boot barrier, the host's main thread included. */
  static create(threads: number): Control {
    const buffer = new SharedArrayBuffer(CONTROL_BYTES);
    return new Control(buffer, Barrier.init(threads, buffer, BARRIER_OFFSET));
  }
  /** The same on another thread. */
  static at(buffer: SharedArrayBuffer): Control {
    return new Control(buffer, Barrier.at(buffer, BARRIER_OFFSET));
  }

  /** Tells the controller to return. Never blocks. */
  quit(): void {
    Atomics.store(this.words, QUIT, 1);
    Atomics.notify(this.words, QUIT);
  }
  /** The controller's sleep. @returns whether it is to return. */
  sleep(ms: number): boolean {
    if (Atomics.load(this.words, QUIT) === 0 && ms > 0) Atomics.wait(this.words, QUIT, 0, ms);
    return Atomics.load(this.words, QUIT) !== 0;
  }

  countRaised(nmis: number, irqs: number, ticks: number): void {
    Atomics.add(this.words, RAISED_NMIS, nmis);
    Atomics.add(this.words, RAISED_IRQS, irqs);
    Atomics.add(this.words, RAISED_TICKS, ticks);
  }
  /** What the controller has raised so far. */
  raised(): { readonly nmis: number; readonly irqs: number; readonly ticks: number } {
    return {
      nmis: Atomics.load(this.words, RAISED_NMIS),
      irqs: Atomics.load(this.words, RAISED_IRQS),
      ticks: Atomics.load(this.words, RAISED_TICKS),
    };
  }

  /** Remembers which CPU failed first; the others' failures may be consequences. */
  fail(cpu: number): void {
    Atomics.compareExchange(this.words, FIRST_FAILURE, 0, cpu + 1);
  }
  /** The CPU that failed first, or undefined. */
  firstFailure(): number | undefined {
    const cpu = Atomics.load(this.words, FIRST_FAILURE);
    return cpu === 0 ? undefined : cpu - 1;
  }
}
