/** What happens to a sheaf of kfree_rcu'd objects after its grace period, and how a flush submits one early. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { CB } from "../../../../../src/shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { NodeBarn, SL_pfmemalloc, Slab, SlabSheaf, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { init_work, queue_work_on } from "../../../../../src/shared/linux/kernel/workqueue.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { flush_rcu_sheaf } from "../../../../../src/shared/linux/mm/kvfree_rcu/rcu_free_sheaf.ts";
import { barn_put_full_sheaf, max_full_sheaves } from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { get_barn, per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { alloc_empty_sheaf, refill_sheaf } from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const P = SlubPercpuSheaves.offset;
const B = NodeBarn.offset;
const { head: HEAD } = Thing.offset;
const { node: NODE } = SlabSheaf.offset;
type Cache = Ptr<"kmem_cache">;

function setup(cpus = 1, nodes = 1): { m: TestMachine; cpu: Cpu; s: Cache; barn: Ptr<"node_barn"> } {
  const m = new TestMachine({ cpus, nodes }, { tiny: 1, poison_free: 1 });
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "things", Thing.size);
  return { m, cpu, s, barn: get_barn(cpu, s) };
}
const alloc = (cpu: Cpu, s: Cache): ThingPtr => kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr;
/** Gives a full sheaf of four objects to RCU. */
function freeFour(cpu: Cpu, s: Cache, things = Array.from({ length: 4 }, () => alloc(cpu, s))): ThingPtr[] {
  for (const a of things) kfree_rcu(cpu, a, HEAD);
  return things;
}
const places = (m: TestMachine, things: readonly Ptr[]): string[] => [...new Set(things.map((a) => m.placeOf(a)))];

describe("rcu_free_sheaf", () => {
  test("puts the sheaf into the barn once the grace period is over, not before", () => {
    const { m, cpu, s, barn } = setup();
    const things = Array.from({ length: 4 }, () => alloc(cpu, s));
    rcu_read_lock(cpu);
    freeFour(cpu, s, things);
    const full = cpu.mem.read(barn, B.nr_full);
    for (let i = 0; i < 50; i++) m.tick();
    expect(places(m, things)).toEqual(["rcu_sheaf"]);
    rcu_read_unlock(cpu);
    m.run(20);
    expect(places(m, things)).toEqual(["sheaf"]);
    expect(cpu.mem.read(barn, B.nr_full)).toBe(full + 1);
    expect(m.stat(s, "BARN_PUT")).toBe(1);
    expect(m.count("rcu_sheaves_freed")).toBe(1);
  });

  test("runs the free hooks after the grace period: readers see the object as it was until then", () => {
    const { m, cpu, s } = setup();
    const a = alloc(cpu, s);
    cpu.mem.write(a, Thing.offset.value, 4711);
    kfree_rcu(cpu, a, HEAD);
    for (const b of [1, 2, 3].map(() => alloc(cpu, s))) kfree_rcu(cpu, b, HEAD);
    expect(cpu.mem.read(a, Thing.offset.value)).toBe(4711);
    m.run(20);
    expect(cpu.mem.read(a, Thing.offset.value)).toBe(0x6b6b6b6b);
  });

  test("flushes the sheaf when the barn has enough full ones, and keeps it as an empty one", () => {
    const { m, cpu, s, barn } = setup();
    while (cpu.mem.read(barn, B.nr_full) < max_full_sheaves(cpu)) {
      const sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL, 0);
      refill_sheaf(cpu, s, sheaf, GFP_KERNEL);
      barn_put_full_sheaf(cpu, barn, sheaf);
    }
    const things = freeFour(cpu, s);
    while (cpu.mem.read(barn, B.nr_full) < max_full_sheaves(cpu)) {
      const sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL, 0);
      refill_sheaf(cpu, s, sheaf, GFP_KERNEL);
      barn_put_full_sheaf(cpu, barn, sheaf);
    }
    const empty = cpu.mem.read(barn, B.nr_empty);
    m.run(20);
    expect(places(m, things)).toEqual(["freelist"]);
    expect(m.stat(s, "BARN_PUT_FAIL")).toBeGreaterThan(0);
    expect(cpu.mem.read(barn, B.nr_full)).toBe(max_full_sheaves(cpu));
    expect(cpu.mem.read(barn, B.nr_empty)).toBe(Math.min(empty + 1, 1));
  });

  test("does not let an object from memory reserves into the barn", () => {
    const { m, cpu, s, barn } = setup();
    const things = freeFour(cpu, s);
    cpu.mem.fetch_or(virt_to_slab(cpu, things[0]), Slab.offset.flags, SL_pfmemalloc);
    const full = cpu.mem.read(barn, B.nr_full);
    const freed = m.stat(s, "SHEAF_FREE");
    m.run(20);
    expect(places(m, things)).toEqual(["freelist"]);
    expect(cpu.mem.read(barn, B.nr_full)).toBe(full);
    expect(m.stat(s, "SHEAF_FREE")).toBe(freed + 1);
  });

  test("uses the barn of the node where the sheaf was filled, wherever it runs", () => {
    const { m, s } = setup(2, 2);
    const [, cpu1] = m.cpus;
    const barn1 = get_barn(cpu1, s);
    const full = cpu1.mem.read(barn1, B.nr_full);
    const things = freeFour(cpu1, s);
    m.run(30);
    expect(places(m, things)).toEqual(["sheaf"]);
    expect(cpu1.mem.read(barn1, B.nr_full)).toBe(full + 1);
  });

  test("of a node without a barn flushes and frees", () => {
    const { m, cpu, s } = setup();
    const things = Array.from({ length: 4 }, () => alloc(cpu, s));
    for (const a of things.slice(0, 3)) kfree_rcu(cpu, a, HEAD);
    const sheaf = cpu.mem.read(per_cpu_sheaves(cpu, s, 0), P.rcu_free);
    kfree_rcu(cpu, things[3], HEAD);
    cpu.mem.write(sheaf, NODE, 3);
    const freed = m.stat(s, "SHEAF_FREE");
    m.run(20);
    expect(places(m, things)).toEqual(["freelist"]);
    expect(m.stat(s, "SHEAF_FREE")).toBe(freed + 1);
  });
});

describe("flush_rcu_sheaf", () => {
  test("submits a sheaf that is not full; its objects go to their slabs, never into the barn", () => {
    const { m, cpu, s, barn } = setup();
    const a = alloc(cpu, s);
    kfree_rcu(cpu, a, HEAD);
    const pcs = per_cpu_sheaves(cpu, s, 0);
    const work = embedded(pcs, P.flush_work);
    const full = cpu.mem.read(barn, B.nr_full);
    init_work(cpu, work, CB.flush_rcu_sheaf);
    queue_work_on(cpu, 0, work);
    m.run(1);
    expect(cpu.mem.read(pcs, P.rcu_free)).toBe(NULL);
    m.run(20);
    expect(m.placeOf(a)).toBe("freelist");
    expect(cpu.mem.read(barn, B.nr_full)).toBe(full);
  });

  test("of another CPU's sheaf is a bug", () => {
    const { m, s } = setup(2);
    const [cpu0] = m.cpus;
    expect(() => flush_rcu_sheaf(cpu0, embedded(per_cpu_sheaves(cpu0, s, 1), P.flush_work))).toThrow(/another CPU/);
  });
});
