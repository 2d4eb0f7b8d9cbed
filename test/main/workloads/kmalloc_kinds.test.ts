/** kmalloc_kinds: what grows keeps its content, and nothing is lost, whichever kinds the machine has. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  grow,
  kmalloc_kinds_destroy,
  kmalloc_kinds_init,
  kmalloc_kinds_teardown,
  use_alias,
  use_buckets,
} from "../../../src/main/workloads/kmalloc_kinds.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { SlabGlobals } from "../../../src/shared/layout/slab.ts";
import { GrowingCpu, WorkloadCpu } from "../../../src/shared/layout/workloads.ts";
import { kvfree_rcu_barrier } from "../../../src/shared/linux/api.ts";
import { O_USER } from "../../../src/shared/mem/oracle.ts";
import { embedded, NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";
import { mark_slabs } from "./mark_slabs.ts";

const G = GrowingCpu.offset;

let m: TestMachine;
let cpu: Cpu;
const boot = (words = {}): void => {
  m = new TestMachine({ cpus: 1, bytes: 16 << 20 }, { poison_free: 1, ...words });
  [cpu] = m.cpus;
};
beforeEach(() => boot());
const growing = (): Ptr<"growing_cpu"> =>
  embedded(embedded(cpu.section, PerCpu.offset.workloads), WorkloadCpu.offset.growing);
const nrCaches = (): number => cpu.mem.peek(embedded(cpu.globals, Globals.offset.slab), SlabGlobals.offset.nr_caches);
const users = (): number => [...m.oracle.objectsIn(O_USER)].length;

describe.each([
  ["as it is", {}],
  ["with all kinds", { slab_buckets: 1, kmalloc_partitions: 2, slab_merge: 1, min_free_pages: 16 }],
])("%s", (_, words) => {
  test("nothing is lost", () => {
    boot(words);
    const caches = nrCaches();
    const rounds = (n: number): void => {
      kmalloc_kinds_init(cpu);
      for (let i = 0; i < n; i++) {
        grow(cpu);
        use_buckets(cpu);
        if (i % 50 === 0) use_alias(cpu);
      }
      kmalloc_kinds_teardown(cpu);
      kvfree_rcu_barrier(cpu);
      kmalloc_kinds_destroy(cpu);
    };
    rounds(200); // Sheaves of kmalloc caches stay theirs.
    const before = users();
    rounds(200);
    expect(users() - before).toBeLessThan(20); // Some more sheaves; not 400 objects.
    expect(nrCaches()).toBe(caches);
  });
});

test("content that krealloc() loses is noticed", () => {
  for (let i = 0; i < 5; i++) grow(cpu);
  while (cpu.mem.peek(growing(), G.object) === NULL) grow(cpu);
  cpu.mem.store_byte(cpu.mem.peek(growing(), G.object), 0);
  expect(() => {
    for (let i = 0; i < 20; i++) grow(cpu);
  }).toThrow(/byte 0 of an object that was resized/);
});
test("an ordinary object from emergency reserves is noticed", () => {
  kmalloc_kinds_init(cpu);
  const use = (): void => {
    for (let i = 0; i < 200; i++) use_buckets(cpu);
  };
  use(); // Sheaves have objects now, and nobody looks at their slabs again.
  mark_slabs(cpu);
  expect(use).toThrow(/an ordinary allocation got an object from emergency reserves/);
});
test("what is given back is gone", () => {
  while (cpu.mem.peek(growing(), G.object) === NULL) grow(cpu);
  const object = cpu.mem.peek(growing(), G.object);
  kmalloc_kinds_teardown(cpu);
  expect(m.placeOf(object)).not.toBe("user");
  expect(cpu.mem.peek(growing(), G.object)).toBe(NULL);
});
