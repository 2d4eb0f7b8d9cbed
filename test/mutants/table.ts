/**
 * The table of docs/MUTANTS.md. What was not run now keeps what the page says, so one bug, or one program, can be measured
 * anew.
 */
import type { Explored, Outcome } from "./drivers.ts";
import type { Mutant } from "./mutant.ts";

const COLUMNS = ["bug", "scenario", "schedules", "seconds", "torture, seconds", "verdict"] as const;
type Row = readonly string[];
const NOT_RUN = "not run";
const VERDICT_WIDTH = 110;

export interface Measured {
  readonly mutant: Mutant;
  readonly explored: Explored | undefined;
  readonly tortured: Outcome | undefined;
}

/** @param page  docs/MUTANTS.md as it is */
export function table(measured: readonly Measured[], page: string): string {
  const known = new Map(rowsOf(page).map((row) => [row[0], row]));
  const rows = measured.map((one) => rowOf(one, known.get(titleOf(one.mutant)) ?? []));
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: Row): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [COLUMNS, rule, ...rows].map(line).join("\n");
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
    explored === undefined ? seconds : secondsOf(explored),
    tortured === undefined ? torture : secondsOf(tortured),
    explored === undefined ? verdict : explored.message.replaceAll("|", "\\|").slice(0, VERDICT_WIDTH).trim(),
  ];
}
function secondsOf({ caught, seconds, message }: Outcome): string {
  return caught ? seconds.toFixed(1) : message;
}

/** The rows of a table in Markdown. */
function rowsOf(page: string): readonly Row[] {
  const lines = page.split("\n").filter((line) => line.startsWith("| `"));
  return lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
