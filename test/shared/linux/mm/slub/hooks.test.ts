/** What happens to an object between slab and user: context checks, clearing, poison, places. */
import { describe, expect, test } from "vitest";
import { __GFP_ZERO, GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { HOOK_INIT_ON_FREE } from "../../../../../src/shared/layout/debug.ts";
import { TraceRing } from "../../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_POISON, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import {
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "../../../../../src/shared/cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { EV_ALLOC, EV_FREE } from "../../../../../src/shared/cpu/trace.ts";
import {
  freeptr_outside_object,
  maybe_wipe_obj_freeptr,
  slab_free_hook,
  slab_post_alloc_hook,
  slab_pre_alloc_hook,
} from "../../../../../src/shared/linux/mm/slub/hooks.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { set_freepointer } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { O_KRC, O_RCU_SHEAF, O_TRANSIT, O_USER } from "../../../../../src/shared/mem/oracle.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { SlabMachine } from "../slab_machine.ts";

function oneObject(request: Parameters<SlabMachine["cache"]>[0] = {}): {
  machine: SlabMachine;
  cpu: Cpu;
  s: Ptr<"kmem_cache">;
  object: Ptr<"object">;
} {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({ object_size: 64, ...request });
  return { machine, cpu, s, object: ___slab_alloc(cpu, s, GFP_ATOMIC, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT) };
}
/** The last event in the trace of a CPU: its number, and what it is about. */
function lastEvent(cpu: Cpu): number[] {
  const { head, entries } = TraceRing.offset;
  const ring = this_cpu_ptr(cpu, PerCpu.offset.trace);
  const at = (cpu.mem.peek(ring, head) - 1) * 4;
  return [0, 1, 2].map((i) => cpu.mem.peek(ring, element(entries, at + i)));
}
const bytes = (cpu: Cpu, object: Ptr, count: number): number[] =>
  Array.from({ length: count }, (_, i) => cpu.mem.load_byte(object + i));

describe("slab_pre_alloc_hook", () => {
  test("what may block may not be asked for with IRQs or preemption off, nor in interrupts", () => {
    const { machine, cpu } = oneObject();
    slab_pre_alloc_hook(cpu, GFP_KERNEL);
    const flags = local_irq_save(cpu);
    expect(() => slab_pre_alloc_hook(cpu, GFP_KERNEL)).toThrow(/sleeps in atomic/);
    slab_pre_alloc_hook(cpu, GFP_ATOMIC);
    local_irq_restore(cpu, flags);
    preempt_disable(cpu);
    expect(() => slab_pre_alloc_hook(cpu, GFP_KERNEL)).toThrow(/sleeps in atomic/);
    preempt_enable(cpu);
    machine.irq(cpu, () => {
      expect(() => slab_pre_alloc_hook(cpu, GFP_KERNEL)).toThrow(/sleeps in atomic/);
      slab_pre_alloc_hook(cpu, GFP_ATOMIC);
    });
  });
  test("in NMI nothing may", () => {
    const { machine, cpu } = oneObject();
    machine.nmi(cpu, () => expect(() => slab_pre_alloc_hook(cpu, GFP_ATOMIC)).toThrow(/in NMI/));
  });
});

describe("slab_post_alloc_hook", () => {
  test("makes the object its user's, and clears it if asked to", () => {
    const { machine, cpu, s, object } = oneObject();
    cpu.mem.fill(object, 64, 0xee);
    slab_post_alloc_hook(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, object);
    expect(machine.oracle.place(object)).toBe(O_USER);
    expect(bytes(cpu, object, 64)).toEqual(Array.from({ length: 64 }, () => 0xee));
    slab_free_hook(cpu, s, object, false);
    slab_post_alloc_hook(cpu, s, GFP_ATOMIC | __GFP_ZERO, SLAB_ALLOC_DEFAULT, object);
    expect(bytes(cpu, object, 64)).toEqual(Array.from({ length: 64 }, () => 0));
  });
  test("it, and the hook of a free, are in the trace", () => {
    const { cpu, s, object } = oneObject();
    slab_post_alloc_hook(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, object);
    expect(lastEvent(cpu)).toEqual([EV_ALLOC, object, s]);
    slab_free_hook(cpu, s, object, false);
    expect(lastEvent(cpu)).toEqual([EV_FREE, object, s]);
  });
  test("an object that is somebody's already is a bug", () => {
    const { cpu, s, object } = oneObject();
    slab_post_alloc_hook(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, object);
    expect(() => slab_post_alloc_hook(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, object)).toThrow(/user/);
  });
});

describe("slab_free_hook", () => {
  test("an object goes from its user into transit; what is nobody's cannot be freed", () => {
    const { machine, cpu, s, object } = oneObject();
    expect(() => slab_free_hook(cpu, s, object, false)).toThrow(/transit/);
    slab_post_alloc_hook(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, object);
    expect(slab_free_hook(cpu, s, object, false)).toBe(true);
    expect(machine.oracle.place(object)).toBe(O_TRANSIT);
  });
  test.each([
    ["an rcu sheaf", O_RCU_SHEAF],
    ["the krc lists", O_KRC],
  ])("after its grace period it comes from %s", (_, place) => {
    const { machine, cpu, s, object } = oneObject();
    machine.oracle.move(0, object, O_TRANSIT, place, 0);
    expect(() => slab_free_hook(cpu, s, object, false)).toThrow(/./);
    expect(slab_free_hook(cpu, s, object, true)).toBe(true);
  });

  const freed = (request: Parameters<SlabMachine["cache"]>[0], word: "poison_free" | "hooks", value = 1): number[] => {
    const { cpu, s, object } = oneObject(request);
    cpu.mem.poke(cpu.globals, Globals.offset[word], value);
    slab_post_alloc_hook(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, object);
    cpu.mem.fill(object, 72, 0x11);
    slab_free_hook(cpu, s, object, false);
    return bytes(cpu, object, 72);
  };
  const pattern = (...runs: [number, number][]): number[] =>
    runs.flatMap(([n, byte]) => Array.from({ length: n }, () => byte));

  test("poison_free: the object, but for the free pointer in its middle", () => {
    expect(freed({}, "poison_free")).toEqual(pattern([32, 0x6b], [8, 0x11], [24, 0x6b], [8, 0x11]));
  });
  test("poison_free: none of it if slub debugging has a pattern of its own, or if it is 8 bytes long", () => {
    expect(freed({ flags: SLAB_POISON }, "poison_free")).toEqual(pattern([72, 0x11]));
    expect(freed({ object_size: 8 }, "poison_free")).toEqual(pattern([72, 0x11]));
    expect(freed({ object_size: 24 }, "poison_free")).toEqual(pattern([8, 0x6b], [8, 0x11], [8, 0x6b], [48, 0x11]));
  });
  test("init_on_free clears instead", () => {
    expect(freed({}, "hooks", HOOK_INIT_ON_FREE)).toEqual(pattern([32, 0], [8, 0x11], [24, 0], [8, 0x11]));
  });
  test("constructed objects, and those that readers may still look at, keep their bytes", () => {
    expect(freed({ flags: SLAB_TYPESAFE_BY_RCU }, "poison_free")).toEqual(pattern([72, 0x11]));
  });
});

describe("maybe_wipe_obj_freeptr", () => {
  test("with init_on_free the link goes, if it is in the object", () => {
    const { cpu, s, object } = oneObject();
    expect(freeptr_outside_object(cpu, s)).toBe(false);
    set_freepointer(cpu, s, object, (object + 64) as Ptr);
    maybe_wipe_obj_freeptr(cpu, s, object);
    expect(cpu.mem.load_word(object + 32)).toBe(object + 64);
    cpu.mem.poke(cpu.globals, Globals.offset.hooks, HOOK_INIT_ON_FREE);
    maybe_wipe_obj_freeptr(cpu, s, object);
    expect(bytes(cpu, (object + 32) as Ptr, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    maybe_wipe_obj_freeptr(cpu, s, NULL);
  });
  test("outside it stays", () => {
    const { cpu, s, object } = oneObject({ flags: SLAB_POISON });
    expect(freeptr_outside_object(cpu, s)).toBe(true);
    cpu.mem.poke(cpu.globals, Globals.offset.hooks, HOOK_INIT_ON_FREE);
    set_freepointer(cpu, s, object, (object + 72) as Ptr);
    maybe_wipe_obj_freeptr(cpu, s, object);
    expect(cpu.mem.load_word(object + cpu.mem.peek(s, KmemCache.offset.offset))).toBe(object + 72);
  });
});
