/** What does an object cost that one thread allocates and another frees? */
import type { Bench } from "./bench.ts";
import { NATIVE_ALLOCATORS, OBJECT_BYTES } from "./patterns.ts";
import { sheaf } from "./subjects/contenders.ts";

export const producer_consumer: Bench = {
  name: "producer_consumer",
  question: "What does an object cost that one thread allocates and another frees?",
  cases: ({ threads = [2] }) =>
    threads
      .filter((n) => n % 2 === 0)
      .map((n) => ({
        bench: "producer_consumer",
        workload: "producer_consumer",
        threads: n,
        parameters: { size: OBJECT_BYTES },
        subject: sheaf("kmalloc"),
        peers: NATIVE_ALLOCATORS,
      })),
};
