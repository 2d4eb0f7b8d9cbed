/** __kfree_rcu_sheaf(): where the rcu_free sheaf comes from, when it is submitted and how, step by step of slub 5.3. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { oracle_grace_period_begin } from "../../../../../src/shared/cpu/oracle.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { SlabSheaf, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_FREE_DEFAULT, SLAB_FREE_NOLOCK, SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { __kfree_rcu_sheaf, kfree_rcu_sheaf } from "../../../../../src/shared/linux/mm/kvfree_rcu/kfree_rcu_sheaf.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { barn_get_empty_sheaf, barn_put_empty_sheaf } from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { get_barn, per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { alloc_empty_sheaf } from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const P = SlubPercpuSheaves.offset;
const { size: SIZE, node: NODE } = SlabSheaf.offset;
type Cache = Ptr<"kmem_cache">;

/** A cache whose sheaves hold 4 objects. */
function setup(flags = 0, cpus = 1): { m: TestMachine; cpu: Cpu; s: Cache; pcs: Ptr<"slub_percpu_sheaves"> } {
  const m = new TestMachine({ cpus }, { tiny: 1 });
  const [cpu] = m.cpus;
  const s = kmem_cache_create(cpu, "things", Thing.size, { flags });
  return { m, cpu, s, pcs: per_cpu_sheaves(cpu, s, 0) };
}
const alloc = (cpu: Cpu, s: Cache): ThingPtr => alloc_for_nolock(cpu, s) as Ptr as ThingPtr;
const rcu_free = (cpu: Cpu, pcs: Ptr<"slub_percpu_sheaves">): Ptr<"slab_sheaf"> => cpu.mem.read(pcs, P.rcu_free);
function free(cpu: Cpu, s: Cache, object: Ptr, flags = SLAB_FREE_DEFAULT): boolean {
  oracle_grace_period_begin(cpu, object); // As kfree_rcu() does.
  return __kfree_rcu_sheaf(cpu, s, object, flags);
}
const free_nolock = (cpu: Cpu, s: Cache, object: Ptr): boolean => free(cpu, s, object, SLAB_FREE_NOLOCK);
/** No empty sheaf stays in the barn. */
function drain_barn(cpu: Cpu, s: Cache): void {
  while (barn_get_empty_sheaf(cpu, get_barn(cpu, s), true) !== NULL);
}

describe("the rcu_free sheaf", () => {
  test("is the empty spare, if there is one", () => {
    const { cpu, s, pcs } = setup();
    const a = alloc(cpu, s);
    const spare = alloc_empty_sheaf(cpu, s, GFP_KERNEL, 0);
    cpu.mem.write(pcs, P.spare, spare);
    expect(free(cpu, s, a)).toBe(true);
    expect(rcu_free(cpu, pcs)).toBe(spare);
    expect(cpu.mem.read(pcs, P.spare)).toBe(NULL);
  });

  test("is an empty one of the barn, else", () => {
    const { cpu, s, pcs } = setup();
    const a = alloc(cpu, s);
    cpu.mem.write(pcs, P.spare, NULL);
    drain_barn(cpu, s);
    const empty = alloc_empty_sheaf(cpu, s, GFP_KERNEL, 0);
    barn_put_empty_sheaf(cpu, get_barn(cpu, s), empty);
    expect(free(cpu, s, a)).toBe(true);
    expect(rcu_free(cpu, pcs)).toBe(empty);
  });

  test("is a new one, at last", () => {
    const { m, cpu, s, pcs } = setup();
    const a = alloc(cpu, s);
    cpu.mem.write(pcs, P.spare, NULL);
    drain_barn(cpu, s);
    const before = m.stat(s, "SHEAF_ALLOC");
    expect(free(cpu, s, a)).toBe(true);
    expect(m.stat(s, "SHEAF_ALLOC")).toBe(before + 1);
    expect(cpu.mem.read(rcu_free(cpu, pcs), SIZE)).toBe(1);
    expect(m.placeOf(a)).toBe("rcu_sheaf");
  });

  test("of somebody else, installed while the lock was dropped, is used, and the new one freed", () => {
    const { m, cpu, s, pcs } = setup();
    const [a, b] = [alloc(cpu, s), alloc(cpu, s)];
    cpu.mem.write(pcs, P.spare, NULL);
    drain_barn(cpu, s);
    let theirs: Ptr<"slab_sheaf"> = NULL;
    m.nmiAt(cpu, POINT.pcs_unlocked_window, () => {
      expect(free_nolock(cpu, s, b)).toBe(true);
      theirs = rcu_free(cpu, pcs);
    });
    const freed = m.stat(s, "SHEAF_FREE");
    expect(free(cpu, s, a)).toBe(true);
    expect(theirs).not.toBe(NULL);
    expect(rcu_free(cpu, pcs)).toBe(theirs);
    expect(cpu.mem.read(theirs, SIZE)).toBe(2);
    expect(m.stat(s, "SHEAF_FREE")).toBe(freed + 1);
  });

  test("does not exist in a cache without sheaves", () => {
    const { m, cpu, s, pcs } = setup(SLAB_NO_SHEAVES);
    const a = alloc(cpu, s);
    expect(free(cpu, s, a)).toBe(false);
    expect(m.placeOf(a)).toBe("user");
    expect(m.stat(s, "FREE_RCU_SHEAF_FAIL")).toBe(1);
    expect(cpu.mem.read(embedded(pcs, P.lock), SlubPercpuSheaves.offset.lock as never)).toBe(0);
  });
});

describe("a full sheaf", () => {
  test("is submitted by the free that fills it, with its node, and rcu_free is NULL", () => {
    const { m, cpu, s, pcs } = setup();
    const things = Array.from({ length: 4 }, () => alloc(cpu, s));
    for (const a of things.slice(0, 3)) free(cpu, s, a);
    const sheaf = rcu_free(cpu, pcs);
    expect(cpu.mem.read(sheaf, SIZE)).toBe(3);
    expect(m.count("rcu_sheaves_called")).toBe(0);
    free(cpu, s, things[3]);
    expect(rcu_free(cpu, pcs)).toBe(NULL);
    expect(cpu.mem.read(sheaf, NODE)).toBe(0);
    expect(m.count("rcu_sheaves_called")).toBe(1);
    expect(m.stat(s, "FREE_RCU_SHEAF")).toBe(4);
    m.run(20);
    expect(things.map((a) => m.placeOf(a))).toEqual(["sheaf", "sheaf", "sheaf", "sheaf"]);
  });

  test("is submitted while the sheaf lock is held: a free that interrupts there finds it taken", () => {
    const { m, cpu, s } = setup();
    const things = Array.from({ length: 5 }, () => alloc(cpu, s));
    for (const a of things.slice(0, 3)) free(cpu, s, a);
    let inner: boolean | undefined;
    m.nmiAt(cpu, POINT.rcu_free_detached, () => {
      inner = free_nolock(cpu, s, things[4]);
    });
    free(cpu, s, things[3]);
    expect(inner).toBe(false);
    expect(m.stat(s, "FREE_RCU_SHEAF_FAIL")).toBe(1);
  });

  test.each([
    ["nolock in NMI", "nmi", true],
    ["nolock with IRQs off", "off", true],
    ["nolock with IRQs on", "on", false],
  ])("%s", (_, context, deferred) => {
    const { m, cpu, s } = setup();
    const things = Array.from({ length: 4 }, () => alloc(cpu, s));
    for (const a of things.slice(0, 3)) free_nolock(cpu, s, a);
    const last = (): void => {
      expect(free_nolock(cpu, s, things[3])).toBe(true);
      expect(m.count("rcu_sheaves_deferred")).toBe(deferred ? 1 : 0);
      expect(m.count("rcu_sheaves_called")).toBe(deferred ? 0 : 1);
    };
    if (context === "nmi") m.nmi(cpu, last);
    else if (context === "off") {
      const flags = local_irq_save(cpu);
      last();
      local_irq_restore(cpu, flags);
    } else last();
    cpu.mem.poll(0); // The self-IPI comes here at the latest.
    expect(m.count("deferred_rcu_sheaves")).toBe(deferred ? 1 : 0);
    m.run(20);
    expect(things.map((a) => m.placeOf(a))).toEqual(["sheaf", "sheaf", "sheaf", "sheaf"]);
  });

  test("an ordinary free submits directly even with IRQs off", () => {
    const { m, cpu, s } = setup();
    const things = Array.from({ length: 4 }, () => alloc(cpu, s));
    const flags = local_irq_save(cpu);
    for (const a of things) free(cpu, s, a);
    local_irq_restore(cpu, flags);
    expect(m.count("rcu_sheaves_called")).toBe(1);
    expect(m.count("rcu_sheaves_deferred")).toBe(0);
  });
});

test("on top of the holder of the sheaf lock it fails and changes nothing", () => {
  const { m, cpu, s, pcs } = setup();
  const a = alloc(cpu, s);
  local_lock(cpu, embedded(pcs, P.lock));
  m.nmi(cpu, () => expect(free_nolock(cpu, s, a)).toBe(false));
  m.irq(cpu, () => expect(free(cpu, s, a)).toBe(false));
  local_unlock(cpu, embedded(pcs, P.lock));
  expect(m.placeOf(a)).toBe("user");
  expect(rcu_free(cpu, pcs)).toBe(NULL);
  expect(m.stat(s, "FREE_RCU_SHEAF_FAIL")).toBe(2);
});

test("kfree_rcu_sheaf leaves what is no slab object, or not of this node, to the caller", () => {
  const m = new TestMachine({ cpus: 2, nodes: 2 });
  const [cpu0, cpu1] = m.cpus;
  expect(kfree_rcu_sheaf(cpu0, kmalloc(cpu0, 20_000, GFP_KERNEL))).toBe(false);
  const remote = kmalloc(cpu1, Thing.size, GFP_KERNEL);
  expect(kfree_rcu_sheaf(cpu0, remote)).toBe(false);
  expect(kfree_rcu_sheaf(cpu1, remote)).toBe(true);
});
