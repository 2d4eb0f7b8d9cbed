/** How long does synchronize_rcu() take: beside an idle CPU, beside one that reads, and with more CPUs than cores? */
import os from "node:os";
import type { Bench } from "./bench.ts";
import { native, sheaf } from "./subjects/contenders.ts";

const OVERSUBSCRIBED = 2 * os.availableParallelism();

export const grace_period: Bench = {
  name: "grace_period",
  question: "How long does synchronize_rcu() take, beside idle CPUs, readers, and more readers than cores?",
  cases: () =>
    [
      { name: "idle", threads: 2, busy: 0 },
      { name: "busy", threads: 2, busy: 1 },
      { name: "oversubscribed", threads: OVERSUBSCRIBED, busy: 1 },
    ].map(({ name, threads, busy }) => ({
      bench: `grace_period ${name}`,
      workload: "grace_period",
      threads,
      parameters: { busy },
      metrics: ["p50", "p99"],
      idle: busy === 0,
      subject: sheaf("kmalloc"),
      peers: [native("liburcu-memb"), native("liburcu-qsbr")],
    })),
};
