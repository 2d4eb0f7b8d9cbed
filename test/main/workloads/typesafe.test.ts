/** typesafe: objects that are freed at once, and stay objects of their type for as long as readers may look. */
import { beforeEach, expect, test } from "vitest";
import {
  typesafe_ctor,
  typesafe_destroy,
  typesafe_init,
  typesafe_lookup,
  typesafe_peek,
  typesafe_remove,
  typesafe_replace,
  typesafe_shrink,
} from "../../../src/main/workloads/typesafe.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { cond_resched } from "../../../src/shared/cpu/sched.ts";
import { CB } from "../../../src/shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { Slab } from "../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../../src/shared/layout/slab_flags.ts";
import { NR_TYPESAFE, TypesafeObject, TypesafeTable, WorkloadGlobals } from "../../../src/shared/layout/workloads.ts";
import { kmem_cache_free, rcu_barrier, rcu_read_lock, rcu_read_unlock } from "../../../src/shared/linux/api.ts";
import { virt_to_slab } from "../../../src/shared/linux/mm/slub/slab.ts";
import { element, embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

const { magic, refcnt, key, again } = TypesafeObject.offset;

let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
let constructed = 0;
const boot = (words = {}): void => {
  m = new TestMachine({ cpus: 2 }, { poison_free: 1, ...words });
  [cpu, other] = m.cpus as [Cpu, Cpu];
  constructed = 0;
  bind_callback(CB.typesafe_ctor, (on, object) => {
    constructed++;
    typesafe_ctor(on, object);
  });
  typesafe_init(cpu, SLAB_NO_SHEAVES);
};
beforeEach(() => boot());
const at = (i: number): Ptr<"typesafe_object"> => {
  const table = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.typesafe);
  return cpu.mem.peek(table, element(TypesafeTable.offset.slots, i));
};
const replace = (i: number): boolean => typesafe_replace(cpu, i, GFP_KERNEL);

test("what is replaced is freed at once, and used again as it was constructed, once", () => {
  replace(1);
  const object = at(1);
  const made = constructed;
  replace(1);
  expect(m.placeOf(object)).toBe("freelist");
  expect([cpu.mem.peek(object, refcnt), cpu.mem.peek(object, magic)]).toEqual([0, 0x7e5afe]);
  replace(1); // By the one that is free.
  expect(at(1)).toBe(object);
  expect(constructed).toBe(made);
});
test("a lookup finds what is there; not what is free, or something else by now", () => {
  expect(typesafe_lookup(cpu, 3, 2)).toBe(false);
  replace(3);
  expect(typesafe_lookup(cpu, 3, 2)).toBe(true);
  cpu.mem.poke(at(3), key, 4);
  expect(typesafe_lookup(cpu, 3, 2)).toBe(false);
  cpu.mem.poke(at(3), key, 3);
  cpu.mem.poke(at(3), refcnt, 0);
  expect(typesafe_lookup(cpu, 3, 2)).toBe(false);
  cpu.mem.poke(at(3), refcnt, 1);
});
test("its slab is released after a grace period, and not before", () => {
  replace(1);
  const object = at(1);
  const table = embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.typesafe);
  rcu_read_lock(other);
  cpu.mem.poke(table, element(TypesafeTable.offset.slots, 1), NULL);
  cpu.mem.poke(object, refcnt, 0);
  kmem_cache_free(cpu, cpu.mem.peek(table, TypesafeTable.offset.cache), object);
  typesafe_shrink(cpu);
  for (let i = 0; i < 50; i++) {
    m.tick();
    cond_resched(cpu);
  }
  expect([m.placeOf(object), cpu.mem.peek(object, magic)]).toEqual(["freelist", 0x7e5afe]);
  rcu_read_unlock(other);
  rcu_barrier(cpu);
  expect(m.placeOf(object)).toBe("none");
});
test.each([
  ["another type", () => cpu.mem.poke(at(2), magic, 1), /another type/],
  ["a change under a reference", () => cpu.mem.poke(at(2), again, 1), /changed under a reference/],
  ["a put too many", () => cpu.mem.poke(at(2), refcnt, -1), /put of an object with 0 references/],
])("%s is noticed", (_, damage, message) => {
  replace(2);
  damage();
  expect(() => typesafe_lookup(cpu, 2, 1)).toThrow(message);
});
test("what is removed is not found", () => {
  replace(2);
  const object = at(2);
  typesafe_remove(cpu, 2);
  typesafe_remove(cpu, 2);
  expect([typesafe_lookup(cpu, 2, 1), m.placeOf(object)]).toEqual([false, "freelist"]);
});
test("a slab that goes under a reader is noticed", () => {
  replace(2);
  const slab = virt_to_slab(cpu, at(2));
  const s = cpu.mem.peek(slab, Slab.offset.slab_cache);
  cpu.mem.poke(slab, Slab.offset.slab_cache, NULL);
  expect(() => typesafe_peek(cpu, 2, 1)).toThrow(/its slab is gone/);
  cpu.mem.poke(slab, Slab.offset.slab_cache, s);
});
test("an allocation that was not left as constructed is noticed", () => {
  replace(2);
  const object = at(2);
  replace(2);
  cpu.mem.poke(object, refcnt, 5);
  expect(() => replace(2)).toThrow(/allocated with 5 references/);
});
test("interrupts look, and nothing is left at the end", () => {
  for (let i = 0; i < 100; i++) {
    replace(i % NR_TYPESAFE);
    m.nmi(cpu, () => typesafe_peek(cpu, i % NR_TYPESAFE, 2));
    m.irq(cpu, () => typesafe_lookup(cpu, (i * 3) % NR_TYPESAFE, 2));
    if (i % 30 === 0) typesafe_shrink(cpu);
  }
  typesafe_destroy(cpu); // A cache with objects cannot be destroyed.
  rcu_barrier(cpu);
  expect(at(0)).toBe(0);
});
