/**
 * Objects of kmalloc_nolock() may be freed by every function, in every context in which that function may be called at all
 * (spec slub 4.1, 4.4); objects of kmalloc() not by the nolock functions. Each case ends with the account of a machine at
 * rest: nothing is lost, nothing waits.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { bind_callback } from "../../../../../src/shared/cpu/callback_table.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { oracle_allow_nolock } from "../../../../../src/shared/cpu/oracle.ts";
import { CB } from "../../../../../src/shared/layout/callbacks.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { KB_NOLOCK_ORIGIN } from "../../../../../src/shared/layout/globals.ts";
import { Slab } from "../../../../../src/shared/layout/slab.ts";
import {
  kfree,
  kfree_nolock,
  kfree_rcu,
  kfree_rcu_mightsleep,
  kfree_rcu_nolock,
  kmalloc,
  kmalloc_nolock,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kvfree_rcu_barrier,
} from "../../../../../src/shared/linux/api.ts";
import { bind_all } from "../../../../../src/shared/linux/init.ts";
import { do_softirq, raise_softirq, TIMER_SOFTIRQ } from "../../../../../src/shared/linux/kernel/softirq.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import type { Inner, Ptr } from "../../../../../src/shared/mem/struct.ts";
import { type Account, check_quiescence, take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine } from "./machine.ts";

type Obj = Ptr<"object">;
const HEAD = 0 as Inner<"object", "kvfree_rcu_head">;

let m: TestMachine;
let cpu: Cpu;
let baseline: Account;
beforeEach(() => {
  m = new TestMachine({ cpus: 2, bytes: 2 << 20 }, { tiny: 1, poison_free: 1 });
  [cpu] = m.cpus;
  baseline = take_account(cpu);
});

/** Runs code in a context of CPU 0. */
const CONTEXTS = {
  task: (code: () => void) => code(),
  "IRQs off": (code: () => void) => {
    const flags = local_irq_save(cpu);
    code();
    local_irq_restore(cpu, flags);
  },
  softirq: (code: () => void) => {
    bind_callback(CB.run_timer_softirq, code);
    raise_softirq(cpu, TIMER_SOFTIRQ);
    do_softirq(cpu);
    bind_all();
  },
  hardirq: (code: () => void) => m.irq(cpu, code),
  NMI: (code: () => void) => m.nmi(cpu, code),
} as const;
type Context = keyof typeof CONTEXTS;
const contexts = Object.keys(CONTEXTS) as Context[];

const cacheOf = (object: Obj): Ptr<"kmem_cache"> => cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache);
interface Free {
  readonly free: (object: Obj) => void;
  readonly legal: readonly Context[];
}
const BUT_NMI: readonly Context[] = ["task", "IRQs off", "softirq", "hardirq"];
/** Each function with the contexts in which it may be called: table 4.1, without RT. */
const FREES = {
  kfree: { free: (object) => kfree(cpu, object), legal: BUT_NMI },
  kmem_cache_free: { free: (object) => kmem_cache_free(cpu, cacheOf(object), object), legal: BUT_NMI },
  kfree_rcu: { free: (object) => kfree_rcu(cpu, object, HEAD), legal: BUT_NMI },
  kfree_rcu_mightsleep: { free: (object) => kfree_rcu_mightsleep(cpu, object), legal: ["task"] },
  kfree_nolock: { free: (object) => kfree_nolock(cpu, object), legal: contexts },
  kfree_rcu_nolock: { free: (object) => kfree_rcu_nolock(cpu, object, HEAD), legal: contexts },
} as const satisfies Record<string, Free>;
const names = Object.keys(FREES) as (keyof typeof FREES)[];

/** As many as fill main, spare and rcu_free sheaf, and more: each path is taken. */
const OBJECTS = 14;
function allocateIn(context: Context, size = 64): readonly Obj[] {
  const objects: Obj[] = [];
  for (let i = 0; i < OBJECTS; i++) CONTEXTS[context](() => objects.push(kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE)));
  expect(objects).not.toContain(0);
  return objects;
}

describe.each(names)("%s", (name) => {
  const { free, legal }: Free = FREES[name];

  test.each(legal)("in %s: everything comes back, wherever it was allocated", (context) => {
    for (const from of contexts) {
      for (const object of allocateIn(from)) CONTEXTS[context](() => free(object));
      kvfree_rcu_barrier(cpu);
      check_quiescence(cpu, baseline);
    }
  });
  const illegal = contexts.filter((context) => !legal.includes(context));
  test.runIf(illegal.length > 0).each(illegal)("in %s is refused", (context) => {
    const [object] = allocateIn("task");
    expect(() => CONTEXTS[context](() => free(object))).toThrow(/in NMI|atomic context/);
  });
  test.each([8, 100, 1024, 8192])("of %i bytes", (size) => {
    for (const object of allocateIn("NMI", size)) free(object);
    kvfree_rcu_barrier(cpu);
    check_quiescence(cpu, baseline);
  });
});

describe("objects that are not from kmalloc_nolock()", () => {
  const NOLOCK = ["kfree_nolock", "kfree_rcu_nolock"] as const;
  const MESSAGE =
    /^(kfree_nolock|kfree_rcu_nolock)\(0x[0-9a-f]+\): unsupported: the object is not from kmalloc_nolock\(\)$/;
  /** The line that says it; what follows is where the object lies, and its biography. */
  function complaint(code: () => void): string {
    try {
      code();
    } catch (error) {
      return (error as Error).message.split("\n")[0];
    }
    return "none";
  }

  test.each(NOLOCK)("%s() refuses an object of kmalloc()", (name) => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    expect(complaint(() => FREES[name].free(object))).toMatch(MESSAGE);
    expect(m.placeOf(object)).toBe("user");
  });
  test.each(NOLOCK)("%s() refuses one of a cache, unless its user vouches for it", (name) => {
    const s = kmem_cache_create(cpu, "test", 64);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(complaint(() => FREES[name].free(object))).toMatch(MESSAGE);
    oracle_allow_nolock(cpu, object);
    FREES[name].free(object);
    kmem_cache_destroy(cpu, s);
    check_quiescence(cpu, baseline);
  });
  test("kfree_rcu_nolock() refuses a large kmalloc()", () => {
    const object = kmalloc(cpu, 20_000, GFP_KERNEL);
    expect(complaint(() => kfree_rcu_nolock(cpu, object, HEAD))).toMatch(MESSAGE);
  });
  test.each(NOLOCK)("as the kernel does it, %s() takes them, and they come back", (name) => {
    m.set("kernel_behaviour", KB_NOLOCK_ORIGIN);
    for (let i = 0; i < OBJECTS; i++) FREES[name].free(kmalloc(cpu, 64, GFP_KERNEL));
    kvfree_rcu_barrier(cpu);
    check_quiescence(cpu, baseline);
  });
  test.each(["kfree", "kfree_rcu", "kfree_nolock", "kfree_rcu_nolock"] as const)(
    "what kmalloc_nolock() allowed ends with %s()",
    (name) => {
      const object = kmalloc_nolock(cpu, 256, 0, NUMA_NO_NODE);
      FREES[name].free(object);
      kvfree_rcu_barrier(cpu);
      const given = Array.from({ length: 100 }, () => kmalloc(cpu, 256, GFP_KERNEL));
      expect(given).toContain(object); // By kmalloc(), now.
      expect(complaint(() => kfree_nolock(cpu, object))).toMatch(MESSAGE);
    },
  );
  test("a second free is called that, and not unsupported", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    kfree(cpu, object);
    expect(complaint(() => kfree_nolock(cpu, object))).toMatch(/double free/);
  });
});
