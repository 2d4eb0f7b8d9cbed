/** From an inner address to the start of the object. */
import { expect, test } from "vitest";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { SLAB_RED_ZONE } from "../../../../../src/shared/layout/slab_flags.ts";
import { kvmalloc_obj_start_addr } from "../../../../../src/shared/linux/mm/kvfree_rcu/object_start.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./machine.ts";

const at = (object: Ptr, offset: number): Ptr => (object + offset) as Ptr;

test.each([8, 64, 96, 192, 256, 1024, 4096, 8192])(
  "of every object of %i bytes, from its first to its last word",
  (size) => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    for (let i = 0; i < 20; i++) {
      const object = kmalloc(cpu, size, GFP_KERNEL);
      for (const offset of [0, 8 * Math.floor(size / 16), size - 8]) {
        expect(kvmalloc_obj_start_addr(cpu, at(object, offset))).toBe(object);
      }
    }
  },
);

test("with a red zone before the object", () => {
  const m = new TestMachine();
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "debug", 64, { flags: SLAB_RED_ZONE });
  for (let i = 0; i < 5; i++) {
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(kvmalloc_obj_start_addr(cpu, at(object, 40))).toBe(object);
  }
});

test("of a large kmalloc, from any address in its first page", () => {
  const m = new TestMachine();
  const [cpu] = m.cpus;
  const object = kmalloc(cpu, 20_000, GFP_KERNEL);
  expect(kvmalloc_obj_start_addr(cpu, object)).toBe(object);
  expect(kvmalloc_obj_start_addr(cpu, at(object, 4088))).toBe(object);
});
