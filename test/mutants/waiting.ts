/** Planted bugs of sleeping: a wake-up that comes before anybody waits is lost. */
import type { Mutant } from "./mutant.ts";

const CPU = "src/shared/cpu";
const SYNC = "src/shared/linux/sync";
const KERNEL = "src/shared/linux/kernel";

export const WAITING_MUTANTS: readonly Mutant[] = [
  {
    name: "park-looks-then-publishes",
    what: "irq_work_sync looks at the work before it publishes that it waits",
    edits: [
      {
        file: `${KERNEL}/irq_work.ts`,
        find: "  cpu.mem.fetch_or(embedded(cpu.globals, WAITERS), CPUS, 1 << cpu.task_id);\n  return is_idle(cpu, work);",
        replace:
          "  const idle = is_idle(cpu, work);\n  cpu.mem.fetch_or(embedded(cpu.globals, WAITERS), CPUS, 1 << cpu.task_id);\n  return idle;",
      },
    ],
    explore: ["barrier-deferred-handler"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "wait-event-looks-then-publishes",
    what: "wait_event tests its condition before it is on the queue",
    edits: [
      {
        file: `${CPU}/sched.ts`,
        find: "    cpu.mem.fetch_or(queue, CPUS, bit);\n    if (condition(cpu, arg as Ptr<never>)) break;",
        replace: "    if (condition(cpu, arg as Ptr<never>)) break;\n    cpu.mem.fetch_or(queue, CPUS, bit);",
      },
    ],
    explore: ["rcuwait-shared"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "rcuwait-looks-then-publishes",
    what: "rcuwait tests its condition before it publishes the task",
    edits: [
      {
        file: `${SYNC}/rcuwait.ts`,
        find: "    cpu.mem.write_once(w, TASK, cpu.task_id + 1);\n",
        replace: "",
      },
      {
        file: `${SYNC}/rcuwait.ts`,
        find: "    if (condition(cpu, arg as Ptr<never>)) break;",
        replace: "    if (condition(cpu, arg as Ptr<never>)) break;\n    cpu.mem.write_once(w, TASK, cpu.task_id + 1);",
      },
    ],
    explore: ["rcuwait-shared"],
    torture: ["--scenario", "barriers", "--irqwork", "late"],
    quick: false,
  },
  {
    name: "smp-looks-then-publishes",
    what: "a cross-CPU call looks for its end before it publishes that it waits",
    edits: [
      {
        file: `${CPU}/smp.ts`,
        find: "      cpu.mem.fetch_or(waiters, CPUS, 1 << cpu.id);\n      return served();",
        replace:
          "      const done = served();\n      cpu.mem.fetch_or(waiters, CPUS, 1 << cpu.id);\n      return done;",
      },
    ],
    explore: ["barrier-kfree-rcu"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "mutex-wakes-first",
    what: "mutex_unlock wakes the waiters before it lets go",
    edits: [
      {
        file: `${SYNC}/mutex.ts`,
        find: "  const found = cpu.mem.xchg(m, OWNER, 0);\n",
        replace: "  wake_up(cpu, embedded(m, WAITERS));\n  const found = cpu.mem.xchg(m, OWNER, 0);\n",
      },
      {
        file: `${SYNC}/mutex.ts`,
        find: "whose owner is ${found}`);\n  wake_up(cpu, embedded(m, WAITERS));",
        replace: "whose owner is ${found}`);",
      },
    ],
    explore: ["K-3"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
];
