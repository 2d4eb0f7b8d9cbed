/**
 * Kernels that are built or equipped otherwise (docs/CONFIGURATIONS.md): encoded links, slabs in random order, slabs that
 * are updated under slab_lock, allocations that fail, a node without memory.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { this_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { KvfreeCounters } from "../../shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { FreePointer, KmemCache } from "../../shared/layout/slab.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmalloc_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { get, type Scenario, set } from "../explore/scenario.ts";
import { raiseIrq } from "../kit/interrupts.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import {
  cache,
  CAPACITY,
  FIRST_THING,
  FIRST_WORD,
  looksTwice,
  loses,
  makeCache,
  makeThings,
  race,
  take,
  withoutSheaves,
} from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeNolock, freeRcu, slabFree } from "./kit_frees.ts";
import {
  kfreeThing,
  kmallocAs,
  kmallocNolockAs,
  makeOfBucket,
  nmiTraffic,
  SIZE,
  SIZE_CAPACITY,
  TASK_GETS,
} from "./kit_kmalloc.ts";
import { allocFromSlab, oneSlab, refill, scarceSlab } from "./kit_sheaves.ts";

const { kvfree: KVFREE } = PerCpu.offset;
const { kfree_rcu_synchronous: N_SYNCHRONOUS } = KvfreeCounters.offset;

const common = { kernel: NO_GRACE_PERIODS, check: accounted } satisfies Partial<Scenario>;

/** The link of a freed object is overwritten with the address of one that is in use. */
const forgedLink = {
  ...common,
  setup: (cpu) => {
    oneSlab(cpu);
    set(cpu, FIRST_WORD, get(cpu, FIRST_THING));
    slabFree(0)(cpu);
  },
  cpus: [
    [
      (cpu) => {
        const link = get(cpu, FIRST_WORD) + cpu.mem.peek(cache(cpu), KmemCache.offset.offset);
        cpu.mem.write(link as Ptr<"free_pointer">, FreePointer.offset.next, get(cpu, FIRST_THING + 1) as Ptr<"object">);
      },
    ],
    [allocFromSlab(CAPACITY), allocFromSlab(CAPACITY + 1)],
  ],
} satisfies Partial<Scenario>;

/** Of a bucket of which a slab holds few. */
const LARGE = 8192;
const IN_TWO_SLABS = 8;

/** CPU 1 belongs to a node without memory: what it frees is remote, or is not, as the kernel is built. */
const memless = {
  ...common,
  setup: makeOfBucket(4 * SIZE_CAPACITY),
  nmi: nmiTraffic(1),
  cpus: [
    [kfreeThing(0), kmallocAs(TASK_GETS)],
    [kfreeThing(1), kmallocAs(TASK_GETS + 1), kfreeThing(2)],
  ],
} satisfies Partial<Scenario>;

export default [
  race({
    ...common,
    name: "hardened-refill",
    summary: "encoded links: the refill of a sheaf against a free into its slab, and an allocation of what was freed",
    config: ["hardened"],
    setup: oneSlab,
    cpus: [[refill], [slabFree(0)], [allocFromSlab(CAPACITY + 1)]],
  }),
  loses(
    race({
      ...forgedLink,
      name: "hardened-forged-link",
      summary: "encoded links: a write after a free against two allocations, of which the first one notices it",
      config: ["hardened"],
    }),
  ),
  loses(
    race({
      ...forgedLink,
      name: "forged-link",
      summary: "links as they are: a write after a free against two allocations, which get an object that is in use",
    }),
  ),
  race({
    ...common,
    name: "shuffle-nmi-alloc",
    summary: "slabs in random order: kmalloc() from a new slab against kmalloc_nolock() from another one in an NMI",
    config: ["shuffle"],
    setup: makeOfBucket(IN_TWO_SLABS, LARGE),
    nmi: kmallocNolockAs(IN_TWO_SLABS, LARGE),
    cpus: [[kmallocAs(IN_TWO_SLABS + 1, LARGE)]],
  }),
  race({
    ...common,
    name: "nocmpxchg-irq-free",
    summary: "slabs under slab_lock: frees of two CPUs and of an interrupt into one slab, kmalloc_nolock() in an NMI",
    config: ["nocmpxchg"],
    setup: oneSlab,
    irq: slabFree(2),
    nmi: (cpu) => {
      const object = kmalloc_nolock(cpu, SIZE, 0, NUMA_NO_NODE);
      if (object !== NULL) bug(cpu, "kmalloc_nolock() from a slab that is updated under slab_lock");
      freeNolock(3)(cpu);
    },
    cpus: [[slabFree(0)], [(cpu) => raiseIrq(cpu, 0), slabFree(1)]],
  }),
  race({
    ...common,
    name: "lowmem-refill",
    summary:
      "no pages at all: the refill of a sheaf from a slab that has too little for it against a free and an allocation",
    config: ["lowmem=1"],
    setup: scarceSlab,
    cpus: [[refill], [slabFree(0), allocFromSlab(CAPACITY + 1)]],
  }),
  race({
    name: "lowmem-mightsleep",
    summary: "no pages at all: kfree_rcu_mightsleep(), which has to wait for its grace period itself, against a reader",
    config: ["lowmem=1", "cached=0"],
    setup: withoutSheaves(1),
    cpus: [[(cpu) => kfree_rcu_mightsleep(cpu, take(cpu, 0)), assertSynchronous], [looksTwice]],
    check: accounted,
  }),
  race({
    ...common,
    name: "lowmem-kfree-rcu",
    summary:
      "no pages at all: kfree_rcu() of objects without sheaves on two CPUs, which links them through their heads",
    config: ["lowmem=1", "cached=0"],
    setup: withoutSheaves(3),
    cpus: [[freeRcu(0)], [freeRcu(1), freeRcu(2)]],
  }),
  race({
    ...memless,
    name: "memless",
    summary:
      "a CPU whose node has no memory and one whose node has some: kmalloc(), kfree(), nolock functions in an NMI",
    config: ["numa=2:memless"],
  }),
  race({
    ...memless,
    name: "memless-without-config",
    summary: "the same, without CONFIG_HAVE_MEMORYLESS_NODES: the CPU keeps what it frees",
    config: ["numa=2:memless", "no-memoryless"],
  }),
  race({
    name: "memless-destroy",
    summary: "kmem_cache_destroy() while the barn of a node without memory holds objects of another node",
    config: ["numa=2:memless"],
    cpus: [[], [(cpu) => makeThings(cpu, makeCache(cpu), 4 * CAPACITY), freeAll, destroy]],
  }),
];

function assertSynchronous(cpu: Cpu): void {
  if (cpu.mem.peek(this_cpu_ptr(cpu, KVFREE), N_SYNCHRONOUS) === 0) bug(cpu, "there was a page for kfree_rcu()");
}
function freeAll(cpu: Cpu): void {
  for (let i = 0; i < 4 * CAPACITY; i++) kfreeThing(i)(cpu);
}
function destroy(cpu: Cpu): void {
  if (kmem_cache_destroy(cpu, cache(cpu)) !== 0) bug(cpu, "objects are left");
}
