/** All benches, in the order in which they run. */
import { access } from "./access.ts";
import { barrier } from "./barrier.ts";
import type { Bench } from "./bench.ts";
import { curves } from "./curves.ts";
import { goals } from "./goals.ts";
import { grace_period } from "./grace_period.ts";
import { instrumented } from "./instrumented.ts";
import { kfree_rcu } from "./kfree_rcu.ts";
import { kmalloc } from "./kmalloc.ts";
import { kmem_cache } from "./kmem_cache.ts";
import { mimalloc_bench } from "./mimalloc_bench.ts";
import { nmi } from "./nmi.ts";
import { producer_consumer } from "./producer_consumer.ts";
import { readers } from "./readers.ts";
import { scaling } from "./scaling.ts";
import { shared_heap } from "./shared_heap.ts";

export const BENCHES: readonly Bench[] = [
  kmem_cache,
  kmalloc,
  shared_heap,
  producer_consumer,
  instrumented,
  scaling,
  kfree_rcu,
  readers,
  grace_period,
  barrier,
  nmi,
  ...mimalloc_bench,
  access,
  curves,
];
/** A choice of the others, not run with them. */
export const SUMMARIES: readonly Bench[] = [goals];
