/** What does an RCU reader pay? */
import type { Bench } from "./bench.ts";
import { native, sheaf } from "./subjects/contenders.ts";

export const readers: Bench = {
  name: "readers",
  question: "What does an RCU reader pay?",
  cases: ({ threads = [1, 2] }) =>
    threads.map((n) => ({
      bench: "readers",
      workload: "readers",
      threads: n,
      parameters: {},
      subject: sheaf("kmalloc"),
      peers: [native("liburcu-memb"), native("liburcu-qsbr")],
    })),
};
