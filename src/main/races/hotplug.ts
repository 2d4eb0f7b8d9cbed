/**
 * A CPU goes offline, and perhaps comes back, with something of every kind left on it: callbacks, sheaves, deferred objects,
 * works, a reader a moment ago. Nothing of it is lost, and nobody waits for a CPU that is gone. Spec slub 2.14, 6.4 d; rcu 4.6,
 * 4.8. CPU 1 goes: where its program has ended, or between two operations where it comes by cpuhp_thread_fun().
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { HOOK_KASAN, HOOK_MEMCG } from "../../shared/layout/debug.ts";
import { QlistHead } from "../../shared/layout/debug_kasan.ts";
import { ObjStock } from "../../shared/layout/debug_memcg.ts";
import { IRQWORK_LATE } from "../../shared/layout/globals.ts";
import { SLAB_ACCOUNT, SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { cpu_down, cpu_up, cpuhp_thread_fun } from "../../shared/linux/kernel/cpu.ts";
import { hrtimer_setup, hrtimer_start } from "../../shared/linux/kernel/hrtimer.ts";
import { jiffies, mod_timer, schedule_timeout, timer_setup } from "../../shared/linux/kernel/timer.ts";
import { flush_work, init_work, queue_work_on } from "../../shared/linux/kernel/workqueue.ts";
import { cpu_quarantine } from "../../shared/linux/mm/debug/kasan_quarantine.ts";
import { kasan_state } from "../../shared/linux/mm/debug/kasan_shadow.ts";
import { obj_stock } from "../../shared/linux/mm/debug/objcg.ts";
import { deferred_work_barrier, kvfree_rcu_barrier_on_cache } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { slabs_of_cache } from "../../shared/linux/mm/slub/check.ts";
import { flush_all } from "../../shared/linux/mm/slub/flush.ts";
import { kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { synchronize_rcu_expedited } from "../../shared/linux/rcu/tree_exp.ts";
import { call_rcu, synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { cpu_online } from "../../shared/linux/sync/cpu_hotplug.ts";
import { callbackId, get, type Operation, type Scenario, set } from "../explore/scenario.ts";
import { alloc, at, cache, CAPACITY, FIRST_WORD, looksTwice, makeCache, makeThings, put, race, take } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeRcu, freeRcuNolock, insideSheafLock } from "./kit_frees.ts";

/** The CPU that goes. */
const GOES = 1;
const HEADS = [FIRST_WORD, FIRST_WORD + 4] as const;
const WORK = FIRST_WORD + 8;
const TIMER = FIRST_WORD + 24;
const HRTIMER = FIRST_WORD + 40;
const POSTED = FIRST_WORD + 56;
const RAN = FIRST_WORD + 57;

const down: Operation = (cpu) => {
  const error = cpu_down(cpu, GOES);
  if (error !== 0) bug(cpu, `cpu_down() fails: ${error}`);
  if (cpu_online(cpu, GOES)) bug(cpu, "the CPU is online after cpu_down()");
};
const up: Operation = (cpu) => {
  const error = cpu_up(cpu, GOES);
  if (error !== 0) bug(cpu, `cpu_up() fails: ${error}`);
  if (!cpu_online(cpu, GOES)) bug(cpu, "the CPU is not online after cpu_up()");
};
const barrier: Operation = (cpu) => kvfree_rcu_barrier_on_cache(cpu, cache(cpu));

const hotplug = (of: Scenario): Scenario => race({ ...of, globals: { hotplug: 1, ...of.globals } });
/** With things of a cache, each of which is accounted for at the end. */
const withThings = (count: number, of: Scenario, flags = 0): Scenario =>
  hotplug({ setup: (cpu) => makeThings(cpu, makeCache(cpu, flags), count), check: accounted, ...of });

const postCallback =
  (i: 0 | 1): Operation =>
  (cpu) => {
    call_rcu(cpu, at(cpu, HEADS[i]), callbackId(i));
    set(cpu, POSTED, get(cpu, POSTED) + 1);
  };
/** What was posted before is invoked when it returns. */
const rcuBarrier: Operation = (cpu) => {
  const posted = get(cpu, POSTED);
  rcu_barrier(cpu);
  if (get(cpu, RAN) < posted)
    bug(cpu, `${get(cpu, RAN)} of ${posted} callbacks were invoked when rcu_barrier() returned`);
};
const invoked = (cpu: Cpu): void => set(cpu, RAN, get(cpu, RAN) + 1);

const queueWork: Operation = (cpu) => {
  init_work(cpu, at(cpu, WORK), callbackId(0));
  queue_work_on(cpu, GOES, at(cpu, WORK));
  set(cpu, POSTED, 1);
};
const flushWork: Operation = (cpu) => {
  if (get(cpu, POSTED) === 0) return;
  flush_work(cpu, at(cpu, WORK));
  if (get(cpu, RAN) === 0) bug(cpu, "flush_work() returns, but the work has not run");
};

const ran: Operation = (cpu) => set(cpu, RAN, 1);

const startTimers: Operation = (cpu) => {
  timer_setup(cpu, at(cpu, TIMER), callbackId(0));
  mod_timer(cpu, at(cpu, TIMER), jiffies(cpu) + 1);
  hrtimer_setup(cpu, at(cpu, HRTIMER), callbackId(1));
  hrtimer_start(cpu, at(cpu, HRTIMER), 1);
};
const waitForTimers: Operation = (cpu) => {
  while (get(cpu, RAN) < 2) schedule_timeout(cpu, 1);
};

const free: Operation = (cpu) => {
  freeRcu(0)(cpu);
  set(cpu, POSTED, 1);
};
/** Begins once the free has returned; it may come too early to see that, and is one barrier for nothing then. */
const barrierAfterFree: Operation = (cpu) => {
  if (get(cpu, POSTED) !== 0) barrier(cpu);
};
const destroyAfterFree: Operation = (cpu) => {
  while (get(cpu, POSTED) === 0) cpu.mem.relax();
  if (kmem_cache_destroy(cpu, cache(cpu)) !== 0) bug(cpu, "objects are left");
};
const freeAfter =
  (grace_period: Operation): Operation =>
  (cpu) => {
    const thing = take(cpu, 0);
    grace_period(cpu);
    kmem_cache_free(cpu, cache(cpu), thing);
  };
const againstReader = (how: string, grace_period: Operation): Scenario =>
  withThings(1, {
    name: `hotplug-gp-${how}`,
    summary: `${grace_period.name}() against readers on a CPU that goes and comes back`,
    cpus: [
      [down, up],
      [looksTwice, cpuhp_thread_fun, looksTwice],
      [freeAfter(grace_period), grace_period],
    ],
  });

export default [
  hotplug({
    name: "hotplug-callbacks",
    summary: "callbacks of a CPU that has gone offline since are invoked elsewhere",
    cpus: [
      [down, rcuBarrier],
      [postCallback(0), postCallback(1)],
    ],
    callbacks: [invoked, invoked],
  }),
  hotplug({
    name: "hotplug-rcu-barrier",
    summary: "rcu_barrier() against a CPU that goes offline with a callback",
    cpus: [[down], [postCallback(0)], [rcuBarrier]],
    callbacks: [invoked],
  }),
  withThings(1, {
    name: "hotplug-sheaf",
    summary: "kvfree_rcu_barrier_on_cache() finds an object whose rcu_free sheaf a CPU left that is offline",
    cpus: [[down, barrier], [free]],
  }),
  withThings(1, {
    name: "hotplug-barrier",
    summary: "kvfree_rcu_barrier_on_cache() against a CPU that goes offline with an object in its rcu_free sheaf",
    cpus: [[down], [free], [barrierAfterFree]],
  }),
  withThings(
    1,
    {
      name: "hotplug-krc",
      summary: "kvfree_rcu_barrier_on_cache() finds an object in the kfree_rcu_cpu of a CPU that is offline",
      cpus: [[down, barrier], [free]],
    },
    SLAB_NO_SHEAVES,
  ),
  withThings(2, {
    name: "hotplug-deferred",
    summary: "what kfree_rcu_nolock() has deferred on a CPU is handled before it is offline; the barrier does not hang",
    globals: { irqwork_mode: IRQWORK_LATE },
    cpus: [
      [down, deferred_work_barrier, barrier],
      [
        (cpu) =>
          insideSheafLock(cpu, () => {
            freeRcuNolock(0)(cpu);
            freeRcuNolock(1)(cpu);
          }),
      ],
    ],
  }),
  withThings(2, {
    name: "hotplug-nmi",
    summary: "kfree_rcu_nolock() in an NMI on a CPU that goes offline and comes back",
    cpus: [[down, up, barrier], [freeRcu(0)]],
    nmi: (cpu) => {
      if (cpu.id === GOES) freeRcuNolock(1)(cpu);
    },
  }),
  withThings(1, {
    name: "hotplug-destroy",
    summary: "kmem_cache_destroy() against a CPU that goes offline with an object of the cache in its rcu_free sheaf",
    cpus: [[down], [free], [destroyAfterFree]],
    check: (cpu) => {
      const pages = slabs_of_cache(cpu, cache(cpu)).size;
      return pages === 0 ? undefined : `${pages} slabs of a cache that is gone`;
    },
  }),
  withThings(CAPACITY, {
    name: "hotplug-flush",
    summary: "flush_all() against a CPU that goes offline and comes back with objects in its sheaves",
    cpus: [
      [down, up],
      [(cpu) => kmem_cache_free(cpu, cache(cpu), take(cpu, 0)), cpuhp_thread_fun, (cpu) => put(cpu, 0, alloc(cpu))],
      [(cpu) => flush_all(cpu, cache(cpu))],
    ],
  }),
  withThings(2, {
    name: "hotplug-stocks",
    summary: "a CPU that goes offline leaves neither bytes that are charged, nor objects in quarantine",
    globals: { hooks: HOOK_MEMCG | HOOK_KASAN },
    setup: (cpu) => makeThings(cpu, makeCache(cpu, SLAB_NO_SHEAVES | SLAB_ACCOUNT), 2),
    cpus: [[down], [(cpu) => kmem_cache_free(cpu, cache(cpu), take(cpu, 0))]],
    check: (cpu) => {
      const bytes = cpu.mem.peek(cpu_quarantine(kasan_state(cpu), GOES), QlistHead.offset.bytes);
      if (bytes !== 0) return `${bytes} bytes are in the quarantine of the CPU`;
      return cpu.mem.peek(obj_stock(cpu, GOES), ObjStock.offset.cached_objcg) === 0
        ? undefined
        : "the stock is not empty";
    },
  }),
  againstReader("sync", synchronize_rcu),
  againstReader("exp", synchronize_rcu_expedited),
  withThings(1, {
    name: "hotplug-gp",
    summary: "grace periods of both kinds do not wait for a CPU that is offline",
    cpus: [[down, freeAfter(synchronize_rcu), synchronize_rcu_expedited], [looksTwice]],
  }),
  hotplug({
    name: "hotplug-work",
    summary: "a work that is queued on a CPU runs though the CPU goes offline, or is offline",
    cpus: [[down], [], [queueWork, flushWork]],
    callbacks: [ran],
  }),
  hotplug({
    name: "hotplug-work-back",
    summary: "flush_work() of a work that was queued on a CPU which goes offline and comes back",
    cpus: [[down, up], [queueWork, cpuhp_thread_fun], [flushWork]],
    callbacks: [ran],
  }),
  hotplug({
    name: "hotplug-timer",
    summary: "timers of a CPU that goes offline expire elsewhere",
    cpus: [[down, waitForTimers], [startTimers]],
    callbacks: [invoked, invoked],
  }),
  hotplug({
    name: "hotplug-two",
    summary: "two CPUs that take each other offline: one is refused, and nobody waits for ever",
    cpus: [
      [],
      [(cpu) => void cpu_down(cpu, 2), (cpu) => void cpu_up(cpu, 2)],
      [(cpu) => void cpu_down(cpu, 1), (cpu) => void cpu_up(cpu, 1)],
    ],
  }),
];
