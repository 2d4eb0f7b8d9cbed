/** Planted bugs of debugged caches. */
import type { Mutant } from "./mutant.ts";

const SLUB = "src/shared/linux/mm/slub";

export const SLUB_DEBUG_MUTANTS: readonly Mutant[] = [
  {
    name: "debug-new-slab-spins",
    what: "kmalloc_nolock() waits for the list_lock of a debugged cache",
    edits: [
      {
        file: `${SLUB}/debug_new_slab.ts`,
        find: "flags = lock_node_if(cpu, n, false);",
        replace: "flags = lock_node_if(cpu, n, true);",
      },
    ],
    explore: ["debug-new-slab"],
    torture: ["--config", "debug=FZP"],
    quick: true,
  },
  {
    name: "debug-checks-before-lock",
    what: "the objects of a free to a debugged cache are checked before list_lock is taken",
    edits: [
      {
        file: `${SLUB}/debug_free.ts`,
        find: "  const flags = lock_node(cpu, n);\n  const cnt = free_debug_processing(cpu, slot, slab, { head, tail, cnt: bulk_cnt }, handle);\n",
        replace:
          "  const cnt = free_debug_processing(cpu, slot, slab, { head, tail, cnt: bulk_cnt }, handle);\n  const flags = lock_node(cpu, n);\n",
      },
    ],
    explore: ["debug-full-and-empty"],
    torture: ["--config", "debug=FZP"],
    quick: false,
  },
  {
    name: "debug-link-of-deferred-object",
    what: "validation takes the link of an object that kfree_nolock() has deferred for a broken free pointer",
    edits: [
      {
        file: `${SLUB}/validate.ts`,
        find: "free ? SLUB_RED_INACTIVE : SLUB_RED_ACTIVE, free)",
        replace: "free ? SLUB_RED_INACTIVE : SLUB_RED_ACTIVE)",
      },
    ],
    explore: ["debug-validate"],
    torture: [],
    quick: false,
  },
  {
    name: "debug-full-not-listed",
    what: "a slab of a debugged cache that becomes full by an allocation is not put on the list of full slabs",
    edits: [
      {
        file: `${SLUB}/debug_alloc.ts`,
        find: "    add_full(cpu, flags, n, slab);\n",
        replace: "",
      },
    ],
    explore: ["debug-full-and-empty"],
    torture: ["--config", "debug=U"],
    quick: true,
  },
];
