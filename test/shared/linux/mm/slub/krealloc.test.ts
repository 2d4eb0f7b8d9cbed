/** krealloc(): spec slub 11.1 (test_krealloc_redzone_zeroing). */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { __GFP_THISNODE, __GFP_ZERO, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { SLAB_KMALLOC, SLAB_RED_ZONE, SLAB_STORE_USER } from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import {
  kfree,
  kmalloc,
  kmalloc_node,
  kmem_cache_alloc,
  ksize,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kmemdup, krealloc, krealloc_node_align } from "../../../../../src/shared/linux/mm/slub/krealloc.ts";
import { set_orig_size } from "../../../../../src/shared/linux/mm/slub/orig_size.ts";
import { kmalloc_size_roundup, ZERO_SIZE_PTR } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { slab_nid, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slot_of } from "../../../../../src/shared/linux/mm/slub/slot.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { exhaustPages } from "./sheaf_state.ts";

type Obj = Ptr<"object">;

let m: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  m = new TestMachine({ cpus: 2, nodes: 2 });
  [cpu] = m.cpus;
});
const bytes = (p: Obj, from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => cpu.mem.load_byte(p + from + i));
const all = (value: number, from: number, to: number): number[] => Array.from({ length: to - from }, () => value);
/** 1, 2, 3, ... */
const numbered = (size: number, gfp = GFP_KERNEL): Obj => {
  const p = kmalloc(cpu, size, gfp);
  for (let i = 0; i < size; i++) cpu.mem.store_byte(p + i, (i + 1) & 0xff);
  return p;
};
const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => (i + 1) & 0xff);

describe("krealloc()", () => {
  test("what fits stays where it is", () => {
    const p = numbered(40);
    for (const size of [64, 1, 40]) expect(krealloc(cpu, p, size, GFP_KERNEL)).toBe(p);
    expect(bytes(p, 0, 40)).toEqual(numbers(40));
  });
  test("what does not is moved, whole", () => {
    const p = numbered(63);
    const q = krealloc(cpu, p, 1000, GFP_KERNEL);
    expect(q).not.toBe(p);
    expect(ksize(cpu, q)).toBe(1024);
    expect(bytes(q, 0, 63)).toEqual(numbers(63));
    expect(m.placeOf(p)).toBe("sheaf");
    const r = krealloc(cpu, q, 20_000, GFP_KERNEL); // Now a large one.
    expect(ksize(cpu, r)).toBe(32768);
    expect(bytes(r, 0, 63)).toEqual(numbers(63));
    expect(krealloc(cpu, r, 30_000, GFP_KERNEL)).toBe(r);
    const s = krealloc(cpu, r, 40_000, GFP_KERNEL);
    expect(bytes(s, 0, 63)).toEqual(numbers(63));
    kfree(cpu, s);
  });
  test("from nothing it is kmalloc(), to nothing kfree()", () => {
    const p = krealloc(cpu, NULL, 40, GFP_KERNEL);
    expect(m.placeOf(p)).toBe("user");
    expect(krealloc(cpu, p, 0, GFP_KERNEL)).toBe(ZERO_SIZE_PTR);
    expect(m.placeOf(p)).toBe("sheaf");
    expect(m.placeOf(krealloc(cpu, ZERO_SIZE_PTR, 40, GFP_KERNEL))).toBe("user");
  });
  test("without memory the old object stays", () => {
    const p = numbered(64);
    exhaustPages(cpu);
    expect(krealloc(cpu, p, 20_000, GFP_KERNEL)).toBe(NULL);
    expect([m.placeOf(p), ...bytes(p, 0, 64)]).toEqual(["user", ...numbers(64)]);
  });
  test("with __GFP_ZERO nothing is seen that was not written", () => {
    let p = numbered(60, GFP_KERNEL | __GFP_ZERO);
    p = krealloc(cpu, p, 10, GFP_KERNEL | __GFP_ZERO);
    p = krealloc(cpu, p, 64, GFP_KERNEL | __GFP_ZERO);
    expect(bytes(p, 0, 64)).toEqual([...numbers(10), ...all(0, 10, 64)]);
    p = krealloc(cpu, p, 200, GFP_KERNEL | __GFP_ZERO);
    expect(bytes(p, 0, 200)).toEqual([...numbers(10), ...all(0, 10, 200)]);
  });
  test("moves what is not aligned, or on another node than asked for", () => {
    const odd = Array.from({ length: 4 }, () => numbered(192)).find((p) => p % 128 !== 0) ?? NULL;
    const q = krealloc_node_align(cpu, odd, 128, 128, GFP_KERNEL, NUMA_NO_NODE);
    expect([q % 128, ...bytes(q, 0, 128)]).toEqual([0, ...numbers(128)]);
    expect(krealloc_node_align(cpu, q, 100, 64, GFP_KERNEL, NUMA_NO_NODE)).toBe(q);
    const p = kmalloc_node(cpu, 64, GFP_KERNEL, 0);
    expect(krealloc_node_align(cpu, p, 64, 1, GFP_KERNEL, 1)).toBe(p); // Only a preference.
    const moved = krealloc_node_align(cpu, p, 64, 1, GFP_KERNEL | __GFP_THISNODE, 1);
    expect(slab_nid(cpu, virt_to_slab(cpu, moved))).toBe(1);
    expect(m.placeOf(p)).toBe("sheaf");
  });
  test("knows the size asked for where it is kept, and renews the red zone behind it", () => {
    const s = kmem_cache_create(cpu, "test", 64, { flags: SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE });
    const gfp = GFP_KERNEL | __GFP_ZERO;
    const p = kmem_cache_alloc(cpu, s, gfp);
    set_orig_size(cpu, slot_of(cpu, s), p, 48);
    cpu.mem.fill(p, 48, 0x55);
    expect(krealloc(cpu, p, 40, gfp)).toBe(p);
    expect(bytes(p, 40, 64)).toEqual(all(0xcc, 40, 64));
    expect(krealloc(cpu, p, 56, gfp)).toBe(p);
    expect(bytes(p, 0, 64)).toEqual([...all(0x55, 0, 40), ...all(0, 40, 56), ...all(0xcc, 56, 64)]);
    const q = krealloc(cpu, p, 112, gfp);
    expect(q).not.toBe(p);
    expect(bytes(q, 0, 112)).toEqual([...all(0x55, 0, 40), ...all(0, 40, 112)]);
  });
});

test("kmemdup() copies", () => {
  const copy = kmemdup(cpu, numbered(27), 27, GFP_KERNEL);
  expect(bytes(copy, 0, 27)).toEqual(numbers(27));
  exhaustPages(cpu);
  expect(kmemdup(cpu, copy, 20_000, GFP_KERNEL)).toBe(NULL);
});

test.each([
  [0, 0],
  [1, 8],
  [65, 96],
  [8192, 8192],
  [8193, 16384],
  [1 << 22, 1 << 22],
  [(1 << 22) + 1, (1 << 22) + 1],
])("kmalloc_size_roundup(%i) is %i", (size, rounded) => {
  expect(kmalloc_size_roundup(size)).toBe(rounded);
});
