/** Planted bugs of the slab allocator. */
import type { Mutant } from "./mutant.ts";

const SLUB = "src/shared/linux/mm/slub";

export const SLUB_MUTANTS: readonly Mutant[] = [
  {
    name: "slab-word-stored",
    what: "the slab word is compared and then stored, in two steps",
    edits: [
      {
        file: `${SLUB}/slab_word.ts`,
        find: "cpu.mem.cmpxchg(slab, COUNTERS, old_word, new_word) === old_word",
        replace:
          "cpu.mem.read_once(slab, COUNTERS) === old_word && (cpu.mem.write_once(slab, COUNTERS, new_word), true)",
      },
    ],
    explore: ["refill-remote-free"],
    torture: ["--config", "tiny"],
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
    explore: ["refill-remote-free-last"],
    torture: ["--config", "tiny"],
    quick: false,
  },
  {
    name: "on-partial-before-lock",
    what: "__slab_free looks whether the slab is on the partial list before it takes list_lock",
    edits: [
      {
        file: `${SLUB}/free.ts`,
        find: "  const flags = lock_node(cpu, n);\n  const on_partial = slab_test_node_partial(cpu, slab);",
        replace: "  const on_partial = slab_test_node_partial(cpu, slab);\n  const flags = lock_node(cpu, n);",
      },
    ],
    explore: ["refill-remote-free-last"],
    torture: [],
    quick: true,
  },
  {
    name: "install-empty-sheaf-blindly",
    what: "an empty sheaf takes main's place although the sheaves have changed meanwhile",
    edits: [
      {
        file: `${SLUB}/pcs_replace.ts`,
        find: "  if (spare === NULL) {\n    swap_main_and_spare(cpu, pcs, main, empty);",
        replace: "  if (spare === NULL || spare > 0) {\n    swap_main_and_spare(cpu, pcs, main, empty);",
      },
    ],
    explore: ["sheaf-free-nmi-alloc"],
    torture: [],
    quick: false,
  },
  {
    name: "spare-visible-while-filled",
    what: "the spare stays in its place while a refill fills it",
    edits: [
      {
        file: `${SLUB}/pcs_replace.ts`,
        find: "      empty = spare;\n      mem.write(pcs, SPARE, NULL);\n",
        replace: "      empty = spare;\n",
      },
      {
        file: `${SLUB}/pcs_replace.ts`,
        find: "  const main = mem.read(pcs, MAIN);\n  const spare = mem.read(pcs, SPARE);\n  if (mem.read(main, SIZE) === 0) {",
        replace:
          "  if (mem.read(pcs, SPARE) === full) mem.write(pcs, SPARE, NULL);\n  const main = mem.read(pcs, MAIN);\n  const spare = mem.read(pcs, SPARE);\n  if (mem.read(main, SIZE) === 0) {",
      },
    ],
    explore: ["nolock-on-kmalloc"],
    torture: [],
    quick: true,
  },
  {
    name: "free-size-read-before-lock",
    what: "a free reads main and its size before it has the sheaf lock",
    edits: [
      {
        file: `${SLUB}/pcs.ts`,
        find: "  if (!local_trylock(cpu, embedded(pcs, LOCK))) return false;\n  const main = mem.read(pcs, MAIN);\n  const size = mem.read(main, SIZE);\n",
        replace:
          "  const main = mem.read(pcs, MAIN);\n  const size = mem.read(main, SIZE);\n  if (!local_trylock(cpu, embedded(pcs, LOCK))) return false;\n",
      },
    ],
    explore: ["sheaf-alloc-nmi-free"],
    torture: [],
    quick: true,
  },
];
