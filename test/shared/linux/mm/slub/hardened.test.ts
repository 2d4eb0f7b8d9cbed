/** Encoded links (hardened): every cache has a secret, and a link that was written over stops who takes it off a freelist. */
import { expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KmemCache, SlabGlobals } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_alloc, kmem_cache_create, kmem_cache_free } from "../../../../../src/shared/linux/api.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

const secretOf = (cpu: Cpu, s: Ptr<"kmem_cache">): number => cpu.mem.peek(s, KmemCache.offset.random);

test.each([
  ["with the word each cache has a secret of its own, from boot on", 1, false],
  ["without it none has", 0, true],
])("%s", (_, hardened, none) => {
  const [cpu] = new TestMachine({}, { hardened }).cpus;
  const boot = cpu.mem.peek(embedded(cpu.globals, Globals.offset.slab), SlabGlobals.offset.kmem_cache);
  const caches = [boot, kmalloc_slab(cpu, 64, GFP_KERNEL), kmem_cache_create(cpu, "test", 64, {})];
  const secrets = caches.map((s) => secretOf(cpu, s));
  expect(secrets.map((secret) => secret === 0)).toEqual(caches.map(() => none));
  expect(new Set(secrets).size).toBe(none ? 1 : caches.length);
});

/** An object that is free in a slab, and not the last one there. */
function oneFree(flags: number): { cpu: Cpu; s: Ptr<"kmem_cache">; object: Ptr<"object"> } {
  const [cpu] = new TestMachine({}, { hardened: 1 }).cpus;
  const s = kmem_cache_create(cpu, "test", 64, { flags });
  const object = ___slab_alloc(cpu, s, GFP_KERNEL, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT);
  __slab_free(cpu, s, virt_to_slab(cpu, object), object, object, 1);
  return { cpu, s, object };
}
test.each([
  ["one object is taken", SLAB_NO_SHEAVES],
  ["a sheaf is refilled", 0],
])("a link that was written over after the free is found when %s", (_, flags) => {
  const { cpu, s, object } = oneFree(flags);
  expect(check_slab_cache(cpu, s)).toEqual([]);
  cpu.mem.store_word(object + cpu.mem.peek(s, KmemCache.offset.offset), object);
  expect(() => kmem_cache_alloc(cpu, s, GFP_KERNEL)).toThrow(/written after its free/);
});
test.each([SLAB_NO_SHEAVES, 0])("a link that nobody wrote to is good (flags %i)", (flags) => {
  const { cpu, s } = oneFree(flags);
  const objects = Array.from({ length: 3 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
  expect(objects).not.toContain(NULL);
  for (const each of objects) kmem_cache_free(cpu, s, each);
  expect(check_slab_cache(cpu, s)).toEqual([]);
});
