/** Planted bugs in the rest of the slab allocator's interface: prefilled sheaves, typesafe slabs, merged caches. */
import type { Mutant } from "./mutant.ts";

const SLUB = "src/shared/linux/mm/slub";

export const SLUB_API_MUTANTS: readonly Mutant[] = [
  {
    name: "prefill-spare-stays",
    what: "kmem_cache_prefill_sheaf takes the spare, and leaves it where it was as well",
    edits: [
      {
        file: `${SLUB}/prefill.ts`,
        find: "  if (sheaf !== NULL) {\n    mem.write(pcs, SPARE, NULL);\n",
        replace: "  if (sheaf !== NULL) {\n",
      },
    ],
    explore: ["prefill-nmi"],
    torture: ["--scenario", "prefill"],
    quick: true,
  },
  {
    name: "prefill-return-overwrites-spare",
    what: "kmem_cache_return_sheaf looks for room for its sheaf before it has the sheaf lock",
    edits: [
      {
        file: `${SLUB}/prefill.ts`,
        find: "  local_lock(cpu, embedded(pcs, LOCK));\n  const barn = get_barn(cpu, s);\n  const fast = mem.read(pcs, SPARE) === NULL;",
        replace:
          "  const fast = mem.read(pcs, SPARE) === NULL;\n  local_lock(cpu, embedded(pcs, LOCK));\n  const barn = get_barn(cpu, s);",
      },
    ],
    explore: ["prefill-nmi"],
    torture: ["--scenario", "prefill", "--config", "tiny"],
    quick: true,
  },
  {
    name: "prefill-refill-drops-sheaf",
    what: "kmem_cache_refill_sheaf does not give the sheaf back that was too small",
    edits: [{ file: `${SLUB}/prefill.ts`, find: "    kmem_cache_return_sheaf(cpu, s, gfp, sheaf);\n", replace: "" }],
    explore: ["prefill-refill-nmi"],
    torture: ["--scenario", "prefill"],
    quick: true,
  },
  {
    name: "typesafe-slab-at-once",
    what: "the slab of a SLAB_TYPESAFE_BY_RCU cache is released without a grace period",
    edits: [
      {
        file: `${SLUB}/free_slab.ts`,
        find: "  if (flags & SLAB_TYPESAFE_BY_RCU) call_rcu(",
        replace: "  if (flags & SLAB_TYPESAFE_BY_RCU & 0) call_rcu(",
      },
    ],
    explore: ["typesafe-reader"],
    torture: ["--scenario", "prefill"],
    quick: true,
  },
  {
    name: "typesafe-destroy-at-once",
    what: "kmem_cache_destroy releases a SLAB_TYPESAFE_BY_RCU cache before its slabs are gone",
    edits: [
      {
        file: "src/shared/linux/mm/kvfree_rcu/destroy.ts",
        find: "  if (cpu.mem.read(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) rcu_barrier(cpu);\n  slab_kmem_cache_release",
        replace: "  slab_kmem_cache_release",
      },
    ],
    explore: ["typesafe-destroy"],
    torture: ["--scenario", "prefill"],
    quick: true,
  },
  {
    name: "alias-uncounted",
    what: "a new alias does not count in its cache's refcount",
    edits: [
      {
        file: `${SLUB}/merge.ts`,
        find: "  mem.write(s, REFCOUNT, mem.read(s, REFCOUNT) + 1);",
        replace: "  mem.write(s, REFCOUNT, mem.read(s, REFCOUNT));",
      },
    ],
    explore: ["merge-alias"],
    torture: ["--scenario", "prefill", "--config", "merge"],
    quick: true,
  },
];
