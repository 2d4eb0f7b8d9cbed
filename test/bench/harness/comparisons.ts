/** Comparisons as they come out of runs, for tests of what is said about them. */
import { type Case, type Comparison, type Figures, TIME } from "../../../bench/harness/compare.ts";
import { sheaf } from "../../../bench/subjects/contenders.ts";

export function figures(name: string, times: readonly number[], rest: Partial<Figures> = {}): Figures {
  return {
    name,
    version: `${name} 1.0`,
    values: new Map([[TIME, times]]),
    cpuNs: times,
    overlapped: true,
    share: 1,
    ...rest,
  };
}
export function comparison(
  bench: string,
  subject: Figures,
  peers: readonly Figures[],
  rest: Partial<Case> = {},
): Comparison {
  const theCase: Case = {
    bench,
    workload: "pair",
    threads: 1,
    parameters: {},
    subject: sheaf("kmalloc"),
    peers: [],
    ...rest,
  };
  return { case: theCase, subject, peers, skipped: [] };
}
