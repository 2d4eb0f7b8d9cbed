/** Planted bugs of irq_work. */
import type { Mutant } from "./mutant.ts";

const KERNEL = "src/shared/linux/kernel";

export const IRQ_WORK_MUTANTS: readonly Mutant[] = [
  {
    name: "lazy-without-interrupt",
    what: "a lazy irq_work raises no interrupt where the tick is stopped",
    edits: [
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "  if (!lazy || tick_nohz_tick_stopped(cpu)) arch_irq_work_raise(cpu);",
        replace: "  if (!lazy || (tick_nohz_tick_stopped(cpu) && !lazy)) arch_irq_work_raise(cpu);",
      },
    ],
    explore: ["E24"],
    torture: [],
    quick: true,
  },
  {
    name: "tick-stopped-after-the-look",
    what: "an idle CPU looks who needs its tick, and says only then that it is stopped",
    edits: [
      {
        file: `${KERNEL}/tick_sched.ts`,
        find: "  cpu.mem.poke(cpu.slot, TICK_STOPPED, 1);\n  cpu.mem.poke(cpu.slot, IDLE_JIFFIES, jiffies(cpu));",
        replace: "  cpu.mem.poke(cpu.slot, IDLE_JIFFIES, jiffies(cpu));",
      },
      {
        file: `${KERNEL}/tick_sched.ts`,
        find: "  else cpu.mem.poke(cpu.slot, TICK_NEXT, (now + delta) | 0);",
        replace:
          "  else {\n    cpu.mem.poke(cpu.slot, TICK_STOPPED, 1);\n    cpu.mem.poke(cpu.slot, TICK_NEXT, (now + delta) | 0);\n  }",
      },
    ],
    explore: ["E24"],
    torture: [],
    quick: true,
  },
  {
    name: "pending-cleared-late",
    what: "irq_work clears PENDING after its function",
    edits: [
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "  mem.write_once(work, FLAGS, flags);\n  mem.smp_mb();",
        replace: "  mem.smp_mb();",
      },
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "  point(cpu, POINT.irq_work_func_done);",
        replace: "  mem.write_once(work, FLAGS, flags);\n  point(cpu, POINT.irq_work_func_done);",
      },
    ],
    explore: ["E14"],
    torture: [],
    quick: true,
  },
  {
    name: "busy-cleared-plainly",
    what: "irq_work clears BUSY by a store, over a claim made meanwhile",
    edits: [
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "  mem.cmpxchg(work, FLAGS, flags, flags & ~IRQ_WORK_BUSY);",
        replace: "  mem.write_once(work, FLAGS, flags & ~IRQ_WORK_BUSY);",
      },
    ],
    explore: ["nested-producer"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "sync-looks-at-pending",
    what: "irq_work_sync looks at PENDING instead of BUSY",
    edits: [
      {
        file: `${KERNEL}/irq_work.ts`,
        find: 'const is_idle = (cpu: Cpu, work: Ptr<"irq_work">): boolean => !irq_work_is_busy(cpu, work);',
        replace: 'const is_idle = (cpu: Cpu, work: Ptr<"irq_work">): boolean => !irq_work_is_pending(cpu, work);',
      },
    ],
    explore: ["nested-producer"],
    torture: ["--scenario", "barriers"],
    quick: true,
  },
  {
    name: "wakes-before-idle",
    what: "irq_work wakes those who wait for it before it is idle",
    edits: [
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "  mem.cmpxchg(work, FLAGS, flags, flags & ~IRQ_WORK_BUSY); // Fails if it was claimed again: then it stays busy.\n",
        replace: "",
      },
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "    if (mem.read_once(waiters, CPUS) !== 0) wake_up(cpu, waiters);\n",
        replace:
          "    if (mem.read_once(waiters, CPUS) !== 0) wake_up(cpu, waiters);\n    mem.cmpxchg(work, FLAGS, flags, flags & ~IRQ_WORK_BUSY);\n",
      },
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "    rcuwait_wake_up(cpu, embedded(work, IRQWAIT));",
        replace:
          "    mem.cmpxchg(work, FLAGS, flags, flags & ~IRQ_WORK_BUSY);\n    rcuwait_wake_up(cpu, embedded(work, IRQWAIT));",
      },
    ],
    explore: ["barrier-deferred-handler"],
    torture: ["--scenario", "barriers"],
    quick: true,
  },
];
