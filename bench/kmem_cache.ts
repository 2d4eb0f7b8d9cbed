/** What does an object of a kmem_cache cost, beside one of a native allocator? */
import type { Bench } from "./bench.ts";
import { NATIVE_ALLOCATORS, SIZE_PATTERNS } from "./patterns.ts";
import { sheaf } from "./subjects/contenders.ts";

export const kmem_cache: Bench = {
  name: "kmem_cache",
  question: "What does an object of a kmem_cache cost, beside one of a native allocator?",
  cases: ({ threads = [1] }) =>
    threads.flatMap((n) =>
      SIZE_PATTERNS.map(({ workload, parameters }) => ({
        bench: `kmem_cache ${workload}`,
        workload,
        threads: n,
        parameters,
        subject: sheaf("kmem_cache"),
        peers: NATIVE_ALLOCATORS,
      })),
    ),
};
