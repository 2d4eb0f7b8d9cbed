/** Planted bugs of kfree_rcu_cpu: cookies, batches, the monitor, its barrier. */
import type { Mutant } from "./mutant.ts";

const KVFREE = "src/shared/linux/mm/kvfree_rcu";

export const KRC_MUTANTS: readonly Mutant[] = [
  {
    name: "need-wait-one-channel",
    what: "need_wait_for_krwp_work looks at the page lists only",
    edits: [
      {
        file: `${KVFREE}/krc_batch.ts`,
        find: "  return cpu.mem.read(krwp, HEAD_FREE) !== NULL;",
        replace: "  return false;",
      },
    ],
    explore: ["krc-batches-wait"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "page-cookie-of-first",
    what: "a page keeps the cookie of its first record",
    edits: [
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "  get_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP));\n",
        replace: "  if (nr_records === 0) get_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP));\n",
      },
    ],
    explore: ["E10-bnode"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: true,
  },
  {
    name: "list-cookie-of-first",
    what: "krcp->head keeps the cookie of its first object",
    edits: [
      {
        file: `${KVFREE}/krc.ts`,
        find: "  mem.write(krcp, HEAD_GP_SNAP, get_state_synchronize_rcu(cpu));",
        replace:
          "  if (mem.read_once(krcp, HEAD_COUNT) === 1) mem.write(krcp, HEAD_GP_SNAP, get_state_synchronize_rcu(cpu));",
      },
    ],
    explore: ["E10-list"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "drain-goes-on",
    what: "kvfree_rcu_drain_ready takes a page whose grace period is not over",
    edits: [
      {
        file: `${KVFREE}/krc_batch.ts`,
        find: "    if (!poll_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP))) break;",
        replace: "    if (!poll_state_synchronize_rcu_full(cpu, embedded(bnode, GP_SNAP)) && ready !== NULL) break;",
      },
    ],
    explore: ["E10-bnode"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "drain-list-unpolled",
    what: "kvfree_rcu_drain_ready does not ask for the cookie of krcp->head",
    edits: [
      {
        file: `${KVFREE}/krc_batch.ts`,
        find: "  const elapsed = some && poll_state_synchronize_rcu(cpu, cpu.mem.read(krcp, HEAD_GP_SNAP));",
        replace: "  const elapsed = some || poll_state_synchronize_rcu(cpu, cpu.mem.read(krcp, HEAD_GP_SNAP));",
      },
    ],
    explore: ["E10-list"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "next-after-free",
    what: "kvfree_rcu_list reads the link of an object that it has freed",
    edits: [
      {
        file: `${KVFREE}/krc_batch.ts`,
        find: "    const next = cpu.mem.read(head, NEXT); // Before the free: the link lies in the object.\n    const object = kvmalloc_obj_start_addr(cpu, head);",
        replace: "    const object = kvmalloc_obj_start_addr(cpu, head);",
      },
      {
        file: `${KVFREE}/krc_batch.ts`,
        find: "    kvfree(cpu, object);\n    head = next;",
        replace: "    kvfree(cpu, object);\n    head = cpu.mem.read(head, NEXT);",
      },
    ],
    explore: ["krc-monitor-alloc"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "records-after-page",
    what: "kvfree_rcu_bulk gives the page to the cache before it has freed what it records",
    edits: [
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "  let freed = 0;\n  if (poll_state_synchronize_rcu_full(",
        replace:
          "  let freed = 0;\n  const flags = krc_lock(cpu, krcp);\n  const kept = put_cached_bnode(cpu, krcp, bnode);\n  krc_unlock(cpu, krcp, flags);\n  if (poll_state_synchronize_rcu_full(",
      },
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "  const flags = krc_lock(cpu, krcp);\n  const kept = put_cached_bnode(cpu, krcp, bnode);\n  krc_unlock(cpu, krcp, flags);\n  if (!kept)",
        replace: "  if (!kept)",
      },
    ],
    explore: ["krc-page-cache"],
    torture: ["--scenario", "nolock", "--config", "tiny,cached=1"],
    quick: true,
  },
  {
    name: "count-before-the-drop",
    what: "kfree_rcu_mightsleep counts from what it read before it dropped the lock to allocate a page",
    edits: [
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "  let bnode = first_with_room(cpu, bulk_head);\n",
        replace:
          "  let bnode = first_with_room(cpu, bulk_head);\n  const counted = mem.read_once(krcp, element(BULK_COUNT, idx));\n",
      },
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "  mem.write_once(krcp, element(BULK_COUNT, idx), mem.read_once(krcp, element(BULK_COUNT, idx)) + 1);",
        replace: "  mem.write_once(krcp, element(BULK_COUNT, idx), counted + 1);",
      },
    ],
    explore: ["krc-lock-dropped"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "allocates-under-krc-lock",
    what: "kfree_rcu_mightsleep allocates a page under krcp->lock",
    edits: [
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "      krc_unlock(cpu, krcp, flags);\n      bnode = alloc_bnode(cpu);",
        replace: "      bnode = alloc_bnode(cpu);",
      },
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "      krc_lock(cpu, krcp);\n",
        replace: "",
      },
    ],
    explore: ["E23"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "monitor-not-rearmed",
    what: "kfree_rcu_monitor does not come again for what no batch could take",
    edits: [
      {
        file: `${KVFREE}/krc_batch.ts`,
        find: "  kvfree_rcu_queue_batch(cpu, krcp);\n  schedule_delayed_monitor_work(cpu, krcp);",
        replace: "  if (kvfree_rcu_queue_batch(cpu, krcp)) schedule_delayed_monitor_work(cpu, krcp);",
      },
    ],
    explore: ["krc-batches-wait"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: true,
  },
  {
    name: "monitor-put-off",
    what: "an armed monitor is made to come later instead of earlier",
    edits: [
      {
        file: `${KVFREE}/krc.ts`,
        find: "  if (delay < left) mod_delayed_work(cpu, monitor, delay);",
        replace: "  if (delay > left) mod_delayed_work(cpu, monitor, delay);",
      },
    ],
    explore: ["krc-monitor-in-time"],
    torture: [],
    quick: false,
  },
  {
    name: "barrier-own-krc",
    what: "the first pass of __kvfree_rcu_barrier looks at the krc of its own CPU only",
    edits: [
      {
        file: `${KVFREE}/krc_barrier.ts`,
        find: "    while (need_offload_krc(cpu, krcp)",
        replace: "    while (id === cpu.id && need_offload_krc(cpu, krcp)",
      },
    ],
    explore: ["K-3"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "flush-one-batch",
    what: "__kvfree_rcu_barrier waits for the second batch of a krc only",
    edits: [
      {
        file: `${KVFREE}/krc_barrier.ts`,
        find: "  for (let i = 0; i < KFREE_N_BATCHES; i++) flush_rcu_work(",
        replace: "  for (let i = 1; i < KFREE_N_BATCHES; i++) flush_rcu_work(",
      },
    ],
    explore: ["K-3"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
];
