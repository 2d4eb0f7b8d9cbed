/** How much more do more threads get done? Time is that of all together: a ratio of 0.5 is twice the throughput. */
import type { Bench } from "./bench.ts";
import { SIZE_PATTERNS } from "./patterns.ts";
import { onThreads, sheaf } from "./subjects/contenders.ts";

export const scaling: Bench = {
  name: "scaling",
  question: "How much more do more threads get done than one? (A ratio of 0.5 is twice the throughput.)",
  cases: ({ threads = [2, 4, 8] }) =>
    threads.flatMap((n) =>
      SIZE_PATTERNS.map(({ workload, parameters }) => ({
        bench: `scaling ${workload}`,
        workload,
        threads: n,
        parameters,
        subject: sheaf("kmalloc"),
        peers: [onThreads(sheaf("kmalloc"), 1)],
      })),
    ),
};
