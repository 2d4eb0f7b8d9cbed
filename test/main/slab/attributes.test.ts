/** Files under /sys/kernel/slab: what is read, and how it is printed. */
import { beforeEach, describe, expect, test } from "vitest";
import { ATTRIBUTE_NAMES, readAttribute, valueJson, valueText } from "../../../src/main/slab/attributes.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { CB } from "../../../src/shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { STAT, STAT_NAMES } from "../../../src/shared/layout/slab_stat.ts";
import {
  SLAB_HWCACHE_ALIGN,
  SLAB_NO_SHEAVES,
  SLAB_RECLAIM_ACCOUNT,
  SLAB_SKIP_KFENCE,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../src/shared/layout/slab_flags.ts";
import { SYSFS_WRITABLE } from "../../../src/shared/layout/sysfs.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create, type KmemCacheArgs } from "../../../src/shared/linux/mm/slub/cache.ts";
import { take_census } from "../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../src/shared/linux/mm/slub/kmalloc.ts";
import { stat } from "../../../src/shared/linux/mm/slub/stat.ts";
import type { Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine, Thing } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let machine: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  machine = new TestMachine({ cpus: 3, nodes: 2 });
  [cpu] = machine.cpus;
});

const create = (size: number, args: KmemCacheArgs = {}): Ptr<"kmem_cache"> =>
  kmem_cache_create(cpu, "things", size, args);
const text = (s: Ptr<"kmem_cache">, name: string): string => valueText(readAttribute(cpu, s, name));

test("all files there are, and those that can be written among them", () => {
  for (const name of STAT_NAMES) expect(ATTRIBUTE_NAMES).toContain(name.toLowerCase());
  for (const name of SYSFS_WRITABLE) expect(ATTRIBUTE_NAMES).toContain(name);
  expect(ATTRIBUTE_NAMES).toEqual([...ATTRIBUTE_NAMES].toSorted());
  const s = create(64);
  for (const name of ATTRIBUTE_NAMES) expect(text(s, name)).toMatch(/^(\d+( [NC]\d+=\d+)*|0\(0\)|)$/);
});

describe("what a cache is", () => {
  test("sizes and shapes", () => {
    const s = create(100, { align: 32, sheaf_capacity: 100 });
    const names = ["object_size", "slab_size", "objs_per_slab", "order", "align", "sheaf_capacity", "min_partial"];
    expect(names.map((name) => text(s, name))).toEqual(["100", "128", "32", "0", "32", "100", "5"]);
  });
  test("what there is no more", () => {
    const s = create(64);
    expect(["cpu_partial", "cpu_slabs", "slabs_cpu_partial"].map((name) => text(s, name))).toEqual(["0", "0", "0(0)"]);
  });
  test.each([
    ["hwcache_align", SLAB_HWCACHE_ALIGN],
    ["reclaim_account", SLAB_RECLAIM_ACCOUNT],
    ["destroy_by_rcu", SLAB_TYPESAFE_BY_RCU],
    ["skip_kfence", SLAB_SKIP_KFENCE],
  ])("%s is a flag", (name, flags) => {
    expect(text(create(64), name)).toBe("0");
    expect(text(create(64, { flags }), name)).toBe("1");
  });
  test("its constructor, if it has one", () => {
    bind_callback(CB.heap_construct, () => undefined);
    expect(text(create(64), "ctor")).toBe("");
    expect(text(create(64, { ctor: CB.heap_construct }), "ctor")).toBe("heap_construct");
  });
  test("settings as they are kept: remote_node_defrag_ratio in percent", () => {
    expect(text(create(64), "remote_node_defrag_ratio")).toBe("100");
    expect(text(create(64), "failslab")).toBe("0");
  });
  test("files to be written are empty", () => {
    const s = create(64);
    expect([text(s, "validate"), text(s, "shrink")]).toEqual(["", ""]);
    expect(valueJson(readAttribute(cpu, s, "shrink"))).toBeNull();
  });
});

test("slabs and objects, by node", () => {
  const s = create(1000, { flags: SLAB_NO_SHEAVES });
  // Slabs hold 16: 20 objects on node 0, 3 on node 1.
  const objects = Array.from({ length: 20 }, () => kmem_cache_alloc(machine.cpus[0], s, GFP_KERNEL));
  for (let i = 0; i < 3; i++) kmem_cache_alloc(machine.cpus[1], s, GFP_KERNEL);
  kmem_cache_free(cpu, s, objects[0]);
  const names = ["slabs", "partial", "total_objects", "objects", "objects_partial"];
  expect(names.map((name) => text(s, name))).toEqual([
    "3 N0=2 N1=1",
    "3 N0=2 N1=1",
    "48 N0=32 N1=16",
    "22 N0=19 N1=3",
    "22 N0=19 N1=3",
  ]);
  expect(valueJson(readAttribute(cpu, s, "slabs"))).toEqual({ total: 3, nodes: { 0: 2, 1: 1 } });
});
test("at rest statistics add up: objects in use, and sheaves that are alive", () => {
  const s = create(Thing.size);
  const count = (name: string): number => Number(text(s, name).split(" ")[0]);
  const things = Array.from({ length: 200 }, (_, i) => kmem_cache_alloc(machine.cpus[i % 3], s, GFP_KERNEL));
  for (const [i, thing] of things.slice(30).entries()) {
    const on = machine.cpus[(i * 7) % 3];
    if (i % 4 === 0) kfree_rcu(on, thing as Ptr as Ptr<"thing">, Thing.offset.rcu);
    else kmem_cache_free(on, s, thing);
  }
  kvfree_rcu_barrier(cpu);
  const allocated = count("alloc_fastpath") + count("alloc_slowpath");
  const freed = count("free_fastpath") + count("free_slowpath") + count("free_rcu_sheaf");
  expect(allocated - freed).toBe(30);
  expect(count("free_rcu_sheaf")).toBeGreaterThan(0);
  expect(count("sheaf_alloc") - count("sheaf_free")).toBe(take_census(cpu, s).sheaves.size);
});
test("statistics, by CPU that is up", () => {
  const s = create(64);
  expect(text(s, "barn_get")).toBe("0");
  stat(machine.cpus[0], s, STAT.BARN_GET, 5);
  stat(machine.cpus[2], s, STAT.BARN_GET, 7);
  expect(text(s, "barn_get")).toBe("12 C0=5 C2=7");
  expect(text(s, "barn_put")).toBe("0");
  expect(valueJson(readAttribute(cpu, s, "barn_get"))).toEqual({ total: 12, cpus: { 0: 5, 2: 7 } });
  machine.set("online", 0b011);
  expect(text(s, "barn_get")).toBe("5 C0=5");
});
