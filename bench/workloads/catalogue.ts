/** The workloads that run on any heap, by the names that the peers in C have for them, too. */
import { ACCESSES } from "./access.ts";
import { alloc_test } from "./alloc_test.ts";
import { batch } from "./batch.ts";
import { cache_scratch, cache_thrash } from "./cache_lines.ts";
import { glibc_thread } from "./glibc_thread.ts";
import { larson } from "./larson.ts";
import { mstress } from "./mstress.ts";
import { pair } from "./pair.ts";
import { producer_consumer } from "./producer_consumer.ts";
import { random } from "./random.ts";
import { rptest } from "./rptest.ts";
import { sh6bench, sh8bench } from "./shbench.ts";
import type { Workload } from "./workload.ts";
import { xmalloc_test } from "./xmalloc_test.ts";

export const HEAP_WORKLOADS: Readonly<Record<string, Workload>> = {
  pair,
  batch,
  random,
  producer_consumer,
  larson,
  sh6bench,
  sh8bench,
  "xmalloc-test": xmalloc_test,
  "cache-scratch": cache_scratch,
  "cache-thrash": cache_thrash,
  mstress,
  rptest,
  "alloc-test": alloc_test,
  "glibc-thread": glibc_thread,
  ...Object.fromEntries(Object.entries(ACCESSES).map(([name, workload]) => [`access-${name}`, workload])),
};
