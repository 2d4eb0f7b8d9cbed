/**
 * E11: kfree_rcu_nolock() in an NMI that hits CPU 0 wherever it is: inside the sheaf lock, krcp->lock, a barn lock, or the
 * list_lock of the cache that sheaves come from. It never waits, and its object and those of the holder stay in one place.
 *
 * The mechanism is that it only tries these locks, or takes another way. Without it the NMI does as if it held the first two,
 * and spins on the others: it passes the flags of kfree_rcu(). NMIs that allocate, or spin, stop the machine.
 */
import { this_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { __GFP_NOWARN } from "../../shared/layout/gfp.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { SlabSheaf, SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_FREE_DEFAULT, SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { __kfree_rcu_sheaf } from "../../shared/linux/mm/kvfree_rcu/kfree_rcu_sheaf.ts";
import { krc_link_head } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../shared/linux/mm/kvfree_rcu/nolock.ts";
import { barn_put_empty_sheaf } from "../../shared/linux/mm/slub/barn.ts";
import { get_barn, this_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { alloc_empty_sheaf, sheaf_bytes } from "../../shared/linux/mm/slub/sheaf.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import { element, type Ptr } from "../../shared/mem/struct.ts";
import { get, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "../races/kit_no_grace_periods.ts";
import { account } from "../races/kit_whereabouts.ts";
import { cache, CAPACITY, HEAD, OBJECTS, thing, withThings, type Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const { krc: KRC } = PerCpu.offset;
const { main: MAIN, rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { size: SIZE, objects: SLOTS } = SlabSheaf.offset;

/** Set when the NMI's free has returned. */
const RETURNED = 3;
type Free = Way["free"];

interface Held {
  readonly lock: string;
  /** Of the cache, and of how many things. The NMI frees thing 0, set-up and holder the others. */
  readonly flags?: number;
  readonly things: number;
  readonly setup: Operation;
  readonly holder: Operation;
  /** What the NMI does without the mechanism. */
  readonly careless: Free;
}
const freeRcu =
  (i: number): Operation =>
  (cpu) =>
    kfree_rcu(cpu, thing(cpu, i), HEAD);
/** The sheaf goes to call_rcu(), and the next kfree_rcu() needs another one. */
const fillSheaf: Operation = (cpu) => {
  for (let i = 1; i <= CAPACITY; i++) freeRcu(i)(cpu);
};
const newSheaf = (cpu: Cpu): Ptr<"slab_sheaf"> => alloc_empty_sheaf(cpu, cache(cpu), __GFP_NOWARN, SLAB_ALLOC_DEFAULT);
const putSheaf: Operation = (cpu) => barn_put_empty_sheaf(cpu, get_barn(cpu, cache(cpu)), newSheaf(cpu));
/** The next sheaf will come from the lists of slabs. */
const useUpSheaves: Operation = (cpu) => {
  const main = cpu.mem.read(this_cpu_sheaves(cpu, kmalloc_slab(cpu, sheaf_bytes(CAPACITY), 0)), MAIN);
  while (cpu.mem.read(main, SIZE) > 0) newSheaf(cpu);
};
const nolock: Free = (cpu, object) => kfree_rcu_nolock(cpu, object, HEAD);
const pushUnlocked: Free = (cpu, object) => {
  const rcu_sheaf = cpu.mem.read(this_cpu_sheaves(cpu, cache(cpu)), RCU_FREE);
  const size = cpu.mem.read(rcu_sheaf, SIZE);
  cpu.mem.write(rcu_sheaf, element(SLOTS, size), object as Ptr as Ptr<"object">);
  cpu.mem.write(rcu_sheaf, SIZE, size + 1);
};
const linkUnlocked: Free = (cpu, object) =>
  krc_link_head(cpu, this_cpu_ptr(cpu, KRC), (object + HEAD) as Ptr<"kvfree_rcu_head">, object);
const asKfreeRcu: Free = (cpu, object) => void __kfree_rcu_sheaf(cpu, cache(cpu), object, SLAB_FREE_DEFAULT);

const HELD: readonly Held[] = [
  { lock: "pcs", things: 3, setup: freeRcu(1), holder: freeRcu(2), careless: pushUnlocked },
  { lock: "krc", flags: SLAB_NO_SHEAVES, things: 3, setup: freeRcu(1), holder: freeRcu(2), careless: linkUnlocked },
  {
    lock: "barn",
    things: 1 + CAPACITY,
    setup: (cpu) => {
      fillSheaf(cpu);
      putSheaf(cpu);
    },
    holder: putSheaf,
    careless: asKfreeRcu,
  },
  {
    lock: "list",
    things: 1 + CAPACITY,
    setup: (cpu) => {
      fillSheaf(cpu);
      useUpSheaves(cpu);
    },
    holder: (cpu) => void newSheaf(cpu),
    careless: asKfreeRcu,
  },
];

const program = ({ flags = 0, things, setup, holder }: Held, free: Free): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(things, flags, setup),
  cpus: [[holder]],
  nmi: (cpu) => {
    free(cpu, thing(cpu, 0));
    set(cpu, RETURNED, 1);
  },
  kernel: NO_GRACE_PERIODS,
});

export default HELD.map((held): Litmus => ({
  title: `kfree_rcu_nolock() in an NMI on the holder of the ${held.lock} lock`,
  outcome: "it spins, or an object is nowhere",
  verdict: "F",
  observed: (cpu) => account(cpu, cache(cpu), get(cpu, RETURNED) === 1 ? [] : [thing(cpu, 0)], HEAD).length > 0,
  reported: /spins in NMI|allocates in NMI/,
  bound: 2,
  scenario: { name: `E11-${held.lock}`, ...program(held, nolock) },
  vacuity: { name: `E11-${held.lock}+no-op`, ...program(held, held.careless) },
}));
