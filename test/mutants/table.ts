/**
 * The table of docs/MUTANTS.md. What was not run now keeps what the page says, so one bug, or one program, can be measured
 * anew.
 */
import { cellOf, markdownTable, type Row, rowsByFirst, secondsOf } from "../../tools/markdown_table.ts";
import type { Explored, Outcome } from "./drivers.ts";
import type { Mutant } from "./mutant.ts";

const COLUMNS = ["bug", "scenario", "schedules", "seconds", "torture, seconds", "verdict"] as const;
const NOT_RUN = "not run";
const VERDICT_WIDTH = 110;

export interface Measured {
  readonly mutant: Mutant;
  readonly explored: Explored | undefined;
  readonly tortured: Outcome | undefined;
}

/** @param page  docs/MUTANTS.md as it is */
export function table(measured: readonly Measured[], page: string): string {
  const known = rowsByFirst(page, "`");
  const rows = measured.map((one) => rowOf(one, known.get(titleOf(one.mutant)) ?? []));
  return markdownTable(COLUMNS, rows);
}

function titleOf({ name, what }: Mutant): string {
  return `\`${name}\`: ${what}`;
}
function rowOf({ mutant, explored, tortured }: Measured, known: Row): Row {
  const [, , schedules = NOT_RUN, seconds = "", torture = NOT_RUN, verdict = ""] = known;
  return [
    titleOf(mutant),
    mutant.explore.join(" "),
    explored === undefined ? schedules : explored.schedules.toLocaleString("en"),
    explored === undefined ? seconds : secondsOf(explored, VERDICT_WIDTH),
    tortured === undefined ? torture : secondsOf(tortured, VERDICT_WIDTH),
    explored === undefined ? verdict : cellOf(explored.message, VERDICT_WIDTH),
  ];
}
