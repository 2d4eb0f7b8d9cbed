/** The suite slub_test: its tests, in their order. Those that are only here come last. */
import { bucket_cases } from "./buckets.ts";
import { corruption_cases, leak_cases } from "./corruption.ts";
import { kfree_rcu_cases } from "./kfree_rcu.ts";
import { krealloc_cases } from "./krealloc.ts";
import { nolock_cases } from "./nolock.ts";
import type { KunitCase } from "./test.ts";
import { user_cases } from "./users.ts";

export const SUITE = "slub_test";
export const CASES: readonly KunitCase[] = [
  ...corruption_cases,
  ...kfree_rcu_cases,
  ...leak_cases,
  ...krealloc_cases,
  ...nolock_cases,
  ...bucket_cases,
  ...user_cases,
];
