/** Planted bugs of the users of kfree_rcu(), each of its workload's own kind. */
import type { Mutant } from "./mutant.ts";

const WORKLOADS = "src/main/workloads";

export const WORKLOAD_MUTANTS: readonly Mutant[] = [
  {
    name: "list_lru-table-freed-at-once",
    what: "list_lru frees the old table without a grace period",
    edits: [
      {
        file: `${WORKLOADS}/list_lru.ts`,
        find: "  if (old !== NULL) kvfree_rcu(cpu, old, TABLE_RCU);",
        replace: "  if (old !== NULL) kvfree(cpu, old);",
      },
      {
        file: `${WORKLOADS}/list_lru.ts`,
        find: "import { LC }",
        replace: 'import { kvfree } from "../../shared/linux/mm/util.ts";\nimport { LC }',
      },
    ],
    explore: ["list_lru-grow"],
    torture: ["--scenario", "list_lru"],
    quick: true,
  },
  {
    name: "obj_cgroup-get-from-zero",
    what: "obj_cgroup gives a reference to an object that has none left",
    edits: [
      {
        file: "src/shared/linux/lib/refcount.ts",
        find: "count = cpu.mem.read_once(p, field); count !== 0;",
        replace: "count = cpu.mem.read_once(p, field); count >= 0;",
      },
    ],
    explore: ["obj_cgroup-last-put"],
    torture: ["--scenario", "obj_cgroup"],
    quick: true,
  },
  {
    name: "shrinker_info-bit-cleared-late",
    what: "shrinker_info takes the count first, and then clears the bit of what was added meanwhile",
    edits: [
      {
        file: `${WORKLOADS}/shrinker_info.ts`,
        find: "      mem.fetch_and(unit, MAP, ~(1 << bit));\n      mem.xchg(unit, element(NR_DEFERRED, bit), 0);",
        replace: "      mem.xchg(unit, element(NR_DEFERRED, bit), 0);\n      mem.fetch_and(unit, MAP, ~(1 << bit));",
      },
    ],
    explore: ["shrinker_info-bits"],
    torture: ["--scenario", "shrinker_info"],
    quick: true,
  },
  {
    name: "shrinker_info-published-early",
    what: "shrinker_info publishes the longer array before its units are in it",
    edits: [
      {
        file: `${WORKLOADS}/shrinker_info.ts`,
        find: "  for (let i = 0; i < units; i++) {\n    const unit = i < old_units",
        replace:
          "  mem.write_once(memcg_of(cpu), SHRINKER_INFO, info);\n  for (let i = 0; i < units; i++) {\n    const unit = i < old_units",
      },
    ],
    explore: ["shrinker_info-expand"],
    torture: ["--scenario", "shrinker_info"],
    quick: false,
  },
  {
    name: "vmap_block-purged-in-use",
    what: "vmap_block purges a block without looking again under its lock",
    edits: [
      {
        file: `${WORKLOADS}/vmap_block.ts`,
        find: "  const purge = is_fragmented(cpu, vb);",
        replace: "  const purge = true;",
      },
    ],
    explore: ["vmap_block-purge"],
    torture: ["--scenario", "vmap_block"],
    quick: true,
  },
  {
    name: "maple_tree-dead-node-believed",
    what: "a walk through the maple tree believes the pivots of a dead node",
    edits: [
      {
        file: `${WORKLOADS}/maple_tree.ts`,
        find: "    if (is_dead(cpu, node)) entry =",
        replace: "    if (is_dead(cpu, node) && entry === NULL) entry =",
      },
    ],
    explore: ["maple_tree-replace-gp"],
    torture: ["--scenario", "maple_tree"],
    quick: true,
  },
];
