/** The form of commit messages: two or three columns with functions and the few decisive accesses, in order of time. */
import { cell, WIDTH } from "./columns.ts";
import { diagramOf } from "./selection.ts";
import type { Trace } from "./trace.ts";
import { toAscii } from "./wrap.ts";

const MOST_ROWS = 30;
const INDENT = "  ";

/** @returns lines; CPUs that do nothing decisive have no column. */
export function asciiDiagram(trace: Trace): readonly string[] {
  const rows = diagramOf(trace, MOST_ROWS);
  const cpus = [...new Set(rows.flatMap((row) => ("line" in row ? [] : [row.cpu])))].toSorted((a, b) => a - b);
  const width = Math.floor((WIDTH - INDENT.length) / Math.max(cpus.length, 1)) - 2;
  const line = (cells: readonly string[]): string =>
    `${INDENT}${cells.map((text) => text.padEnd(width + 2)).join("")}`.trimEnd();
  const names = cpus.map((cpu) => `CPU ${cpu}`);
  const lines = [line(names), line(names.map((name) => "-".repeat(name.length)))];
  for (const row of rows) {
    if ("line" in row) {
      if (row.line.startsWith("...")) lines.push(line([row.line]));
      continue;
    }
    const shown = row.calls === undefined ? row : { ...row, calls: row.calls.slice(-1) };
    for (const text of cell(shown, width)) lines.push(line(cpus.map((cpu) => (cpu === row.cpu ? text : ""))));
  }
  return lines.map(toAscii);
}
