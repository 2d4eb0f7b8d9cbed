/** What does a heap that JavaScript threads share cost, beside others that JavaScript can call? */
import type { Bench } from "./bench.ts";
import { OBJECT_BYTES, PAIR, type Pattern } from "./patterns.ts";
import { emscripten, sheaf, SHEAF_HEAP, thingMalloc } from "./subjects/contenders.ts";

/** The pool of @thi.ng/malloc is a list: it would take seconds for the ten thousand of other benches. */
const RANDOM_1000: Pattern = { workload: "random", parameters: { size: OBJECT_BYTES, live: 1000 } };

export const shared_heap: Bench = {
  name: "shared_heap",
  question: "What does a heap that JavaScript threads share cost, beside others that JavaScript can call?",
  cases: ({ threads = [1, 2] }) =>
    threads.flatMap((n) =>
      [PAIR, RANDOM_1000].map(({ workload, parameters }) => ({
        bench: `shared_heap ${workload}`,
        workload,
        threads: n,
        parameters,
        subject: SHEAF_HEAP,
        peers: [
          sheaf("kmalloc"),
          emscripten("dlmalloc"),
          emscripten("emmalloc"),
          thingMalloc(true),
          ...(n === 1 ? [thingMalloc(false)] : []),
        ],
      })),
    ),
};
