/** Planted bugs of RCU. */
import type { Mutant } from "./mutant.ts";

const RCU = "src/shared/linux/rcu";

export const RCU_MUTANTS: readonly Mutant[] = [
  {
    name: "barrier-count-from-0",
    what: "rcu_barrier's count starts at 0 instead of 2",
    edits: [
      {
        file: `${RCU}/tree_barrier.ts`,
        find: "mem.write_once(state, BARRIER_CPU_COUNT, 2);",
        replace: "mem.write_once(state, BARRIER_CPU_COUNT, 0);",
      },
      {
        file: `${RCU}/tree_barrier.ts`,
        find: "if (mem.fetch_add(state, BARRIER_CPU_COUNT, -2) === 2) complete(",
        replace: "if (mem.read_once(state, BARRIER_CPU_COUNT) === 0) complete(",
      },
      {
        file: `${RCU}/tree_barrier.ts`,
        find: '    assert(cpu, count >= 2, "I-RCU-10: a CPU is counted after the barrier has ended");\n',
        replace: '    assert(cpu, count >= 0, "count");\n',
      },
    ],
    explore: ["rcu-barrier-two-lists"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "qs-in-reader",
    what: "a tick in a reader counts as a quiescent state",
    edits: [
      {
        file: `${RCU}/tree.ts`,
        find: "if (!rcu_interrupted_reader(cpu)) rcu_qs(cpu, rdp);",
        replace: "rcu_qs(cpu, rdp);",
      },
    ],
    explore: ["T4+ticks"],
    torture: ["--scenario", "rcu"],
    quick: false,
  },
  {
    name: "qsmask-left-clear",
    what: "rcu_gp_init leaves qsmask clear (FORCE_FAILURE_3)",
    edits: [
      { file: `${RCU}/tree_gp.ts`, find: "mem.write(rnp, QSMASK, online);", replace: "mem.write(rnp, QSMASK, 0);" },
    ],
    explore: ["T4"],
    torture: ["--scenario", "rcu"],
    quick: false,
  },
  {
    name: "qsmask-bits-ignored",
    what: "rcu_report_qs_rnp ignores the bits that are left (FORCE_FAILURE_6)",
    edits: [{ file: `${RCU}/tree_qs.ts`, find: "    if (left !== 0 || ", replace: "    if (" }],
    explore: ["T4"],
    torture: ["--scenario", "rcu"],
    quick: false,
  },
  {
    name: "old-qs-counts",
    what: "a quiescent state from before the grace period counts",
    edits: [
      {
        file: `${RCU}/tree_qs.ts`,
        find: "mem.write(rdp, CPU_NO_QS_NORM, need); // Only",
        replace: "mem.write(rdp, CPU_NO_QS_NORM, 0); // Only",
      },
    ],
    explore: ["T4+ticks"],
    torture: ["--scenario", "rcu"],
    quick: false,
  },
  {
    name: "callbacks-too-early",
    what: "callbacks are labelled with the running grace period instead of the next full one",
    edits: [
      {
        file: `${RCU}/tree_request.ts`,
        find: "  // The snapshot comes after the callbacks were queued: what starts after it waits for every reader they care about.\n  const req = rcu_seq_snap(cpu, rcu_state(cpu), STATE_GP_SEQ);",
        replace: "  const req = (cpu.mem.read_once(rcu_state(cpu), STATE_GP_SEQ) + 4) & ~3;",
      },
    ],
    explore: ["E4"],
    torture: ["--scenario", "rcu"],
    quick: false,
  },
  {
    name: "len-before-callbacks",
    what: "callbacks leave the count before they are invoked, so rcu_barrier overlooks them",
    edits: [
      {
        file: `${RCU}/tree_cb.ts`,
        find: "  rcu_segcblist_extract_done_cbs(cpu, cblist, rcl);\n",
        replace: "  rcu_segcblist_extract_done_cbs(cpu, cblist, rcl);\n  rcu_segcblist_add_len(cpu, cblist, -ready);\n",
      },
      {
        file: `${RCU}/tree_cb.ts`,
        find: "  rcu_segcblist_add_len(cpu, cblist, -count);\n",
        replace: "  rcu_segcblist_add_len(cpu, cblist, ready - count);\n",
      },
    ],
    explore: ["barrier-kfree-rcu"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "call-rcu-enqueues-with-irqs-on",
    what: "call_rcu enqueues its callback with IRQs on",
    edits: [
      {
        file: `${RCU}/tree_cb.ts`,
        find: "  const flags = local_irq_save(cpu);\n  const rdp = this_rcu_data(cpu);\n  const cblist = embedded(rdp, CBLIST);\n  rcu_segcblist_enqueue(cpu, cblist, head);\n",
        replace:
          "  const rdp = this_rcu_data(cpu);\n  const cblist = embedded(rdp, CBLIST);\n  rcu_segcblist_enqueue(cpu, cblist, head);\n  const flags = local_irq_save(cpu);\n",
      },
    ],
    explore: ["nolock-on-call-rcu"],
    torture: [],
    quick: true,
  },
  {
    name: "flush-rcu-work-short",
    what: "flush_rcu_work does not wait for the work, only for its callback",
    edits: [
      {
        file: `${RCU}/rcu_work.ts`,
        find: "  rcu_barrier(cpu);\n  flush_work(cpu, work);",
        replace: "  rcu_barrier(cpu);",
      },
    ],
    explore: ["K-3"],
    torture: ["--scenario", "barriers"],
    quick: true,
  },
];
