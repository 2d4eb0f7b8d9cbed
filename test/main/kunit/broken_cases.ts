/** The entry of a CPU's thread that runs a suite of tests which end in every way there is. */
import { bug } from "../../../src/shared/cpu/bug.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { kfree, kmalloc } from "../../../src/shared/linux/api.ts";
import { NULL } from "../../../src/shared/mem/struct.ts";
import type { KunitCpuTask } from "../../../src/main/kunit/cpu_thread.ts";
import { programOf } from "../../../src/main/kunit/program.ts";
import { KunitResults } from "../../../src/main/kunit/results.ts";
import {
  KUNIT_ASSERT_NOT_NULL,
  KUNIT_EXPECT_EQ,
  KUNIT_EXPECT_NE,
  KUNIT_EXPECT_TRUE,
  kunit_info,
  kunit_skip,
  type KunitCase,
} from "../../../src/main/kunit/test.ts";
import { type CpuOutcome, type CpuTask, runCpu } from "../../../src/workers/cpu.ts";

/** So long a thread stands still that gets no processor: it takes no step, and no interrupt. */
const STALL_MS = 3000;

const SUITE: readonly KunitCase[] = [
  {
    name: "good",
    run: (test) => {
      kfree(test.cpu, kmalloc(test.cpu, 16, GFP_KERNEL));
      kunit_info(test, "seen");
    },
  },
  {
    name: "expects",
    run: (test) => {
      KUNIT_EXPECT_EQ(test, 1, 1, "one");
      KUNIT_EXPECT_EQ(test, 1, 2, "one");
      KUNIT_EXPECT_NE(test, 3, 3, "three");
      KUNIT_EXPECT_NE(test, 3, 4, "three");
      KUNIT_EXPECT_TRUE(test, false, "false is true");
      KUNIT_EXPECT_TRUE(test, true, "true is true");
    },
  },
  {
    name: "asserts",
    run: (test) => {
      KUNIT_ASSERT_NOT_NULL(test, NULL, "NULL");
      KUNIT_EXPECT_TRUE(test, false, "never said");
    },
  },
  { name: "skips", run: (test) => kunit_skip(test, "not here") },
  { name: "breaks", run: ({ cpu }) => bug(cpu, "broken by a test") },
  {
    name: "stalls",
    run: ({ cpu }) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
      cpu.mem.relax();
    },
  },
  { name: "leaks", run: ({ cpu }) => void kmalloc(cpu, 32, GFP_KERNEL) },
];

export default function cpuThread({ work, results, ...task }: CpuTask & KunitCpuTask): CpuOutcome {
  return runCpu(task, programOf(SUITE, work, new KunitResults(results)));
}
