/** What does it cost that an interrupt may come at every step? */
import type { Bench } from "./bench.ts";
import { SIZE_PATTERNS } from "./patterns.ts";
import { sheaf } from "./subjects/contenders.ts";

export const instrumented: Bench = {
  name: "instrumented",
  question: "What does it cost that an interrupt may come at every step?",
  cases: ({ threads = [1] }) =>
    threads.flatMap((n) =>
      SIZE_PATTERNS.map(({ workload, parameters }) => ({
        bench: `instrumented ${workload}`,
        workload,
        threads: n,
        parameters,
        subject: sheaf("kmalloc", { interruptible: true }),
        peers: [sheaf("kmalloc")],
      })),
    ),
};
