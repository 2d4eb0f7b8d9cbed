/** kmalloc() and its kin: what they return, and where they may be called (spec slub 3.1, 3.7, 4.1). */
import { beforeEach, describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { local_irq_disable, local_irq_enable } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { __GFP_ZERO, GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT } from "../../../../../src/shared/layout/gfp.ts";
import { Page, PGTY_large_kmalloc } from "../../../../../src/shared/layout/page.ts";
import { SLAB_RED_ZONE, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { virt_to_head_page } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import {
  kfree,
  kmalloc,
  kmalloc_node,
  kmem_cache_alloc,
  kmem_cache_alloc_node,
  kmem_cache_free,
  kmem_cache_zalloc,
  ksize,
  kzalloc,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { KMALLOC_SIZES, kmalloc_slab, ZERO_SIZE_PTR } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { slab_nid, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { counted, exhaustPages, problems } from "./sheaf_state.ts";

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;

beforeEach(() => {
  m = new TestMachine();
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
});
const bytes = (object: Ptr, n: number): Set<number> =>
  new Set(Array.from({ length: n }, (_, i) => cpu.mem.load_byte(object + i)));

test("every bucket gives objects of its size, aligned, apart from each other", () => {
  for (const size of KMALLOC_SIZES.slice(1)) {
    const objects = Array.from({ length: 20 }, () => kmalloc(cpu, size, GFP_KERNEL));
    for (const object of objects) {
      expect(object % Math.min(size & -size, PAGE_SIZE)).toBe(0);
      expect(ksize(cpu, object)).toBe(size);
    }
    const sorted = objects.toSorted((a, b) => a - b);
    for (let i = 1; i < 20; i++) expect(sorted[i] - sorted[i - 1]).toBeGreaterThanOrEqual(size);
    for (const object of objects) kfree(cpu, object);
    expect(problems(cpu, kmalloc_slab(cpu, size, GFP_KERNEL))).toEqual([]);
  }
});
test("zeroed memory is zeroed, whatever was there", () => {
  const dirty = [kmalloc(cpu, 100, GFP_KERNEL), kmem_cache_alloc(cpu, s, GFP_KERNEL)];
  for (const object of dirty) cpu.mem.fill(object, 100, 0xee);
  kfree(cpu, dirty[0]);
  kfree(cpu, dirty[1]);
  expect(bytes(kzalloc(cpu, 100, GFP_KERNEL), 128)).toEqual(new Set([0]));
  expect(bytes(kmem_cache_zalloc(cpu, s, GFP_KERNEL), 128)).toEqual(new Set([0]));
  const large = kmalloc(cpu, 10_000, GFP_KERNEL);
  cpu.mem.fill(large, 12_288, 0xee);
  kfree(cpu, large);
  expect(bytes(kmalloc(cpu, 10_000, GFP_KERNEL | __GFP_ZERO), 12_288)).toEqual(new Set([0]));
});
test("0 bytes are no object, and not NULL", () => {
  expect(kmalloc(cpu, 0, GFP_KERNEL)).toBe(ZERO_SIZE_PTR);
  expect(ksize(cpu, ZERO_SIZE_PTR)).toBe(0);
  expect(ksize(cpu, NULL)).toBe(0);
  kfree(cpu, ZERO_SIZE_PTR);
  kfree(cpu, NULL);
});
test("ksize() of other caches: what is left of the slot, or up to what the allocator needs", () => {
  const typesafe = kmem_cache_create(cpu, "typesafe", 100, { flags: SLAB_TYPESAFE_BY_RCU });
  const debug = kmem_cache_create(cpu, "debug", 100, { flags: SLAB_RED_ZONE });
  const plain = kmem_cache_create(cpu, "plain", 100);
  const sizes = [typesafe, debug, plain].map((cache) => ksize(cpu, kmem_cache_alloc(cpu, cache, GFP_KERNEL)));
  expect(sizes).toEqual([104, 100, 104]);
});
test("kmalloc_node() and kmem_cache_alloc_node() prefer the node", () => {
  m = new TestMachine({ cpus: 2, nodes: 2 });
  [cpu] = m.cpus;
  const cache = kmem_cache_create(cpu, "nodes", 128);
  for (const node of [1, 0]) {
    for (const object of [
      kmalloc_node(cpu, 64, GFP_KERNEL, node),
      kmem_cache_alloc_node(cpu, cache, GFP_KERNEL, node),
    ]) {
      expect(slab_nid(cpu, virt_to_slab(cpu, object))).toBe(node);
    }
  }
});
test("without memory: NULL", () => {
  exhaustPages(cpu);
  let n = 0;
  while (kmalloc(cpu, 4096, GFP_KERNEL) !== NULL) n++;
  expect(n).toBeLessThan(100);
  expect(kmalloc(cpu, 10_000, GFP_KERNEL)).toBe(NULL);
});
test("a failed trylock costs only time", () => {
  m.set("spurious", -1);
  const stats = counted(cpu, s, () => kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL)));
  m.set("spurious", 0);
  expect(stats).toMatchObject({ ALLOC_SLOWPATH: 1, FREE_SLOWPATH: 1 });
  expect(problems(cpu, s)).toEqual([]);
});

describe("large kmalloc", () => {
  test("gets pages of its own, and gives them back", () => {
    const free = nr_free_pages(cpu);
    const object = kmalloc(cpu, 8193, GFP_KERNEL);
    expect(cpu.mem.peek(virt_to_head_page(cpu, object), Page.offset.type)).toBe(PGTY_large_kmalloc);
    expect(virt_to_slab(cpu, object)).toBe(NULL);
    expect(ksize(cpu, object)).toBe(16_384);
    expect(m.placeOf(object)).toBe("user");
    expect(nr_free_pages(cpu)).toBe(free - 4);
    kfree(cpu, object);
    expect(nr_free_pages(cpu)).toBe(free);
  });
  test("more than the largest block: NULL", () => {
    expect(kmalloc(cpu, (4096 << 10) + 1, GFP_KERNEL)).toBe(NULL);
  });
  test("freed twice, or not by its start: reported, and it leaks", () => {
    const object = kmalloc(cpu, 10_000, GFP_KERNEL);
    expect(() => kfree(cpu, (object + 4096) as Ptr)).toThrow(/neither/);
    expect(() => ksize(cpu, (object + 4096) as Ptr)).toThrow(/neither/);
    m.set("panic_on_warn", 0);
    const free = nr_free_pages(cpu);
    kfree(cpu, (object + 4096) as Ptr);
    expect(nr_free_pages(cpu)).toBe(free);
    kfree(cpu, object);
    expect(nr_free_pages(cpu)).toBe(free + 4);
    m.set("panic_on_warn", 1);
    expect(() => kfree(cpu, object)).toThrow(MachineBug);
  });
});

describe("wrong frees", () => {
  test("an object of another cache is reported and leaks", () => {
    const foreign = kmalloc(cpu, 64, GFP_KERNEL);
    expect(() => kmem_cache_free(cpu, s, foreign)).toThrow(/not from that cache/);
    m.set("panic_on_warn", 0);
    kmem_cache_free(cpu, s, foreign);
    expect(m.placeOf(foreign)).toBe("user");
    const large = kmalloc(cpu, 10_000, GFP_KERNEL);
    kmem_cache_free(cpu, s, large);
    expect(m.placeOf(large)).toBe("user");
  });
  test("twice is caught at the second free, wherever the object is by then", () => {
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    kmem_cache_free(cpu, s, object);
    expect(() => kmem_cache_free(cpu, s, object)).toThrow(MachineBug);
    const other = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    m.set("spurious", -1);
    kfree(cpu, other);
    expect(() => kfree(cpu, other)).toThrow(MachineBug);
  });
});

describe("contexts", () => {
  const blocking = [
    () => kmalloc(cpu, 64, GFP_KERNEL),
    () => kmalloc(cpu, 10_000, GFP_KERNEL),
    () => kmem_cache_alloc(cpu, s, GFP_KERNEL),
  ];
  const others = [
    () => kmalloc(cpu, 64, GFP_ATOMIC),
    () => kmalloc(cpu, 10_000, GFP_NOWAIT),
    () => kmem_cache_alloc(cpu, s, GFP_NOWAIT),
    () => kfree(cpu, kmalloc(cpu, 64, GFP_NOWAIT)),
    () => kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_NOWAIT)),
  ];
  test("tasks may do all", () => {
    for (const call of [...blocking, ...others]) call();
  });
  test("with IRQs off, and in a device interrupt, nothing may block", () => {
    local_irq_disable(cpu);
    for (const call of blocking) expect(call).toThrow(/sleeps in atomic context/);
    for (const call of others) call();
    local_irq_enable(cpu);
    m.irq(cpu, () => {
      for (const call of blocking) expect(call).toThrow(/sleeps in atomic context/);
      for (const call of others) call();
    });
  });
  test("in NMI none of it is allowed", () => {
    const [object, other, large] = [
      kmalloc(cpu, 64, GFP_KERNEL),
      kmem_cache_alloc(cpu, s, GFP_KERNEL),
      kmalloc(cpu, 9000, GFP_KERNEL),
    ];
    m.nmi(cpu, () => {
      for (const call of [...blocking, ...others]) expect(call).toThrow(/NMI/);
      expect(() => kfree(cpu, object)).toThrow(/NMI/);
      expect(() => kfree(cpu, large)).toThrow(/NMI/);
      expect(() => kmem_cache_free(cpu, s, other)).toThrow(/NMI/);
    });
  });
});
