/** Durations that a thread has measured one by one. */
import { clock } from "../../../src/main/rcuscale/measurements.ts";

/** More are left out. */
const MOST = 1 << 16;

export class Samples {
  private readonly values = new Float64Array(MOST);
  private n = 0;

  add(ns: number): void {
    if (this.n < MOST) this.values[this.n++] = ns;
  }
  /** Adds how long `work` takes. */
  time(work: () => void): void {
    const start = clock();
    work();
    this.add(clock() - start);
  }
  clear(): void {
    this.n = 0;
  }
  /** @throws RangeError  there are none */
  percentiles(): { readonly p50: number; readonly p99: number } {
    if (this.n === 0) throw new RangeError("nothing was measured");
    const sorted = this.values.slice(0, this.n).toSorted();
    return { p50: sorted[Math.floor(this.n / 2)], p99: sorted[Math.floor((this.n * 99) / 100)] };
  }
}
