/** What slub debugging has found during a test: reports and repairs are counted while a test runs, and not printed. */
import { slab_errors, slab_kunit_begin } from "../../shared/linux/mm/slub/debug_report.ts";
import { validate_slab_cache } from "../../shared/linux/mm/slub/validate.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { KUNIT_EXPECT_EQ, type KunitTest } from "./test.ts";

/** Counts from 0 again. */
export function reset_errors(test: KunitTest): void {
  slab_kunit_begin(test.cpu);
}
export function expect_errors(test: KunitTest, expected: number, when: string): void {
  KUNIT_EXPECT_EQ(test, slab_errors(test.cpu), expected, `slab_errors ${when}`);
}
/** Validates the cache: that is to find so many errors, since the last reset. */
export function validate_and_expect(test: KunitTest, s: Ptr<"kmem_cache">, expected: number, when: string): void {
  validate_slab_cache(test.cpu, s);
  expect_errors(test, expected, when);
}
