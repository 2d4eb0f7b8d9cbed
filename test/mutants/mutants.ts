/**
 * Planted bugs, one per mechanism: the code to replace, what is then wrong, and the driver that must notice. `quick` ones
 * run in the tests.
 */
export interface Edit {
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}
export type Driver =
  | { readonly kind: "explore"; readonly litmus: string }
  /** An explored test of the suite: file, and a part of its name. */
  | { readonly kind: "test"; readonly file: string; readonly name: string }
  | { readonly kind: "torture"; readonly args: readonly string[] };
export interface Mutant {
  readonly name: string;
  /** The bug, in a few words. */
  readonly what: string;
  readonly edits: readonly Edit[];
  readonly driver: Driver;
  readonly quick: boolean;
}

const CPU = "src/shared/cpu";
const SYNC = "src/shared/linux/sync";
const KERNEL = "src/shared/linux/kernel";
const RCU = "src/shared/linux/rcu";
const SLUB = "src/shared/linux/mm/slub";
const KVFREE = "src/shared/linux/mm/kvfree_rcu";
const explore = (litmus: string): Driver => ({ kind: "explore", litmus });
const torture = (...args: string[]): Driver => ({ kind: "torture", args });

export const MUTANTS: readonly Mutant[] = [
  {
    name: "llist-lost-update",
    what: "llist_add stores the head instead of cmpxchg",
    edits: [
      {
        file: "src/shared/linux/lib/llist.ts",
        find: "const found = cpu.mem.cmpxchg(head, FIRST, first, new_first);\n    if (found === first) return first === NULL;",
        replace:
          "const found = first;\n    cpu.mem.write_once(head, FIRST, new_first);\n    if (found === first) return first === NULL;",
      },
    ],
    driver: explore("llist_push_push_drain"),
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
    driver: explore("irq_work_E14_publication"),
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
    driver: explore("local_trylock_nests"),
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
    driver: explore("spinlock_exclusion"),
    quick: true,
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
    driver: explore("rcu_T25_nmi_from_idle"),
    quick: true,
  },
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
        find: `    assert(cpu, count >= 2, "I-RCU-10: a CPU is counted after the barrier has ended");\n`,
        replace: '    assert(cpu, count >= 0, "count");\n',
      },
    ],
    driver: explore("rcu_E5_two_lists_tick"),
    quick: true,
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
    driver: explore("rcu_T4_long_reader_tick"),
    quick: true,
  },
  {
    name: "qsmask-left-clear",
    what: "rcu_gp_init leaves qsmask clear (FORCE_FAILURE_3)",
    edits: [
      { file: `${RCU}/tree_gp.ts`, find: "mem.write(rnp, QSMASK, online);", replace: "mem.write(rnp, QSMASK, 0);" },
    ],
    driver: explore("rcu_T4_span"),
    quick: true,
  },
  {
    name: "qsmask-bits-ignored",
    what: "rcu_report_qs_rnp ignores the bits that are left (FORCE_FAILURE_6)",
    edits: [{ file: `${RCU}/tree_qs.ts`, find: "    if (left !== 0) {", replace: "    if (left < 0) {" }],
    driver: explore("rcu_T4_span"),
    quick: true,
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
    driver: explore("rcu_T4_long_reader_tick"),
    quick: true,
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
    driver: torture("--scenario", "rcu"),
    quick: false,
  },
  {
    name: "irq-work-on-wrong-result",
    what: "deferred work is queued only if llist_add found the list not empty",
    edits: [
      {
        file: `${KVFREE}/deferred.ts`,
        find: "if (was_empty || (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NESTED_PRODUCER) === 0) {",
        replace: "if (!was_empty || (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NESTED_PRODUCER) > 99) {",
      },
    ],
    driver: torture("--scenario", "nolock"),
    quick: true,
  },
  {
    name: "no-deferred-barrier",
    what: "deferred_work_barrier waits for nothing",
    edits: [
      {
        file: `${KVFREE}/barrier.ts`,
        find: "    irq_work_sync(cpu, embedded(per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id), WORK));",
        replace: "    if (id < 0) irq_work_sync(cpu, embedded(per_cpu_ptr(cpu, DEFERRED_PERCPU_WORK, id), WORK));",
      },
    ],
    driver: torture("--scenario", "barriers", "--irqwork", "late"),
    quick: false,
  },
  {
    name: "handler-returns-early",
    what: "deferred_percpu_work_fn returns when `objects` is empty",
    edits: [
      {
        file: `${KVFREE}/deferred_work.ts`,
        find: "  free_objects(cpu, take(cpu, embedded(dpw, OBJECTS)));",
        replace:
          "  const objects = take(cpu, embedded(dpw, OBJECTS));\n  if (objects === NULL) return;\n  free_objects(cpu, objects);",
      },
    ],
    driver: torture("--scenario", "nolock"),
    quick: true,
  },
  {
    name: "list-lock-late",
    what: "__slab_free takes list_lock after the compare-and-swap",
    edits: [
      {
        file: `${SLUB}/free.ts`,
        find: "  const flags = lock_node(cpu, n);\n  const on_partial = slab_test_node_partial(cpu, slab);\n  if (!slab_update_freelist(cpu, s, slab, word, new_word)) {\n    unlock_node(cpu, n, flags);\n    return false;\n  }\n",
        replace:
          "  if (!slab_update_freelist(cpu, s, slab, word, new_word)) return false;\n  const flags = lock_node(cpu, n);\n  const on_partial = slab_test_node_partial(cpu, slab);\n",
      },
    ],
    driver: torture("--config", "tiny"),
    quick: false,
  },
  {
    name: "freelist-returned-without-lock",
    what: "__slab_try_return_freelist updates the slab without list_lock, then links it into a private list (B29)",
    edits: [
      {
        file: `${SLUB}/refill.ts`,
        find: '  const flags = lock_node(cpu, n);\n  const returned = slab_update_freelist(cpu, s, slab, word, new_word);\n  if (returned) add_partial(cpu, n, slab, "tail");',
        replace:
          '  const returned = slab_update_freelist(cpu, s, slab, word, new_word);\n  const entry = embedded(slab, SLAB_LIST);\n  if (returned) cpu.mem.write(entry, NEXT, entry);\n  const flags = lock_node(cpu, n);\n  if (returned) add_partial(cpu, n, slab, "tail");',
      },
    ],
    driver: { kind: "test", file: "test/shared/linux/mm/slub/explored.test.ts", name: "slub B29" },
    quick: true,
  },
  {
    name: "refill-leak",
    what: "a sheaf that could not be filled is freed with its objects (B11)",
    edits: [
      {
        file: `${SLUB}/pcs_replace.ts`,
        find: "  sheaf_flush_unused(cpu, s, sheaf);\n  free_empty_sheaf(cpu, s, sheaf);\n  return NULL;",
        replace:
          "  cpu.mem.write(sheaf, SlabSheaf.offset.size, 0);\n  free_empty_sheaf(cpu, s, sheaf);\n  return NULL;",
      },
    ],
    driver: torture("--memory", "2MiB"),
    quick: false,
  },
  {
    name: "rcu-sheaf-without-grace-period",
    what: "a full rcu_free sheaf goes to the barn at once",
    edits: [
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: "    call_rcu(cpu, embedded(rcu_sheaf, RCU_HEAD), CB.rcu_free_sheaf);",
        replace: "    invoke(cpu, CB.rcu_free_sheaf, embedded(rcu_sheaf, RCU_HEAD));",
      },
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: `import { point }`,
        replace: `import { invoke } from "../../../cpu/callback_table.ts";\nimport { point }`,
      },
    ],
    driver: torture("--scenario", "nolock"),
    quick: true,
  },
  {
    name: "call-rcu-in-nmi",
    what: "a nolock caller with IRQs off calls call_rcu() itself",
    edits: [
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: "if (!allow_spin && irqs_disabled(cpu)) {",
        replace: "if (!allow_spin && irqs_disabled(cpu) && allow_spin) {",
      },
    ],
    driver: torture("--scenario", "nolock"),
    quick: true,
  },
  {
    name: "no-rcu-barrier-on-cache",
    what: "kvfree_rcu_barrier_on_cache without rcu_barrier (B7)",
    edits: [
      {
        file: `${KVFREE}/barrier.ts`,
        find: "  rcu_barrier(cpu);\n  __kvfree_rcu_barrier(cpu);",
        replace: "  __kvfree_rcu_barrier(cpu);",
      },
    ],
    driver: torture("--scenario", "barriers"),
    quick: false,
  },
  {
    name: "flush-one-cpu",
    what: "the barrier flushes the rcu_free sheaf of CPU 0 only",
    edits: [
      {
        file: `${KVFREE}/barrier.ts`,
        find: "    if ((online & (1 << id)) === 0) continue;\n",
        replace: "    if ((online & (1 << id)) === 0 || id > 0) continue;\n",
      },
      {
        file: `${KVFREE}/barrier.ts`,
        find: "    if ((online & (1 << id)) !== 0) flush_work(",
        replace: "    if ((online & (1 << id)) !== 0 && id === 0) flush_work(",
      },
    ],
    driver: torture("--scenario", "barriers"),
    quick: false,
  },
];
