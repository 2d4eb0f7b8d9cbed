/**
 * Tables in Markdown of what was measured, written and read back: what is not measured now keeps what the page says. Cells
 * are read as they are written, with their bars escaped, so they can be printed again as they are.
 */
import type { Outcome } from "./measure.ts";

export type Row = readonly string[];

/** Columns as wide as their widest cell. A row may be short: the rest of its cells are empty. */
export function markdownTable(columns: Row, rows: readonly Row[]): string {
  const widths = columns.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: Row): string => `| ${widths.map((width, i) => (cells[i] ?? "").padEnd(width)).join(" | ")} |`;
  return [columns, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n");
}

/** The rows whose first cell starts with `start`, by that cell, of whichever table on the page. */
export function rowsByFirst(page: string, start: string): ReadonlyMap<string, Row> {
  const lines = page.split("\n").filter((line) => line.startsWith(`| ${start}`));
  const rows = lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return new Map(rows.map((row) => [row[0], row]));
}

/** What a program says, as a cell. A bar would end the cell, so it is escaped. */
export function cellOf(message: string, width: number): string {
  return message
    .replaceAll("|", String.raw`\|`)
    .slice(0, width)
    .trim();
}
/** How long a program needed to notice; or why it did not. */
export function secondsOf({ caught, seconds, message }: Outcome, width: number): string {
  return caught ? seconds.toFixed(1) : cellOf(message, width);
}
