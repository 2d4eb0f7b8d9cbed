/** What a process that is measured has to do, and what it says about it: one argument, and one line of JSON. */

export interface Job {
  readonly workload: string;
  readonly threads: number;
  /** How long each thread repeats its chunk, and how long before that without being measured. */
  readonly ms: number;
  readonly warmupMs: number;
  readonly parameters: Readonly<Record<string, number>>;
}

/** Times in ns, on a clock that all threads share. */
export interface ThreadTimes {
  readonly start: number;
  readonly end: number;
  /** CPU time of the thread in between; null: unknown (Node before 24). */
  readonly cpu: number | null;
  /** Objects that came and went, or whatever the workload counts. */
  readonly ops: number;
}
export interface Sample {
  /** What was measured, with its version. */
  readonly version: string;
  readonly threads: readonly ThreadTimes[];
  /** What the workload has measured besides time. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** @throws RangeError  the job does not have it */
export function parameterOf({ workload, parameters }: Job): (name: string) => number {
  return (name) => {
    const value = parameters[name];
    if (value === undefined) throw new RangeError(`workload ${workload} needs a parameter ${name}`);
    return value;
  };
}
