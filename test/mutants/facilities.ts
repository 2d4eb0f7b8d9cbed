/** Planted bugs of the debugging and accounting facilities, and of where their hooks are called. */
import type { Mutant } from "./mutant.ts";

const MM = "src/shared/linux/mm";

export const FACILITY_MUTANTS: readonly Mutant[] = [
  {
    name: "kmemleak-in-nolock",
    what: "kfree_nolock calls kmemleak, which waits for its lock",
    edits: [
      {
        file: `${MM}/debug/kmemleak_facility.ts`,
        find: '  spins: "always",',
        replace: '  spins: "allowed",',
      },
      {
        file: `${MM}/debug/kmemleak_facility.ts`,
        find: '{ step: "kmemleak_free_recursive", paths: ["kfree", "after_gp"]',
        replace: '{ step: "kmemleak_free_recursive", paths: ["kfree", "kfree_nolock", "after_gp"]',
      },
    ],
    explore: ["interop-kfree", "--hooks", "kmemleak"],
    torture: ["--scenario", "nolock", "--hooks", "kmemleak"],
    quick: false,
  },
  {
    name: "hooks-run-twice",
    what: "rcu_free_sheaf runs the free hooks of a sheaf twice",
    edits: [
      {
        file: `${MM}/kvfree_rcu/rcu_free_sheaf.ts`,
        find: "  const pfmemalloc = __rcu_free_sheaf_prepare(cpu, s, sheaf);",
        replace:
          "  __rcu_free_sheaf_prepare(cpu, s, sheaf);\n  const pfmemalloc = __rcu_free_sheaf_prepare(cpu, s, sheaf);",
      },
    ],
    explore: ["gp-kfree-rcu-sheaf"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
  {
    name: "quarantine-emptied-early",
    what: "kmem_cache_destroy empties KASAN's quarantine before it waits for RCU callbacks, whose hooks fill it (B7)",
    edits: [
      {
        file: `${MM}/kvfree_rcu/destroy.ts`,
        find: "  else kvfree_rcu_barrier_on_cache(cpu, s);\n",
        replace: "  kasan_cache_shutdown(cpu, s);\n  kvfree_rcu_barrier_on_cache(cpu, s);\n",
      },
      {
        file: `${MM}/kvfree_rcu/destroy.ts`,
        find: "  kasan_cache_shutdown(cpu, s); // After the RCU callbacks, whose free hooks fill the quarantine.\n",
        replace: "",
      },
    ],
    explore: ["destroy-deferred-rcu_sheaves", "--hooks", "kasan"],
    torture: ["--scenario", "barriers", "--hooks", "kasan"],
    quick: false,
  },
  {
    name: "quarantine-reducer-not-waited-for",
    what: "kasan_quarantine_remove_cache does not wait for who is just giving objects back",
    edits: [
      {
        file: `${MM}/debug/kasan_quarantine.ts`,
        find: "  qlist_free_all(cpu, taken);\n  synchronize_rcu(cpu);",
        replace: "  qlist_free_all(cpu, taken);",
      },
      {
        file: `${MM}/debug/kasan_quarantine.ts`,
        find: 'import { synchronize_rcu } from "../../rcu/tree.ts";\n',
        replace: "",
      },
    ],
    explore: ["kasan-remove-cache"],
    torture: ["--scenario", "nolock", "--hooks", "kasan"],
    quick: false,
  },
  {
    name: "vector-stored",
    what: "an extension vector is published by a store, over one that was published meanwhile",
    edits: [
      {
        file: `${MM}/slub/obj_exts.ts`,
        find: "    const found = mem.cmpxchg(slab, OBJ_EXTS, old, ours);",
        replace: "    mem.write_once(slab, OBJ_EXTS, ours);\n    const found = old;",
      },
    ],
    explore: ["memcg-two-vectors"],
    torture: ["--scenario", "nolock", "--hooks", "memcg"],
    quick: true,
  },
];
