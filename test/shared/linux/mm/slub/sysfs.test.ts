/** Writing to files under /sys/kernel/slab: each file's effect and errors, and that one CPU serves a request. */
import { beforeEach, describe, expect, test } from "vitest";
import { postWrite, takeResult } from "../../../../../src/main/slab/write.ts";
import { Explorer } from "../../../../../src/main/explore/explore.ts";
import { get, set } from "../../../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import { STAT } from "../../../../../src/shared/layout/slab_stat.ts";
import { SLAB_FAILSLAB, SLAB_RED_ZONE, SLAB_SKIP_KFENCE } from "../../../../../src/shared/layout/slab_flags.ts";
import { SYSFS_WRITABLE } from "../../../../../src/shared/layout/sysfs.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { take_census } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { slab_errors, slab_kunit_begin } from "../../../../../src/shared/linux/mm/slub/debug_report.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { stat_sum } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { serve_sysfs_write } from "../../../../../src/shared/linux/mm/slub/sysfs.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

const K = KmemCache.offset;
const [EINVAL, ERANGE, ENOENT] = [-22, -34, -2];

let machine: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;
beforeEach(() => {
  machine = new TestMachine({ cpus: 2 });
  [cpu] = machine.cpus;
  s = kmem_cache_create(cpu, "things", 64);
});

/** Writes, as the host does, and lets CPU 1 serve it. */
function write(file: string, text: string, cache = "things"): number | undefined {
  expect(SYSFS_WRITABLE).toContain(file);
  postWrite(cpu, cache, file, text);
  expect(takeResult(cpu)).toBeUndefined();
  serve_sysfs_write(machine.cpus[1]);
  return takeResult(cpu);
}

describe("a file is written", () => {
  test("min_partial: any number", () => {
    expect(write("min_partial", "17\n")).toBe(0);
    expect(cpu.mem.peek(s, K.min_partial)).toBe(17);
    expect([write("min_partial", "x"), write("min_partial", "5000000000")]).toEqual([EINVAL, ERANGE]);
    expect(cpu.mem.peek(s, K.min_partial)).toBe(17);
  });
  test("cpu_partial: 0 only", () => {
    expect(["0", "1", "x", "5000000000"].map((text) => write("cpu_partial", text))).toEqual([
      0,
      EINVAL,
      EINVAL,
      ERANGE,
    ]);
  });
  test("skip_kfence: 0 or 1", () => {
    const flag = (): number => cpu.mem.peek(s, K.flags) & SLAB_SKIP_KFENCE;
    expect(write("skip_kfence", "1")).toBe(0);
    expect(flag()).toBe(SLAB_SKIP_KFENCE);
    expect(write("skip_kfence", "2")).toBe(EINVAL);
    expect(flag()).toBe(SLAB_SKIP_KFENCE);
    expect(write("skip_kfence", "0")).toBe(0);
    expect(flag()).toBe(0);
  });
  test("failslab: 1 or anything else, but not of merged caches", () => {
    const flag = (): number => cpu.mem.peek(s, K.flags) & SLAB_FAILSLAB;
    expect(write("failslab", "1")).toBe(0);
    expect(flag()).toBe(SLAB_FAILSLAB);
    expect(write("failslab", "no")).toBe(0);
    expect(flag()).toBe(0);
    cpu.mem.poke(s, K.refcount, 2);
    expect(write("failslab", "1")).toBe(EINVAL);
    expect(flag()).toBe(0);
  });
  test("remote_node_defrag_ratio: 0 to 100, kept times 10", () => {
    expect(write("remote_node_defrag_ratio", "37")).toBe(0);
    expect(cpu.mem.peek(s, K.remote_node_defrag_ratio)).toBe(370);
    expect(["101", "-1", "5000000000"].map((text) => write("remote_node_defrag_ratio", text))).toEqual([
      ERANGE,
      EINVAL,
      ERANGE,
    ]);
    expect(cpu.mem.peek(s, K.remote_node_defrag_ratio)).toBe(370);
  });
  test("shrink: 1 gives back what nobody uses", () => {
    kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
    expect(take_census(cpu, s).slabs.size).toBe(1);
    expect([write("shrink", "0"), write("shrink", "")]).toEqual([EINVAL, EINVAL]);
    expect(take_census(cpu, s).slabs.size).toBe(1);
    expect(write("shrink", "1")).toBe(0);
    expect(take_census(cpu, s).slabs.size).toBe(0);
  });
  test("validate: not of a cache without debugging", () => {
    expect([write("validate", "1"), write("validate", "0")]).toEqual([EINVAL, EINVAL]);
  });
  test("validate: 1 has the objects of a debugged cache checked", () => {
    const debugged = kmem_cache_create(cpu, "debugged", 64, { flags: SLAB_RED_ZONE });
    const object = kmem_cache_alloc(cpu, debugged, GFP_KERNEL);
    expect([write("validate", "1", "debugged"), write("validate", "0", "debugged")]).toEqual([0, EINVAL]);
    slab_kunit_begin(cpu); // Reports are counted, and stop nothing.
    cpu.mem.store_byte(object + 64, 0x12);
    expect([write("validate", "0", "debugged"), slab_errors(cpu)]).toEqual([EINVAL, 0]);
    expect([write("validate", "1", "debugged"), slab_errors(cpu)]).toEqual([0, 2]);
  });
  test("a statistic: 0 clears it, on CPUs that are up, and no other", () => {
    for (const each of machine.cpus) kmem_cache_free(each, s, kmem_cache_alloc(each, s, GFP_KERNEL));
    expect(stat_sum(cpu, s, STAT.ALLOC_SLOWPATH)).toBe(0);
    const refills = stat_sum(cpu, s, STAT.SHEAF_REFILL);
    expect(stat_sum(cpu, s, STAT.FREE_FASTPATH)).toBe(2);
    expect(write("free_fastpath", "1")).toBe(EINVAL);
    expect(stat_sum(cpu, s, STAT.FREE_FASTPATH)).toBe(2);
    machine.set("online", 1);
    expect(write("free_fastpath", "0 and more")).toBe(0);
    expect(stat_sum(cpu, s, STAT.FREE_FASTPATH)).toBe(1);
    expect(stat_sum(cpu, s, STAT.SHEAF_REFILL)).toBe(refills);
  });
});

test("a cache that is not there: -ENOENT", () => {
  expect(write("min_partial", "1", "nothing")).toBe(ENOENT);
  kmem_cache_destroy(cpu, s);
  expect(write("min_partial", "1")).toBe(ENOENT);
});
test("an alias is a name of its cache", () => {
  machine = new TestMachine({ cpus: 2 }, { slab_merge: 1 });
  [cpu] = machine.cpus;
  s = kmem_cache_create(cpu, "things", 64);
  expect(kmem_cache_create(cpu, "others", 64)).toBe(s);
  expect(write("min_partial", "9", "others")).toBe(0);
  expect(cpu.mem.peek(s, K.min_partial)).toBe(9);
});
test("without a request there is nothing to serve, and a second one waits for the first", () => {
  serve_sysfs_write(cpu);
  expect(takeResult(cpu)).toBeUndefined();
  postWrite(cpu, "things", "min_partial", "1");
  expect(() => postWrite(cpu, "things", "min_partial", "2")).toThrow(/being written already/);
});

test("explored: a shrink against a free and an allocation", () => {
  const CACHE = 0;
  const OBJECT = 1;
  const cache = (on: Cpu): Ptr<"kmem_cache"> => get(on, CACHE) as Ptr<"kmem_cache">;
  const free = (on: Cpu): void => kmem_cache_free(on, cache(on), get(on, OBJECT) as Ptr);
  const alloc = (on: Cpu): void => set(on, OBJECT, kmem_cache_alloc(on, cache(on), GFP_KERNEL));
  const run = new Explorer({
    name: "sysfs",
    globals: { tiny: 1 },
    oracle: true,
    setup: (on) => {
      set(on, CACHE, kmem_cache_create(on, "things", 128));
      alloc(on);
      postWrite(on, "things", "shrink", "1");
    },
    cpus: [[serve_sysfs_write], [free, alloc]],
    final: free,
    check: (on) => (takeResult(on) === 0 ? take_census(on, cache(on)).problems[0] : "not served"),
  }).explore({ bound: 1, random: 40, exhaustive: 3_000 });
  expect(run.failure).toBeUndefined();
});
