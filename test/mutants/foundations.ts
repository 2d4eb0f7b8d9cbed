/** Planted bugs of what kfree_rcu() stands on: hrtimers, stopped ticks, vmalloc(). */
import type { Mutant } from "./mutant.ts";

const KERNEL = "src/shared/linux/kernel";
const MM = "src/shared/linux/mm";

export const FOUNDATION_MUTANTS: readonly Mutant[] = [
  {
    name: "hrtimer-moves-while-it-runs",
    what: "hrtimer_start takes a timer to its own CPU although the function runs on another one",
    edits: [
      {
        file: `${KERNEL}/hrtimer.ts`,
        find: "  if (base === own || cpu.mem.read(base, RUNNING) === timer) return base;",
        replace: "  if (base === own) return base;",
      },
    ],
    explore: ["hrtimer-two-starts"],
    torture: [],
    quick: true,
  },
  {
    name: "hrtimer-base-not-checked",
    what: "hrtimer_start does not look whether the timer is still on the base that it has locked",
    edits: [
      {
        file: `${KERNEL}/hrtimer.ts`,
        find: "      if (cpu.mem.read_once(timer, BASE) === base) return base;",
        replace: "      if (cpu.mem.read_once(timer, BASE) >= 0) return base;",
      },
    ],
    explore: ["hrtimer-two-starts"],
    torture: [],
    quick: false,
  },
  {
    name: "nohz-ignores-timers",
    what: "an idle CPU stops its tick for longer than its first timer allows",
    edits: [
      {
        file: `${KERNEL}/tick_sched.ts`,
        find: "  const delta = Math.min(NEXT_TIMER_MAX_DELTA, (timer - now) | 0, (hrtimer - now) | 0);",
        replace: "  const delta = Math.min(NEXT_TIMER_MAX_DELTA, (hrtimer - now) | 0);",
      },
    ],
    explore: ["E24"],
    torture: ["--scenario", "barriers", "--config", "nohz"],
    quick: false,
  },
  {
    name: "nohz-ignores-rcu",
    what: "an idle CPU stops its tick although RCU needs it",
    edits: [
      {
        file: `${KERNEL}/tick_sched.ts`,
        find: "    invoke(cpu, CB.rcu_needs_cpu, NULL) === true;",
        replace: "    invoke(cpu, CB.rcu_needs_cpu, NULL) === undefined;",
      },
    ],
    explore: ["K-3", "--config", "tiny,nohz"],
    torture: ["--scenario", "barriers", "--config", "nohz"],
    quick: false,
  },
  {
    name: "vfree-at-once",
    what: "vfree in an interrupt gives the pages back itself",
    edits: [
      {
        file: `${MM}/vmalloc.ts`,
        find: "  if (deferred) vfree_atomic(cpu, object);",
        replace: "  if (deferred && va < 0) vfree_atomic(cpu, object);",
      },
    ],
    explore: ["vfree-irq"],
    torture: ["--config", "unbatched"],
    quick: true,
  },
  {
    name: "vfree-work-not-queued",
    what: "vfree in an interrupt queues its work only if others are waiting already",
    edits: [
      {
        file: `${MM}/vmalloc.ts`,
        find: "  if (llist_add(cpu, object as Ptr",
        replace: "  if (!llist_add(cpu, object as Ptr",
      },
    ],
    explore: ["vfree-irq"],
    torture: ["--config", "unbatched"],
    quick: false,
  },
];
