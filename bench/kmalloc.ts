/** What do kmalloc() and kfree() cost, beside malloc() and free() of native allocators? */
import type { Bench } from "./bench.ts";
import { NATIVE_ALLOCATORS, SIZE_PATTERNS } from "./patterns.ts";
import { sheaf } from "./subjects/contenders.ts";

export const kmalloc: Bench = {
  name: "kmalloc",
  question: "What do kmalloc() and kfree() cost, beside malloc() and free() of native allocators?",
  cases: ({ threads = [1] }) =>
    threads.flatMap((n) =>
      SIZE_PATTERNS.map(({ workload, parameters }) => ({
        bench: `kmalloc ${workload}`,
        workload,
        threads: n,
        parameters,
        subject: sheaf("kmalloc"),
        peers: NATIVE_ALLOCATORS,
      })),
    ),
};
