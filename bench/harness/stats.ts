/** Numbers of several runs, taken together. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  /** From the smallest to the largest, as a share of the median. */
  readonly spread: number;
}

/** @throws RangeError  there are none */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  const middle = median(values);
  const min = Math.min(...values);
  return { median: middle, min, spread: (Math.max(...values) - min) / middle };
}

/** Each run has a ratio of its own, since both sides met the same machine; of these, the median. */
export function medianRatio(subject: readonly number[], peer: readonly number[]): number {
  if (subject.length !== peer.length) throw new RangeError(`${subject.length} runs against ${peer.length}`);
  return median(subject.map((value, run) => value / peer[run]));
}
