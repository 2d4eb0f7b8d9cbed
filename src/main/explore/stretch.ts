/**
 * A stretch of a CPU's accesses: those of an operation, or of an interrupt. Accesses are counted over the CPU's whole
 * program, so whoever leaves a stretch out of an execution moves the picks that come later.
 */
import type { Schedule } from "./strategy.ts";

export interface Stretch {
  readonly lane: number;
  /** Its accesses are those after number `begin`, up to number `end`; Infinity: it has not ended. */
  readonly begin: number;
  readonly end: number;
  /** By how much the numbers of later accesses grow: an access that is interrupted is counted again. */
  readonly growth: number;
}

/** The picks as if there were no stretch: what happened in it happens before the access that came next. */
export function withoutStretches(picks: Schedule, stretches: readonly Stretch[]): Schedule {
  const contains = (outer: Stretch, { lane, begin, end }: Stretch): boolean =>
    outer.lane === lane && outer.begin <= begin && outer.end >= end;
  const outermost = stretches.filter((inner, i) => !stretches.some((outer, j) => i !== j && contains(outer, inner)));
  return picks.map(({ lane, access, choice }) => {
    let number = access;
    for (const { begin, end, growth } of outermost.filter((stretch) => stretch.lane === lane)) {
      if (access > begin) number -= end === Infinity ? access - begin : growth - Math.max(0, end + 1 - access);
    }
    return { lane, access: number, choice };
  });
}
