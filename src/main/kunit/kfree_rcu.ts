/**
 * test_kfree_rcu and test_kfree_rcu_wq_destroy: a cache is destroyed while kfree_rcu() still has an object of it.
 *
 * @kernel lib/tests/slub_kunit.c
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { HZ } from "../../shared/base/limits.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { SLAB_NO_MERGE } from "../../shared/layout/slab_flags.ts";
import { RcuHead } from "../../shared/layout/types.ts";
import { kfree_rcu, kmem_cache_alloc, kmem_cache_destroy } from "../../shared/linux/api.ts";
import { schedule_timeout } from "../../shared/linux/kernel/timer.ts";
import { struct, type Ptr } from "../../shared/mem/struct.ts";
import { test_kmem_cache_create } from "./cache.ts";
import { queue_destroy, wait_for_destroy } from "./destroyer.ts";
import { expect_errors } from "./errors.ts";
import { KUNIT_ASSERT_NOT_NULL, KUNIT_EXPECT_EQ, type KunitCase, type KunitTest } from "./test.ts";

const TestKfreeRcuStruct = struct("test_kfree_rcu_struct", { rcu: RcuHead });
const { rcu: RCU } = TestKfreeRcuStruct.offset;

const ROUNDS = 10;
const MAX_DELAY_MS = 256;

/** A cache with an object that kfree_rcu() has got. */
function cache_with_freed_object(test: KunitTest, name: string): Ptr<"kmem_cache"> {
  const s = test_kmem_cache_create(test, name, TestKfreeRcuStruct.size, SLAB_NO_MERGE);
  const p = KUNIT_ASSERT_NOT_NULL(test, kmem_cache_alloc(test.cpu, s, GFP_KERNEL), "the object");
  kfree_rcu(test.cpu, p as Ptr as Ptr<"test_kfree_rcu_struct">, RCU);
  return s;
}

function test_kfree_rcu(test: KunitTest): void {
  const s = cache_with_freed_object(test, "TestSlub_kfree_rcu");
  KUNIT_EXPECT_EQ(test, kmem_cache_destroy(test.cpu, s), 0, "kmem_cache_destroy()");
  expect_errors(test, 0, "after the destruction");
}

/** Differs: a task of another CPU destroys the cache, not a work item, which may not sleep here. */
function test_kfree_rcu_wq_destroy(test: KunitTest): void {
  for (let round = 0; round < ROUNDS; round++) {
    const s = cache_with_freed_object(test, "TestSlub_kfree_rcu_wq");
    msleep(test.cpu, random_below(test.cpu, MAX_DELAY_MS));
    queue_destroy(test.cpu, s);
    KUNIT_EXPECT_EQ(test, wait_for_destroy(test.cpu), 0, `kmem_cache_destroy() in round ${round}`);
  }
  expect_errors(test, 0, "after all rounds");
}
function msleep(cpu: Cpu, ms: number): void {
  schedule_timeout(cpu, Math.ceil((ms * HZ) / 1000));
}

export const kfree_rcu_cases: readonly KunitCase[] = [
  { name: "test_kfree_rcu", run: test_kfree_rcu },
  { name: "test_kfree_rcu_wq_destroy", run: test_kfree_rcu_wq_destroy },
];
