/** Planted bugs of the page cache and the shrinker of kfree_rcu(), and of kfree_rcu_mightsleep() without memory. */
import type { Mutant } from "./mutant.ts";

const KVFREE = "src/shared/linux/mm/kvfree_rcu";

export const PAGE_CACHE_MUTANTS: readonly Mutant[] = [
  {
    name: "one-page-too-many",
    what: "the page cache takes one page more than it may hold",
    edits: [
      {
        file: `${KVFREE}/page_cache.ts`,
        find: "  if (nr_bkv_objs >= rcu_min_cached_objs(cpu)) {",
        replace: "  if (nr_bkv_objs > rcu_min_cached_objs(cpu)) {",
      },
    ],
    explore: ["krc-page-cache"],
    torture: ["--scenario", "nolock", "--config", "tiny,cached=1"],
    quick: false,
  },
  {
    name: "drains-without-lock",
    what: "a shrinker drains the page cache without krcp->lock",
    edits: [
      {
        file: `${KVFREE}/page_cache.ts`,
        find: "  const flags = krc_lock(cpu, krcp);\n  const pages = llist_del_all(cpu, embedded(krcp, BKVCACHE));\n  cpu.mem.write(krcp, NR_BKV_OBJS, 0);\n  krc_unlock(cpu, krcp, flags);",
        replace:
          "  const pages = llist_del_all(cpu, embedded(krcp, BKVCACHE));\n  cpu.mem.write(krcp, NR_BKV_OBJS, 0);",
      },
    ],
    explore: ["krc-page-cache"],
    torture: ["--scenario", "nolock", "--config", "tiny,cached=1"],
    quick: false,
  },
  {
    name: "worker-never-over",
    what: "fill_page_cache_func does not clear work_in_progress",
    edits: [
      {
        file: `${KVFREE}/page_cache.ts`,
        find: "  mem.write_once(krcp, WORK_IN_PROGRESS, 0);\n",
        replace: "",
      },
    ],
    explore: ["krc-page-cache"],
    torture: ["--scenario", "nolock", "--config", "tiny,cached=1"],
    quick: false,
  },
  {
    name: "back-off-for-ever",
    what: "fill_page_cache_func does not clear the back-off of a shrinker",
    edits: [
      {
        file: `${KVFREE}/page_cache.ts`,
        find: "  mem.write_once(krcp, BACKOFF_PAGE_CACHE_FILL, 0);\n",
        replace: "",
      },
    ],
    explore: ["krc-page-cache"],
    torture: [],
    quick: false,
  },
  {
    name: "mightsleep-does-not-wait",
    what: "kfree_rcu_mightsleep without memory frees before synchronize_rcu",
    edits: [
      {
        file: `${KVFREE}/unbatched.ts`,
        find: "  synchronize_rcu(cpu);\n  oracle_grace_period_end(cpu, object);\n  kvfree(cpu, object);",
        replace: "  oracle_grace_period_end(cpu, object);\n  kvfree(cpu, object);\n  synchronize_rcu(cpu);",
      },
    ],
    explore: ["E20"],
    torture: ["--config", "unbatched"],
    quick: false,
  },
  {
    name: "vmalloc-by-kfree",
    what: "kvfree_rcu_bulk frees blocks of vmalloc by kfree_bulk",
    edits: [
      {
        file: `${KVFREE}/krc_bulk.ts`,
        find: "  if (idx === 0) {\n    kfree_bulk(",
        replace: "  if (idx >= 0) {\n    kfree_bulk(",
      },
    ],
    explore: ["E9"],
    torture: ["--scenario", "nolock", "--config", "tiny"],
    quick: false,
  },
  {
    name: "start-rounded",
    what: "the start of a slab object is found by rounding, as for large ones",
    edits: [
      {
        file: `${KVFREE}/object_start.ts`,
        find: "  if (slab === NULL) return",
        replace: "  if (slab !== NULL || slab === NULL) return",
      },
    ],
    explore: ["krc-monitor-alloc"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
];
