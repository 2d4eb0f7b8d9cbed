/** What does it cost to free an object after a grace period, until it is free? */
import type { Bench } from "./bench.ts";
import { OBJECT_BYTES } from "./patterns.ts";
import { native, sheaf } from "./subjects/contenders.ts";

export const kfree_rcu: Bench = {
  name: "kfree_rcu",
  question: "What does it cost to free an object after a grace period, until it is free?",
  cases: ({ threads = [1, 2] }) =>
    threads.map((n) => ({
      bench: "kfree_rcu",
      workload: "kfree_rcu",
      threads: n,
      parameters: { size: OBJECT_BYTES },
      subject: sheaf("kmalloc"),
      peers: [native("liburcu-memb"), native("liburcu-qsbr")],
    })),
};
