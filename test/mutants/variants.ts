/** Planted bugs of the variants of kfree_rcu_nolock(), and of what a sheaf may hold. */
import type { Mutant } from "./mutant.ts";

const KVFREE = "src/shared/linux/mm/kvfree_rcu";

export const VARIANT_MUTANTS: readonly Mutant[] = [
  {
    name: "rfc-undo-forgotten",
    what: "kfree_rcu_nolock (rfc) leaves the object that would fill the sheaf in it, and links it to krc as well",
    edits: [
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: "    mem.write(rcu_sheaf, SIZE, size);\n    local_unlock(",
        replace: "    local_unlock(",
      },
    ],
    explore: ["nolock-on-kfree-rcu", "--variant", "rfc"],
    torture: ["--scenario", "nolock", "--variant", "rfc"],
    quick: false,
  },
  {
    name: "rfc-spins",
    what: "kfree_rcu_nolock (rfc) waits for krcp->lock",
    edits: [
      {
        file: `${KVFREE}/nolock_rfc.ts`,
        find: "  const locked = raw_spin_trylock(cpu, embedded(krcp, KRC_LOCK));",
        replace: "  raw_spin_lock(cpu, embedded(krcp, KRC_LOCK));\n  const locked = krcp !== 0;",
      },
      {
        file: `${KVFREE}/nolock_rfc.ts`,
        find: "import { raw_spin_trylock }",
        replace: "import { raw_spin_lock }",
      },
    ],
    explore: ["nolock-on-krc-monitor", "--variant", "rfc"],
    torture: ["--scenario", "nolock", "--variant", "rfc"],
    quick: true,
  },
  {
    name: "rfc-deferred-not-waited-for",
    what: "deferred_work_barrier (rfc) does not wait for the list of what found krcp->lock held",
    edits: [
      {
        file: `${KVFREE}/nolock_rfc.ts`,
        find: "    sync_if_busy(cpu, embedded(rfc, DEFERRED_WORK));\n",
        replace: "",
      },
    ],
    explore: ["nested-producer", "--variant", "rfc"],
    torture: ["--scenario", "barriers", "--variant", "rfc"],
    quick: false,
  },
  {
    name: "remote-object-in-sheaf",
    what: "an object of another node enters this CPU's rcu_free sheaf, as in v3",
    edits: [
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: "slab === NULL || slab_nid(cpu, slab) !== numa_mem_id(cpu)",
        replace: "slab === NULL || slab_nid(cpu, slab) - numa_mem_id(cpu) > cpu.map.shape.cpus",
      },
    ],
    explore: ["nolock-remote"],
    torture: [],
    quick: false,
  },
];
