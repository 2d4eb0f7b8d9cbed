/** All planted bugs: at least one for each mechanism. */
import { IRQ_WORK_MUTANTS } from "./irq_work.ts";
import { KVFREE_RCU_MUTANTS } from "./kvfree_rcu.ts";
import { MACHINE_MUTANTS } from "./machine.ts";
import type { Mutant } from "./mutant.ts";
import { RCU_MUTANTS } from "./rcu.ts";
import { SLUB_MUTANTS } from "./slub.ts";
import { WAITING_MUTANTS } from "./waiting.ts";

export const MUTANTS: readonly Mutant[] = [
  ...MACHINE_MUTANTS,
  ...WAITING_MUTANTS,
  ...IRQ_WORK_MUTANTS,
  ...RCU_MUTANTS,
  ...SLUB_MUTANTS,
  ...KVFREE_RCU_MUTANTS,
];
