/** KFENCE under the explorer: its pool from two CPUs, an NMI on any step, and the end of a cache meanwhile. */
import { expect, test } from "vitest";
import { get, type Operation, set } from "../../../../../src/main/explore/scenario.ts";
import { bug } from "../../../../../src/shared/cpu/bug.ts";
import { CpuSlot } from "../../../../../src/shared/layout/cpu.ts";
import { HOOK_KFENCE } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { Slab } from "../../../../../src/shared/layout/slab.ts";
import { Spinlock } from "../../../../../src/shared/layout/types.ts";
import { kfence_shutdown_cache } from "../../../../../src/shared/linux/mm/debug/kfence.ts";
import { is_kfence_address, kfence_slab, kfence_state } from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { embedded, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { books, exploreMmWith } from "../explore_mm.ts";

const { sample: SAMPLE, num_objects: NUM_OBJECTS, freelist_lock: FREELIST_LOCK } = KfenceState.offset;
const { slot: SLOT } = PerCpu.offset;
const { warnings: WARNINGS } = CpuSlot.offset;
/** Scenario words. */
const OBJECT = 1;
const FOUND_HELD = 10;

const explore = exploreMmWith({ hooks: HOOK_KFENCE });
/** Every allocation comes from the pool, as long as there are objects. */
const always: Operation = (cpu) => cpu.mem.poke(kfence_state(cpu), SAMPLE, 1);
const alloc_and_free: Operation = (cpu) => {
  const object = kmalloc(cpu, 64, GFP_ATOMIC);
  if (!is_kfence_address(cpu, object)) bug(cpu, "not from the pool");
  kfree(cpu, object);
};

test("two CPUs take from the pool and give to it", () => {
  const run = explore(
    { name: "pool", setup: always, cpus: [[alloc_and_free], [alloc_and_free]], check: books },
    { random: 50, bound: 2, exhaustive: 20_000 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("an NMI on every step, the lock held or not", () => {
  let found_held = 0;
  const run = explore(
    {
      name: "nmi",
      setup: always,
      cpus: [[alloc_and_free], [alloc_and_free]],
      nmi: (cpu) => {
        const lock = embedded(kfence_state(cpu), FREELIST_LOCK);
        if (cpu.mem.read_once(lock, Spinlock.offset.val) !== 0) set(cpu, FOUND_HELD, 1);
        kfree_nolock(cpu, kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE));
      },
      check: (cpu) => {
        if (get(cpu, FOUND_HELD) !== 0) found_held++;
        return books(cpu);
      },
    },
    { random: 30, bound: 0 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 0 });
  expect(found_held).toBeGreaterThan(0);
});

test("one object freed on two CPUs at once: one of the frees is reported, always", () => {
  const free: Operation = (cpu) => kfree(cpu, get(cpu, OBJECT) as Ptr);
  let executions = 0;
  const run = explore(
    {
      name: "double free",
      setup: (cpu) => {
        always(cpu);
        set(cpu, OBJECT, kmalloc(cpu, 64, GFP_KERNEL));
        cpu.mem.poke(kfence_state(cpu), SAMPLE, 1 << 30);
      },
      cpus: [[free], [free]],
      check: (cpu) => {
        executions++;
        const warnings = [0, 1].map((id) => cpu.mem.peek(embedded(cpu.map.section(id), SLOT), WARNINGS));
        return warnings[0] + warnings[1] === 1 ? undefined : `${warnings.join(" and ")} warnings`;
      },
      globals: { panic_on_warn: 0 },
    },
    { random: 50, bound: 2 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
  expect(executions).toBeGreaterThan(100);
});

test("a cache goes away while its freed page becomes an object of another cache", () => {
  const run = explore(
    {
      name: "shutdown",
      setup: (cpu) => {
        always(cpu);
        const s = kmem_cache_create(cpu, "things", 64);
        set(cpu, OBJECT, s);
        // All pages of the pool have been in use, by this cache.
        const objects: Ptr[] = [];
        for (let left = cpu.mem.peek(kfence_state(cpu), NUM_OBJECTS); left > 0; left--) {
          objects.push(kmem_cache_alloc(cpu, s, GFP_KERNEL));
        }
        for (const object of objects) kmem_cache_free(cpu, s, object);
      },
      cpus: [
        [(cpu) => kfence_shutdown_cache(cpu, get(cpu, OBJECT) as Ptr<"kmem_cache">)],
        [
          (cpu) => {
            const object = kmalloc(cpu, 64, GFP_ATOMIC);
            set(cpu, OBJECT + 1, object);
          },
        ],
      ],
      check: (cpu) => {
        const object = get(cpu, OBJECT + 1) as Ptr;
        const s = cpu.mem.peek(kfence_slab(cpu, object), Slab.offset.slab_cache);
        return s === get(cpu, OBJECT) || s === 0 ? "the object has lost its cache" : undefined;
      },
    },
    { random: 50, bound: 2 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
});
