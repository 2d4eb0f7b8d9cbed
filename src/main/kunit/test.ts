/**
 * A KUnit test on a CPU: its expectations, its abort, its skip. include/kunit/test.h.
 *
 * A failed expectation is remembered, and the test goes on; a failed assertion ends it. What a broken machine does (bug())
 * is no matter of a test: it ends them all, and the host says which one it was.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { slab_kunit_begin, slab_kunit_end } from "../../shared/linux/mm/slub/debug_report.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";

/** How the tests are to be run. */
export interface KunitOptions {
  /** Of the tests under NMIs. */
  readonly rounds: number;
  readonly seed: number;
  /** NMIs that the CPU's own source raises with each tick while an event is enabled. */
  readonly nmisPerTick: number;
  /** Whether there are NMIs at all, from that source or from the controller. */
  readonly nmis: boolean;
}

export interface KunitCase {
  readonly name: string;
  readonly run: (test: KunitTest) => void;
}

/** Ends a test early: a failed assertion. */
class KunitAbort extends Error {}
/** Ends a test that cannot be run here. */
class KunitSkip extends Error {}

export class KunitTest {
  readonly cpu: Cpu;
  readonly options: KunitOptions;
  readonly failures: string[] = [];
  readonly infos: string[] = [];

  constructor(cpu: Cpu, options: KunitOptions) {
    this.cpu = cpu;
    this.options = options;
  }
}

export type CaseOutcome = { readonly state: "ok" | "failed" | "skipped"; readonly lines: readonly string[] };

/**
 * Runs a test to its end. What slub debugging finds meanwhile is counted only: slab_errors starts at 0.
 * @throws whatever else is thrown: the machine's own failure.
 */
export function run_case(test: KunitTest, run: KunitCase["run"]): CaseOutcome {
  slab_kunit_begin(test.cpu);
  try {
    run(test);
  } catch (error) {
    if (error instanceof KunitSkip) return { state: "skipped", lines: [error.message] };
    if (!(error instanceof KunitAbort)) throw error;
  } finally {
    slab_kunit_end(test.cpu);
  }
  return { state: test.failures.length === 0 ? "ok" : "failed", lines: [...test.failures, ...test.infos] };
}

export function KUNIT_EXPECT_EQ(test: KunitTest, actual: number, expected: number, what: string): void {
  if (actual !== expected) test.failures.push(`EXPECTATION FAILED: ${what} is ${actual}, not ${expected}`);
}
export function KUNIT_EXPECT_NE(test: KunitTest, actual: number, unexpected: number, what: string): void {
  if (actual === unexpected) test.failures.push(`EXPECTATION FAILED: ${what} is ${actual}`);
}
export function KUNIT_EXPECT_TRUE(test: KunitTest, condition: boolean, what: string): void {
  if (!condition) test.failures.push(`EXPECTATION FAILED: ${what}`);
}
/** Ends the test unless `condition` holds. */
export function KUNIT_ASSERT_TRUE(test: KunitTest, condition: boolean, what: string): void {
  if (condition) return;
  test.failures.push(`ASSERTION FAILED: ${what}`);
  throw new KunitAbort();
}
/** Ends the test if `p` is NULL. @returns p */
export function KUNIT_ASSERT_NOT_NULL<T extends string>(test: KunitTest, p: Ptr<T>, what: string): Ptr<T> {
  if (p !== NULL) return p;
  test.failures.push(`ASSERTION FAILED: ${what} is NULL`);
  throw new KunitAbort();
}
/** A line below the test's result. */
export function kunit_info(test: KunitTest, line: string): void {
  test.infos.push(line);
}
/** Ends the test: it cannot be run here. */
export function kunit_skip(_test: KunitTest, reason: string): never {
  throw new KunitSkip(reason);
}
