/** The two programs that should notice a planted bug (tools/measure.ts), each run in a copy of the tree that has it. */
import * as measure from "../../tools/measure.ts";
import type { Mutant } from "./mutant.ts";
import { withPlanted } from "./plant.ts";

export type { Explored, Outcome } from "../../tools/measure.ts";

export function explore(mutant: Mutant): measure.Explored {
  return withPlanted(mutant, (cwd) => measure.explore(cwd, mutant.explore));
}
export function torture(mutant: Mutant): measure.Outcome {
  return withPlanted(mutant, (cwd) => measure.torture(cwd, mutant.torture));
}
