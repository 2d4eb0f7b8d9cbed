/** Planted bugs that only a kernel of another configuration has (docs/CONFIGURATIONS.md). */
import type { Mutant } from "./mutant.ts";

const SLUB = "src/shared/linux/mm/slub";

export const CONFIGURATION_MUTANTS: readonly Mutant[] = [
  {
    name: "slab-lock-with-irqs-on",
    what: "slab_update_freelist takes slab_lock with IRQs on",
    edits: [
      {
        file: `${SLUB}/slab_word.ts`,
        find: "  const flags = local_irq_save(cpu); // Why: an IRQ",
        replace: "  const flags = irqs_disabled(cpu) ? local_irq_save(cpu) : 0; // Why: an IRQ",
      },
    ],
    explore: ["nocmpxchg-irq-free"],
    torture: ["--config", "nocmpxchg,tiny"],
    quick: true,
  },
  {
    name: "nolock-takes-slab-lock",
    what: "kmalloc_nolock does not refuse caches that are updated under slab_lock",
    edits: [
      {
        file: `${SLUB}/nolock.ts`,
        find: "(__CMPXCHG_DOUBLE | SLAB_DEBUG_FLAGS)) === 0) return NULL;",
        replace: "(__CMPXCHG_DOUBLE | SLAB_DEBUG_FLAGS)) === -1) return NULL;",
      },
    ],
    explore: ["nocmpxchg-irq-free"],
    torture: ["--config", "nocmpxchg,tiny"],
    quick: false,
  },
  {
    name: "node-by-node",
    what: "a cache is shut down node by node, though the barn of a later node holds objects of an earlier one",
    edits: [
      {
        file: `${SLUB}/shutdown.ts`,
        find: "  shrink_barns(cpu, s);\n  for (let node = 0; node < cpu.map.shape.nodes; node++) {\n",
        replace:
          "  for (let node = 0; node < cpu.map.shape.nodes; node++) {\n    if (node === cpu.map.shape.nodes - 1) shrink_barns(cpu, s);\n",
      },
    ],
    explore: ["memless-destroy"],
    torture: ["--config", "numa=2:memless"],
    quick: true,
  },
  {
    name: "mightsleep-without-grace-period",
    what: "kfree_rcu_mightsleep without a page frees at once",
    edits: [
      {
        file: "src/shared/linux/mm/kvfree_rcu/unbatched.ts",
        find: "  synchronize_rcu(cpu);\n",
        replace: "",
      },
    ],
    explore: ["lowmem-mightsleep"],
    torture: ["--config", "lowmem=1,cached=0"],
    quick: false,
  },
];
