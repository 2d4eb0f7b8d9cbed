/**
 * What executions have reached, as counts that can be added up over scenarios. A pair is any of: a named point and the
 * context in which it was visited, the same with an interrupt taken there, a function and what interrupted it, a phase
 * of a grace period and what ran in it.
 */
import { NR_CONTEXTS } from "../../shared/layout/cpu.ts";
import { MAX_POINTS } from "../../shared/layout/points.ts";

/** How often each pair of names came together. */
export class PairCounts {
  private readonly rows = new Map<string, Map<string, number>>();
  private distinct = 0;

  get size(): number {
    return this.distinct;
  }
  /** @returns true if the pair is new. */
  add(first: string, second: string, times = 1): boolean {
    let row = this.rows.get(first);
    if (row === undefined) this.rows.set(first, (row = new Map<string, number>()));
    const before = row.get(second);
    row.set(second, (before ?? 0) + times);
    if (before === undefined) this.distinct++;
    return before === undefined;
  }
  count(first: string, second: string): number {
    return this.rows.get(first)?.get(second) ?? 0;
  }
  *[Symbol.iterator](): Generator<readonly [first: string, second: string, times: number]> {
    for (const [first, row] of this.rows) for (const [second, times] of row) yield [first, second, times];
  }
}

/** How often something came at a named point in a context: counted far too often for names. */
class PointCounts {
  private readonly counts = new Float64Array(MAX_POINTS * NR_CONTEXTS);
  private distinct = 0;

  get size(): number {
    return this.distinct;
  }
  /** @returns true if it is the first time. */
  add(point: number, context: number, times = 1): boolean {
    const i = point * NR_CONTEXTS + context;
    const isNew = this.counts[i] === 0;
    this.counts[i] += times;
    if (isNew) this.distinct++;
    return isNew;
  }
  count(point: number, context: number): number {
    return this.counts[point * NR_CONTEXTS + context];
  }
  *[Symbol.iterator](): Generator<readonly [point: number, context: number, times: number]> {
    for (const [i, times] of this.counts.entries()) {
      if (times > 0) yield [Math.floor(i / NR_CONTEXTS), i % NR_CONTEXTS, times];
    }
  }
}

export class CoverageCounts {
  /** Executions that were watched, and the number of the one in which the last new pair came (0: none came). */
  executions = 0;
  lastNew = 0;
  readonly visits = new PointCounts();
  /** NMIs and IRQs that were taken while the CPU stood at the point. */
  readonly nmis = new PointCounts();
  readonly irqs = new PointCounts();
  /** [interrupted function, interrupting function] */
  readonly interrupts = new PairCounts();
  /** [phase of the grace period, operation or interrupted function] */
  readonly phases = new PairCounts();

  get pairs(): number {
    return this.visits.size + this.nmis.size + this.irqs.size + this.interrupts.size + this.phases.size;
  }
  /** No new pair for so many executions. */
  stable(executions: number): boolean {
    return this.executions - this.lastNew >= executions;
  }
  /** Adds what another scenario has reached, as if its executions came after these. */
  merge(other: CoverageCounts): void {
    const before = this.pairs;
    for (const which of ["visits", "nmis", "irqs"] as const) {
      for (const [point, context, times] of other[which]) this[which].add(point, context, times);
    }
    for (const which of ["interrupts", "phases"] as const) {
      for (const [first, second, times] of other[which]) this[which].add(first, second, times);
    }
    if (this.pairs > before) this.lastNew = this.executions + other.lastNew;
    this.executions += other.executions;
  }
}
