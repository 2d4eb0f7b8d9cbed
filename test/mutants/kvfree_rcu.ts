/** Planted bugs of kfree_rcu(), kfree_rcu_nolock(), their barriers and kmem_cache_destroy(). */
import type { Mutant } from "./mutant.ts";

const KVFREE = "src/shared/linux/mm/kvfree_rcu";

export const KVFREE_RCU_MUTANTS: readonly Mutant[] = [
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
    explore: ["nolock-on-irq-work"],
    torture: ["--scenario", "nolock"],
    quick: true,
  },
  {
    name: "nested-producer",
    what: "irq_work is queued only by whoever found the list empty, though an NMI may add between its add and its queueing (slub 6.4a)",
    edits: [
      {
        file: `${KVFREE}/deferred.ts`,
        find: "if (was_empty || (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NESTED_PRODUCER) === 0) {",
        replace: "if (was_empty || (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NESTED_PRODUCER) !== 0) {",
      },
    ],
    explore: ["nested-producer"],
    torture: ["--scenario", "barriers"],
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
    explore: ["nolock-on-irq-work"],
    torture: ["--scenario", "nolock"],
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
        find: "import { point }",
        replace: 'import { invoke } from "../../../cpu/callback_table.ts";\nimport { point }',
      },
    ],
    explore: ["gp-kfree-rcu-sheaf"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
  {
    name: "rcu-free-not-looked-at-again",
    what: "a new rcu_free sheaf replaces one that was installed meanwhile",
    edits: [
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: "  if (installed !== NULL) {",
        replace: "  if (installed !== NULL && installed < 0) {",
      },
    ],
    explore: ["nolock-on-kfree-rcu"],
    torture: [],
    quick: false,
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
    explore: ["nolock-on-call-rcu"],
    torture: ["--scenario", "nolock"],
    quick: false,
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
    explore: ["drains-deferred-dfdrk-late"],
    torture: ["--scenario", "barriers", "--irqwork", "late"],
    quick: true,
  },
  {
    name: "no-rcu-barrier-on-cache",
    what: "kvfree_rcu_barrier_on_cache without rcu_barrier (B7)",
    edits: [
      {
        file: `${KVFREE}/barrier.ts`,
        find: "& KB_ON_CACHE) === 0) rcu_barrier(cpu);",
        replace: "& KB_ON_CACHE) !== 0) rcu_barrier(cpu);",
      },
    ],
    explore: ["barrier-kfree-rcu"],
    torture: ["--scenario", "barriers"],
    quick: true,
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
    explore: ["barrier-remote-sheaf"],
    torture: ["--scenario", "barriers"],
    quick: true,
  },
  {
    name: "flush-skips-empty",
    what: "the barrier skips CPUs without an rcu_free sheaf, though one may be just about to be submitted",
    edits: [
      {
        file: `${KVFREE}/barrier.ts`,
        find: "    if ((online & (1 << id)) === 0) continue;\n",
        replace:
          "    if ((online & (1 << id)) === 0) continue;\n    if (cpu.mem.data_race_read(per_cpu_sheaves(cpu, s, id), SlubPercpuSheaves.offset.rcu_free) === NULL) continue;\n",
      },
    ],
    explore: ["barrier-kfree-rcu"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "monitor-not-waited-for",
    what: "__kvfree_rcu_barrier does not wait for a monitor that runs",
    edits: [
      {
        file: `${KVFREE}/krc_barrier.ts`,
        find: "    cancel_delayed_work_sync(cpu, embedded(krcp, MONITOR_WORK));\n",
        replace: "    if (id < 0) cancel_delayed_work_sync(cpu, embedded(krcp, MONITOR_WORK));\n",
      },
    ],
    explore: ["barrier-krc-monitor"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "K-1",
    what: "__kvfree_rcu_barrier cancels the monitor that later objects rely on (rcu 1.10)",
    edits: [
      {
        file: `${KVFREE}/krc_barrier.ts`,
        find: "    if ((kernel_behaviour & KB_K1) === 0) schedule_delayed_monitor_work(cpu, krcp);",
        replace: "    if ((kernel_behaviour & KB_K1) !== 0) schedule_delayed_monitor_work(cpu, krcp);",
      },
    ],
    explore: ["K-1"],
    torture: [],
    quick: false,
  },
  {
    name: "K-2",
    what: "__kvfree_rcu_barrier does not wait for a shrinker that frees (rcu 1.10)",
    edits: [
      {
        file: `${KVFREE}/krc_barrier.ts`,
        find: "    if ((kernel_behaviour & KB_K2) === 0) shrinker_sync(cpu, krcp);",
        replace: "    if ((kernel_behaviour & KB_K2) !== 0) shrinker_sync(cpu, krcp);",
      },
    ],
    explore: ["K-2"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
  {
    name: "K-3",
    what: "__kvfree_rcu_barrier overlooks the batch that another one is just queueing (rcu E22)",
    edits: [
      {
        file: `${KVFREE}/krc_barrier.ts`,
        find: "    if ((kernel_behaviour & KB_K3) === 0) krc_sync(cpu, krcp);",
        replace: "    if ((kernel_behaviour & KB_K3) !== 0) krc_sync(cpu, krcp);",
      },
    ],
    explore: ["K-3"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "destroy-without-second-drain",
    what: "kmem_cache_destroy does not wait for what RCU callbacks have deferred",
    edits: [
      {
        file: `${KVFREE}/destroy.ts`,
        find: "  deferred_work_barrier(cpu);\n  cpus_read_lock(cpu);",
        replace: "  cpus_read_lock(cpu);",
      },
      {
        file: `${KVFREE}/destroy.ts`,
        find: "import { deferred_work_barrier, kvfree_rcu_barrier, kvfree_rcu_barrier_on_cache }",
        replace: "import { kvfree_rcu_barrier, kvfree_rcu_barrier_on_cache }",
      },
    ],
    explore: ["destroy-deferred-callback"],
    torture: ["--scenario", "barriers", "--irqwork", "late"],
    quick: false,
  },
];
