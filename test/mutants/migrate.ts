/** Planted bugs of code that keeps what belongs to the CPU over a window in which its task may be moved. */
import type { Mutant } from "./mutant.ts";

const PCS_REPLACE = "src/shared/linux/mm/slub/pcs_replace.ts";
const KFREE_RCU_SHEAF = "src/shared/linux/mm/kvfree_rcu/kfree_rcu_sheaf.ts";
const TORTURE = ["--config", "migrate,tiny", "--scenario", "nolock"];
const RELOCK = `  pcs_unlocked_window(cpu);
  const pcs = this_cpu_sheaves(cpu, s);
`;

export const MIGRATE_MUTANTS: readonly Mutant[] = [
  {
    name: "relock-old-cpu-alloc",
    what: "after the window of an allocation the sheaves of the old CPU are locked",
    edits: [
      {
        file: PCS_REPLACE,
        find: RELOCK,
        replace: "  const pcs = this_cpu_sheaves(cpu, s);\n  pcs_unlocked_window(cpu);\n",
      },
    ],
    explore: ["migrate-alloc-some"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "relock-old-cpu-free",
    what: "after the window of a free the sheaves of the old CPU are locked",
    edits: [
      {
        file: PCS_REPLACE,
        find: RELOCK,
        replace: "  const pcs = this_cpu_sheaves(cpu, s);\n  pcs_unlocked_window(cpu);\n",
      },
    ],
    explore: ["migrate-free-empty"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "rcu-free-of-old-cpu",
    what: "a new rcu_free sheaf is given to the CPU that the task was on before",
    edits: [
      {
        file: KFREE_RCU_SHEAF,
        find: "  pcs_unlocked_window(cpu);\n",
        replace: "  const pcs = this_cpu_sheaves(cpu, s);\n  pcs_unlocked_window(cpu);\n",
      },
      {
        file: KFREE_RCU_SHEAF,
        find: "  const pcs = this_cpu_sheaves(cpu, s); // Again: this may be another CPU by now.\n",
        replace: "",
      },
    ],
    explore: ["migrate-kfree-rcu-empty"],
    torture: TORTURE,
    quick: true,
  },
  {
    name: "main-not-looked-at-again",
    what: "a full sheaf takes main's place although the new CPU has objects in main, and a spare sheaf",
    edits: [
      {
        file: PCS_REPLACE,
        find: "  if (mem.read(main, SIZE) === 0) {",
        replace: "  if (mem.read(main, SIZE) >= 0) {",
      },
    ],
    explore: ["migrate-alloc-full-spare"],
    torture: TORTURE,
    quick: true,
  },
];
