/**
 * What the CPUs of a run measure: a small buffer beside the machine's memory, since clocks are no part of the machine.
 * Each CPU writes a row of its own; the host reads them, for good once the threads have returned.
 */

/** Times in ns, since a moment that all threads share; pages; counts. */
const FIELDS = [
  /** Of this CPU's loops. */
  "start",
  "end",
  /** CPU time of its thread in between, interrupts and softirqs included; NaN where Node cannot tell. */
  "cpuTime",
  /** Normal grace periods that the machine had completed. */
  "gpsAtStart",
  "gpsAtEnd",
  "freeAtStart",
  /** Sum of the free pages at the quarters of the loops, and how many quarters that were. */
  "freeAtQuarters",
  "quarters",
  /** Fewest free pages that were found at the end of a loop or after a failed allocation. */
  "freeAtLeast",
  "objects",
  /** Each waited for a grace period. */
  "failedAllocations",
  /** 1: waiting did not help. */
  "gaveUp",
  // CPU 0, after the loops.
  /** The barrier that waits for what the loops have left, and the grace periods meanwhile. */
  "barrier",
  "barrierGps",
  /** The same with nothing to wait for, and the work items that it takes. */
  "idleBarrier",
  "idleBarrierItems",
  /** kvfree_rcu_barrier_on_cache() with nothing to wait for. */
  "cacheBarrier",
  "cacheBarrierItems",
] as const;
export type Measurement = (typeof FIELDS)[number];
export type MeasuredRow = Readonly<Record<Measurement, number>>;

export class Measurements {
  readonly buffer: SharedArrayBuffer;
  private readonly values: Float64Array;

  /** Attaches to the buffer of another thread. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.values = new Float64Array(buffer);
  }
  static create(cpus: number): Measurements {
    return new Measurements(new SharedArrayBuffer(cpus * FIELDS.length * Float64Array.BYTES_PER_ELEMENT));
  }

  get(cpu: number, field: Measurement): number {
    return this.values[index(cpu, field)];
  }
  row(cpu: number): MeasuredRow {
    return Object.fromEntries(FIELDS.map((field) => [field, this.get(cpu, field)])) as MeasuredRow;
  }
  set(cpu: number, field: Measurement, value: number): void {
    this.values[index(cpu, field)] = value;
  }
  add(cpu: number, field: Measurement, n: number): void {
    this.values[index(cpu, field)] += n;
  }
}

const index = (cpu: number, field: Measurement): number => cpu * FIELDS.length + FIELDS.indexOf(field);

/** Now, in ns: the same on all threads. */
export function clock(): number {
  return Number(process.hrtime.bigint());
}
/** CPU time of this thread so far, in ns; NaN if this Node cannot tell. */
export function threadClock(): number {
  if (!("threadCpuUsage" in process)) return NaN; // Node 22.18
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}
