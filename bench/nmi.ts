/** What does an NMI cost, and how soon does it come: from the CPU itself, to a running CPU, to an idle one? */
import type { Bench } from "./bench.ts";
import { sheaf } from "./subjects/contenders.ts";

export const nmi: Bench = {
  name: "nmi",
  question: "What does an NMI cost, and how soon does it come: from the CPU itself, to a running CPU, to an idle one?",
  cases: () =>
    [
      { workload: "nmi-local", threads: 1, metrics: ["cost"] },
      { workload: "nmi-running", threads: 2, metrics: ["p50", "p99"] },
      { workload: "nmi-idle", threads: 2, metrics: ["p50", "p99"] },
    ].map(({ workload, threads, metrics }) => ({
      bench: workload,
      workload,
      threads,
      parameters: {},
      metrics,
      idle: workload === "nmi-idle",
      subject: sheaf("kmalloc", { interruptible: true }),
      peers: [],
    })),
};
