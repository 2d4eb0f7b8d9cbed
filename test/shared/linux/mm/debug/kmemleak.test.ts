/** kmemleak: what it knows after each path, what it says of blocks that it does not know, and what its scan finds. */
import { describe, expect, test } from "vitest";
import { logRecords } from "../../../../../src/main/report/dmesg.ts";
import { irqs_disabled, local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_KFENCE, HOOK_KMEMLEAK, KmemleakObject, KmemleakState } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals, KB_KMEMLEAK_UNKNOWN } from "../../../../../src/shared/layout/globals.ts";
import { SLAB_NO_SHEAVES, SLAB_NOLEAKTRACE } from "../../../../../src/shared/layout/slab_flags.ts";
import { debug_check } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { is_kfence_address, kfence_state } from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import {
  kmemleak_alloc,
  kmemleak_ignore,
  kmemleak_no_scan,
  kmemleak_not_leak,
  kmemleak_state,
} from "../../../../../src/shared/linux/mm/debug/kmemleak.ts";
import { kmemleak_objects, kmemleak_scan } from "../../../../../src/shared/linux/mm/debug/kmemleak_scan.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { element, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { pointer: POINTER } = KmemleakObject.offset;
const { scenario: WORDS } = Globals.offset;
const on = (words: ConstructorParameters<typeof TestMachine>[1] = {}): { m: TestMachine; cpu: Cpu } => {
  // So small that the digits in a cache's name are no address.
  const m = new TestMachine({ bytes: 2 << 20 }, { hooks: HOOK_KMEMLEAK, ...words });
  return { m, cpu: m.cpus[0] };
};
const known = (cpu: Cpu, object: Ptr): boolean =>
  [...kmemleak_objects(cpu, kmemleak_state(cpu))].some((record) => cpu.mem.peek(record, POINTER) === object);
const unknowns = (cpu: Cpu): number => cpu.mem.peek(kmemleak_state(cpu), KmemleakState.offset.nr_unknown);
const leaks = (cpu: Cpu, min_age = 0): Ptr[] => kmemleak_scan(cpu, min_age).map(({ pointer }) => pointer);
const cache = (cpu: Cpu): Ptr<"kmem_cache"> => cpu.mem.peek(cpu.globals, element(WORDS, 1)) as Ptr<"kmem_cache">;
const root = (cpu: Cpu, object: number): void => cpu.mem.poke(cpu.globals, element(WORDS, 0), object);
const block = (cpu: Cpu, bytes = 64): Ptr => kmalloc(cpu, bytes, GFP_KERNEL);
const nolock = (cpu: Cpu): ThingPtr => kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE) as Ptr as ThingPtr;

describe("what it knows", () => {
  test.each([64, 20_000])("kmalloc(%i) makes a block known, kfree() unknown", (bytes) => {
    const { cpu } = on();
    const object = block(cpu, bytes);
    expect(known(cpu, object)).toBe(true);
    kfree(cpu, object);
    expect(known(cpu, object)).toBe(false);
    expect(unknowns(cpu)).toBe(0);
  });
  test("kmalloc_nolock() and kfree_nolock() do not call it", () => {
    const { cpu } = on();
    const object = nolock(cpu);
    expect(known(cpu, object)).toBe(false);
    kfree_nolock(cpu, object);
    expect(unknowns(cpu)).toBe(0);
  });
  test("a cache without leak traces is left out", () => {
    const { cpu } = on();
    const s = kmem_cache_create(cpu, "untraced", 64, { flags: SLAB_NOLEAKTRACE });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(known(cpu, object)).toBe(false);
    kfree(cpu, object);
    expect(unknowns(cpu)).toBe(0);
  });
  test("an object in an rcu sheaf is known until its grace period is over", () => {
    const { cpu } = on();
    const object = block(cpu) as ThingPtr;
    kfree_rcu(cpu, object, Thing.offset.head);
    expect(known(cpu, object)).toBe(true);
    kvfree_rcu_barrier(cpu);
    expect(known(cpu, object)).toBe(false);
  });
  test("a block that was freed behind its back is noticed when its memory is given out again", () => {
    const { cpu } = on();
    const object = block(cpu);
    expect(() => kmemleak_alloc(cpu, object, 64, 1)).toThrow(/cannot insert 0x[0-9a-f]+: it is known/);
  });
  test("off, it costs nothing and knows nothing", () => {
    const { cpu } = on({ hooks: 0 });
    expect(kmemleak_state(cpu)).toBe(0);
    kmemleak_ignore(cpu, block(cpu));
    kmemleak_no_scan(cpu, block(cpu));
    expect(leaks(cpu)).toEqual([]);
  });
  test("in NMI nothing of it may be called: its lock is waited for", () => {
    const { m, cpu } = on();
    const object = block(cpu);
    m.nmi(cpu, () => {
      expect(() => kmemleak_ignore(cpu, object)).toThrow(/spins in NMI: kmemleak/);
    });
  });
  test("its lock is held with IRQs off, which are afterwards as they were before", () => {
    const { m, cpu } = on();
    const object = block(cpu);
    m.irq(cpu, () => kfree(cpu, object)); // lockdep would complain if an interrupt could meet a holder.
    kfree(cpu, block(cpu));
    const flags = local_irq_save(cpu);
    const other = kmalloc(cpu, 64, GFP_ATOMIC);
    expect(irqs_disabled(cpu)).toBe(true);
    kfree(cpu, other);
    expect(irqs_disabled(cpu)).toBe(true);
    local_irq_restore(cpu, flags);
    kfree(cpu, block(cpu));
    expect(irqs_disabled(cpu)).toBe(false);
  });
  test("out of records it switches itself off, for good", () => {
    const { cpu } = on();
    const state = kmemleak_state(cpu);
    const last = cpu.mem.peek(state, KmemleakState.offset.free);
    cpu.mem.poke(last, KmemleakObject.offset.next, 0 as Ptr<"kmemleak_object">);
    const object = block(cpu);
    expect(known(cpu, object)).toBe(true);
    expect(known(cpu, block(cpu))).toBe(false);
    kfree(cpu, object);
    expect(known(cpu, object)).toBe(true);
    expect(leaks(cpu)).toEqual([]);
    expect(unknowns(cpu)).toBe(0);
    expect(debug_check(cpu, take_account(cpu).censuses)).toEqual([]);
    block(cpu); // It says so once.
    expect(logRecords(cpu.mem, cpu.map).map(({ text }) => text)).toEqual(["kmemleak: out of records; it is off now"]);
  });
});

describe("blocks that it does not know", () => {
  test("kfree() and kfree_rcu() of what kmalloc_nolock() gave: not a word", () => {
    const { cpu } = on();
    kfree(cpu, nolock(cpu));
    expect(unknowns(cpu)).toBe(1);
    kfree_rcu(cpu, nolock(cpu), Thing.offset.head);
    kvfree_rcu_barrier(cpu);
    expect(unknowns(cpu)).toBe(2);
  });
  test("not_leak and ignore: not a word; no_scan is warned about", () => {
    const { cpu } = on();
    const object = nolock(cpu);
    kmemleak_not_leak(cpu, object);
    kmemleak_ignore(cpu, object);
    expect(unknowns(cpu)).toBe(2);
    expect(() => kmemleak_no_scan(cpu, object)).toThrow(/not scanning unknown object at 0x/);
  });
  test("before the series all of them were warned about", () => {
    const { cpu } = on({ kernel_behaviour: KB_KMEMLEAK_UNKNOWN });
    expect(() => kfree(cpu, nolock(cpu))).toThrow(/freeing unknown object at 0x/);
    expect(() => kmemleak_ignore(cpu, nolock(cpu))).toThrow(/coloring unknown object at 0x/);
    kfree(cpu, block(cpu));
  });
});

describe("the scan", () => {
  // Sheaves keep the addresses of what they have given out, and so hide leaks: a cache without.
  const apart = (cpu: Cpu): Ptr => kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL);
  const start = (): { m: TestMachine; cpu: Cpu } => {
    const machine = on();
    const s = kmem_cache_create(machine.cpu, "apart", 64, { flags: SLAB_NO_SHEAVES });
    machine.cpu.mem.poke(machine.cpu.globals, element(WORDS, 1), s);
    return machine;
  };
  test("a machine that has just booted has lost nothing", () => {
    expect(leaks(on().cpu)).toEqual([]);
  });
  test.each([64, 32_768])("%i bytes that nobody points to", (bytes) => {
    const { m, cpu } = start();
    const object = bytes === 64 ? apart(cpu) : block(cpu, bytes);
    expect(leaks(cpu)).toEqual([object]);
    root(cpu, object + bytes - 1); // Anywhere inside.
    expect(leaks(cpu)).toEqual([]);
    root(cpu, object + bytes);
    m.tick(3);
    expect(leaks(cpu, 3)).toEqual([object]);
    expect(leaks(cpu, 4)).toEqual([]);
  });
  test("an object of KFENCE, which begins anywhere in its page", () => {
    const { cpu } = on({ hooks: HOOK_KMEMLEAK | HOOK_KFENCE });
    cpu.mem.poke(kfence_state(cpu), KfenceState.offset.sample, 1);
    for (let i = 0; i < 8; i++) {
      const object = block(cpu, 192); // At the end of its page, which is no multiple of 192 bytes, or at the start.
      expect(is_kfence_address(cpu, object)).toBe(true);
      root(cpu, object + 100);
      expect(leaks(cpu)).toEqual([]);
      root(cpu, 0);
      expect(leaks(cpu)).toEqual([object]);
      kfree(cpu, object);
    }
  });
  test("pointers are followed, in rings too", () => {
    const { cpu } = start();
    const [a, b, c] = [apart(cpu), apart(cpu), apart(cpu)];
    cpu.mem.store_word(a + 16, b);
    cpu.mem.store_word(b + 32, c);
    cpu.mem.store_word(c, a);
    root(cpu, a);
    expect(leaks(cpu)).toEqual([]);
    root(cpu, 0); // A ring that hangs in the air still points to itself.
    expect(new Set(leaks(cpu))).toEqual(new Set([a, b, c]));
  });
  test("not_leak: no leak, and scanned; ignore: neither; no_scan: what it points to is lost", () => {
    const { cpu } = start();
    const [a, b] = [apart(cpu), apart(cpu)];
    cpu.mem.store_word(a, b);
    kmemleak_not_leak(cpu, a);
    expect(leaks(cpu)).toEqual([]);
    kmemleak_no_scan(cpu, a);
    expect(leaks(cpu)).toEqual([b]);
    kmemleak_ignore(cpu, b);
    expect(leaks(cpu)).toEqual([]);
  });
  test("a block that kmemleak does not know points to nothing", () => {
    const { cpu } = start();
    const holder = nolock(cpu);
    root(cpu, holder);
    const object = apart(cpu);
    cpu.mem.store_word(holder, object);
    expect(leaks(cpu)).toEqual([object]);
  });
});
