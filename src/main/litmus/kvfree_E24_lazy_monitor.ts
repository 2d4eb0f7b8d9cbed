/**
 * E24: kfree_rcu_nolock() of February 2026 puts an object on krc->head, and a lazy irq_work, which waits for a tick, is to
 * arm the monitor. An NMI does so while its CPU goes idle and stops its tick. The object must be freed in time.
 *
 * The mechanism is the interrupt that a lazy irq_work raises if the tick is stopped; without it nobody ever comes.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { P_IRQ_WORK } from "../../shared/layout/cpu.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals, VARIANT_RFC } from "../../shared/layout/globals.ts";
import { KvfreeGlobals } from "../../shared/layout/kvfree_rcu.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { KvfreeRcuHead } from "../../shared/layout/types.ts";
import { jiffies, schedule_timeout } from "../../shared/linux/kernel/timer.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { take_census } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { kmem_cache_alloc_for_nolock } from "../../shared/linux/mm/slub/kmalloc.ts";
import { embedded, struct, type Ptr } from "../../shared/mem/struct.ts";
import { get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import type { Litmus } from "./litmus.ts";

const Thing = struct("litmus_thing", { head: KvfreeRcuHead });
const { head: HEAD } = Thing.offset;
const { kvfree: KVFREE } = Globals.offset;
const { drain_jiffies: DRAIN_JIFFIES } = KvfreeGlobals.offset;
const CACHE = 0;
const OBJECT = 1;
/** jiffies + 1 at the free. */
const FREED_AT = 2;

/** The monitor comes so many ticks after it was armed, instead of 5 s. */
const DRAIN = 2;
/** For the lazy irq_work, the monitor and a grace period. */
const ENOUGH = 24;

/** Waits long enough, whenever within the first half the NMI comes. */
const wait: Operation = (cpu) => {
  for (const until = jiffies(cpu) + 2 * ENOUGH; jiffies(cpu) < until;) schedule_timeout(cpu, until - jiffies(cpu));
  const freed_at = get(cpu, FREED_AT);
  result(cpu, 0, freed_at !== 0 && jiffies(cpu) - freed_at >= ENOUGH ? 1 : 0);
};
const program = (afterFree: Operation): Omit<Scenario, "name"> => ({
  globals: { nolock_variant: VARIANT_RFC, nohz: 1, tiny: 1 },
  setup: (cpu) => {
    cpu.mem.poke(embedded(cpu.globals, KVFREE), DRAIN_JIFFIES, DRAIN);
    const s = kmem_cache_create(cpu, "litmus", Thing.size, { flags: SLAB_NO_SHEAVES });
    const object = kmem_cache_alloc_for_nolock(cpu, s, GFP_KERNEL);
    set(cpu, CACHE, s);
    set(cpu, OBJECT, object);
  },
  cpus: [[], [wait]],
  nmi: (cpu) => {
    if (cpu.id !== 0 || get(cpu, FREED_AT) !== 0) return;
    set(cpu, FREED_AT, jiffies(cpu) + 1);
    kfree_rcu_nolock(cpu, get(cpu, OBJECT) as Ptr<"litmus_thing">, HEAD);
    afterFree(cpu);
  },
  nmis: 1,
});
const isInUse = (cpu: Cpu): boolean => take_census(cpu, get(cpu, CACHE) as Ptr<"kmem_cache">).inuse === 1;

const litmus: Litmus = {
  title: "kfree_rcu_nolock() (rfc) in an NMI while the CPU goes idle and stops its tick",
  outcome: "never freed",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1 && isInUse(cpu),
  bound: 1,
  scenario: { name: "E24", ...program(() => undefined) },
  vacuity: { name: "E24+no-op", ...program((cpu) => void cpu.mem.take_pending(P_IRQ_WORK)) },
};
export default litmus;
