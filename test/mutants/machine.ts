/** Planted bugs of what the kernel stands on: lists, locks, interrupts, workqueues. */
import type { Mutant } from "./mutant.ts";

const CPU = "src/shared/cpu";
const SYNC = "src/shared/linux/sync";
const KERNEL = "src/shared/linux/kernel";
const LIB = "src/shared/linux/lib";

export const MACHINE_MUTANTS: readonly Mutant[] = [
  {
    name: "llist-lost-update",
    what: "llist_add stores the head instead of cmpxchg",
    edits: [
      {
        file: `${LIB}/llist.ts`,
        find: "const found = cpu.mem.cmpxchg(head, FIRST, first, new_first);\n    if (found === first) return first === NULL;",
        replace:
          "const found = first;\n    cpu.mem.write_once(head, FIRST, new_first);\n    if (found === first) return first === NULL;",
      },
    ],
    explore: ["llist-push-push-drain"],
    torture: [],
    quick: true,
  },
  {
    name: "trylock-ignores-acquired",
    what: "local_trylock does not look at `acquired`",
    edits: [
      {
        file: `${SYNC}/local_lock.ts`,
        find: "if (cpu.mem.read(l, ACQUIRED) !== 0 || fails_spuriously(cpu)) {",
        replace: "if (fails_spuriously(cpu)) {",
      },
    ],
    explore: ["local_trylock-nesting"],
    torture: [],
    quick: true,
  },
  {
    name: "unlock-kicks-nobody",
    what: "spin_unlock of a contended lock kicks no waiter",
    edits: [
      {
        file: `${SYNC}/spinlock.ts`,
        find: "if ((found & LOCK_CONTENDED) === 0) return;",
        replace: "if ((found & LOCK_CONTENDED) === 0 || found > 0) return;",
      },
    ],
    explore: ["spinlock"],
    torture: [],
    quick: false,
  },
  {
    name: "no-ct-nmi-enter",
    what: "NMI entry does not leave the extended quiescent state",
    edits: [
      {
        file: `${CPU}/interrupt.ts`,
        find: "  ct_nmi_enter(cpu);\n  const handler = mem.peek(cpu.globals, NMI_HANDLER);",
        replace: "  const handler = mem.peek(cpu.globals, NMI_HANDLER);",
      },
      {
        file: `${CPU}/interrupt.ts`,
        find: "  ct_nmi_exit(cpu);\n  mem.poke(cpu.slot, POINT, point);\n  mem.poke(cpu.slot, IRQS_OFF, flags);",
        replace: "  mem.poke(cpu.slot, POINT, point);\n  mem.poke(cpu.slot, IRQS_OFF, flags);",
      },
    ],
    explore: ["T25"],
    torture: ["--scenario", "rcu"],
    quick: false,
  },
  {
    name: "nmi-nesting-after-eqs",
    what: "NMI exit: nmi_nesting is cleared after RCU has stopped watching",
    edits: [
      {
        file: `${CPU}/context_tracking.ts`,
        find: "  cpu.mem.write(ct, NMI_NESTING, 0); // Before the EQS: an NMI from here on must find nesting 0.\n  cpu.mem.fetch_add(ct, STATE, 1);",
        replace: "  cpu.mem.fetch_add(ct, STATE, 1);\n  cpu.mem.write(ct, NMI_NESTING, 0);",
      },
    ],
    explore: ["T25b"],
    torture: [],
    quick: false,
  },
  {
    name: "work-pending-until-done",
    what: "a work item stays PENDING until its function has returned",
    edits: [
      {
        file: `${KERNEL}/worker_pool.ts`,
        find: "  mem.write_once(work, DATA, (id + 1) << WORK_CPU_SHIFT); // PENDING goes before the function looks at anything.\n",
        replace: "  mem.write_once(work, DATA, WORK_STRUCT_PENDING | ((id + 1) << WORK_CPU_SHIFT));\n",
      },
      {
        file: `${KERNEL}/worker_pool.ts`,
        find: "  invoke(cpu, func, work);\n  lockdep_check_may_sleep",
        replace:
          "  invoke(cpu, func, work);\n  mem.fetch_and(work, DATA, ~WORK_STRUCT_PENDING);\n  lockdep_check_may_sleep",
      },
    ],
    explore: ["nolock-on-krc-monitor"],
    torture: [],
    quick: true,
  },
];
