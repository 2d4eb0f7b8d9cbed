/** The form of commit messages: two or three columns with functions and the few decisive accesses, in order of time. */
import { cell, WIDTH } from "./columns.ts";
import type { CpuRow, Row } from "./outline.ts";
import { diagramOf } from "./selection.ts";
import type { Trace } from "./trace.ts";
import { toAscii } from "./wrap.ts";

const MOST_LINES = 30;
const INDENT = 2;
/** Between columns. */
const GAP = 2;
const NARROWEST = 30;

/** @returns lines; CPUs that do nothing decisive have no column. */
export function asciiDiagram(trace: Trace): readonly string[] {
  const lay = (rows: readonly Row[]): readonly string[] => layOut(rows, trace.names);
  const [names, ...lines] = lay(diagramOf(trace, (rows) => lay(rows).length <= MOST_LINES + 1));
  return [names, names.replaceAll(/CPU \d+'?/g, (name) => "-".repeat(name.length)), ...lines].map(toAscii);
}

/** The names of the CPUs, then the rows. */
function layOut(rows: readonly Row[], names: readonly string[]): readonly string[] {
  const ofCpus = rows.filter((row) => "cpu" in row);
  const cpus = [...new Set(ofCpus.map(({ cpu }) => cpu))].toSorted((a, b) => a - b);
  const widths = shareOut(cpus.map((cpu) => widest(ofCpus.filter((row) => row.cpu === cpu))));
  const line = (at: (cpu: number) => string): string =>
    (" ".repeat(INDENT) + cpus.map((cpu, i) => at(cpu).padEnd(widths[i] + GAP)).join("")).trimEnd();
  return [
    line((cpu) => names[cpu]),
    ...ofCpus.flatMap((row) =>
      cell(row, widths[cpus.indexOf(row.cpu)]).map((text) => line((cpu) => (cpu === row.cpu ? text : ""))),
    ),
  ];
}
/** The widest line of these rows, each call without its callers. */
function widest(rows: readonly CpuRow[]): number {
  const lines = rows.flatMap((row) =>
    cell(row.calls === undefined ? row : { ...row, calls: row.calls.slice(-1) }, WIDTH),
  );
  return Math.max(NARROWEST, ...lines.map((text) => text.length));
}
/** Widths of columns that want so much: the widest ones give way if there is too little room. */
function shareOut(wanted: readonly number[]): readonly number[] {
  const room = WIDTH - INDENT - GAP * (wanted.length - 1);
  for (let most = room; ; most--) {
    const widths = wanted.map((width) => Math.min(width, most));
    const left = room - widths.reduce((sum, width) => sum + width, 0);
    if (left >= 0) return widths.map((width) => width + Math.floor(left / widths.length));
  }
}
