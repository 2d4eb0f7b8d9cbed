/** prefill: what its users hold is theirs, and all of it goes back. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  bulk,
  offer_nolock,
  prefill_destroy,
  prefill_init,
  prefill_irq,
  prefill_nmi,
  prefill_teardown,
  shrink_prefill_cache,
  use_sheaf,
} from "../../../src/main/workloads/prefill.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_ATOMIC, GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { SlabGlobals, SlabSheaf } from "../../../src/shared/layout/slab.ts";
import { PrefillCpu, PrefillGlobals, WorkloadCpu, WorkloadGlobals } from "../../../src/shared/layout/workloads.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/api.ts";
import { slabs_of_cache } from "../../../src/shared/linux/mm/slub/check.ts";
import { check_quiescent_cache } from "../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { index_to_obj } from "../../../src/shared/linux/mm/slub/slab.ts";
import { O_PREFILLED, O_USER } from "../../../src/shared/mem/oracle.ts";
import { embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";
import { mark_slabs } from "./mark_slabs.ts";

const P = PrefillCpu.offset;

let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
const boot = (words = {}): void => {
  m = new TestMachine({ cpus: 2, bytes: 16 << 20 }, { poison_free: 1, ...words });
  [cpu, other] = m.cpus as [Cpu, Cpu];
  prefill_init(cpu);
};
beforeEach(() => boot());
const held = (on: Cpu): Ptr<"prefill_cpu"> =>
  embedded(embedded(on.section, PerCpu.offset.workloads), WorkloadCpu.offset.prefill);
const cache = (): Ptr<"kmem_cache"> =>
  cpu.mem.peek(
    embedded(embedded(cpu.globals, Globals.offset.workloads), WorkloadGlobals.offset.prefill),
    PrefillGlobals.offset.cache,
  );
const nrCaches = (): number => cpu.mem.peek(embedded(cpu.globals, Globals.offset.slab), SlabGlobals.offset.nr_caches);

describe.each([
  ["as it is", {}],
  ["tiny, merged, with a reserve", { tiny: 1, slab_merge: 1, min_free_pages: 16 }],
])("%s", (_, words) => {
  test("nothing is lost, whoever frees what", () => {
    boot(words);
    const before = nrCaches();
    for (let i = 0; i < 400; i++) {
      const on = m.cpus[i % 2];
      use_sheaf(on);
      if (i % 3 === 0) bulk(on);
      if (i % 150 === 0) shrink_prefill_cache(on);
      offer_nolock(on, GFP_KERNEL);
      m.irq(on, () => prefill_irq(on, GFP_ATOMIC));
      m.nmi(on, () => prefill_nmi(on));
    }
    for (const on of m.cpus) prefill_teardown(on);
    expect([...m.oracle.objectsIn(O_PREFILLED)]).toEqual([]);
    kvfree_rcu_barrier(cpu);
    prefill_destroy(cpu);
    expect(nrCaches()).toBe("slab_merge" in words ? before : before - 1); // Merged, it was none.
  });
});

test("a sheaf is held from one operation to the next, and counts for its promise", () => {
  use_sheaf(cpu);
  const sheaf = cpu.mem.peek(held(cpu), P.sheaf);
  expect(sheaf).not.toBe(NULL);
  expect(cpu.mem.peek(held(cpu), P.promised)).toBeGreaterThan(0);
  expect([...m.oracle.objectsIn(O_PREFILLED)]).toHaveLength(cpu.mem.peek(sheaf, SlabSheaf.offset.size));
  expect(cpu.mem.peek(held(other), P.sheaf)).toBe(NULL);
  prefill_teardown(cpu);
  expect(check_quiescent_cache(cpu, cache(), 0, true)).toEqual([]);
});
test("what a task holds goes with it to another CPU", () => {
  use_sheaf(cpu);
  expect(cpu.mem.peek(held(cpu), P.sheaf)).not.toBe(NULL);
  cpu.become(other.id);
  prefill_teardown(cpu);
  expect([...m.oracle.objectsIn(O_PREFILLED)]).toEqual([]);
});
test("a broken promise is noticed", () => {
  use_sheaf(cpu);
  cpu.mem.poke(held(cpu), P.promised, 1000);
  expect(() => {
    for (let i = 0; i < 20; i++) use_sheaf(cpu);
  }).toThrow(/a sheaf that has promised \d+ objects has/);
});
test("an object from emergency reserves is not for an IRQ", () => {
  const allocate = (): void => m.irq(cpu, () => prefill_irq(cpu, GFP_ATOMIC));
  allocate(); // Fills a sheaf.
  mark_slabs(cpu);
  expect(allocate).toThrow(/an ordinary allocation got an object from emergency reserves/);
});
test("an object that somebody has changed is noticed by whoever frees it", () => {
  for (let i = 0; i < 30; i++) m.irq(cpu, () => prefill_irq(cpu, GFP_ATOMIC));
  const inUse = new Set(m.oracle.objectsIn(O_USER));
  for (const slab of slabs_of_cache(cpu, cache())) {
    for (let i = 0; i < 42; i++) {
      const object = index_to_obj(cpu, cache(), slab, i);
      if (inUse.has(object)) cpu.mem.store_word(object + 92, 0); // Its last word.
    }
  }
  expect(() => {
    for (let i = 0; i < 200; i++) bulk(cpu);
  }).toThrow(/changed under its holder/);
});
