/** What does kvfree_rcu_barrier() cost with nothing to wait for, by the number of CPUs and of caches? */
import type { Bench } from "./bench.ts";
import { sheaf } from "./subjects/contenders.ts";

const CPUS = [1, 2, 4, 8];
/** Besides those of the kernel. */
const CACHES = [0, 10, 100];

export const barrier: Bench = {
  name: "barrier",
  question: "What does kvfree_rcu_barrier() cost with nothing to wait for, by the number of CPUs and of caches?",
  cases: ({ threads = CPUS }) =>
    threads.flatMap((n) =>
      CACHES.map((caches) => ({
        bench: `barrier ${caches} caches more`,
        workload: "barrier",
        threads: n,
        parameters: { caches },
        metrics: ["p50", "p99"],
        idle: true,
        subject: sheaf("kmalloc"),
        peers: [],
      })),
    ),
};
