/** Rows side by side: a column for each CPU, or, where there are too many, every row with its CPU in front. */
import type { CpuRow, Row } from "./outline.ts";
import { wrap } from "./wrap.ts";

/** Widest line that a mail keeps as it is. */
export const WIDTH = 98;
const MOST_COLUMNS = 4;
const SEPARATOR = " | ";

/** @param names  of the CPUs. @returns lines; the first two name them. */
export function columns(rows: readonly Row[], names: readonly string[]): readonly string[] {
  const cpus = names.length;
  const inColumns = cpus <= MOST_COLUMNS;
  const width = inColumns ? Math.floor((WIDTH - SEPARATOR.length * (cpus - 1)) / cpus) : WIDTH - 7;
  const place = (cpu: number, text: string): string => {
    if (!inColumns) return `${names[cpu].padEnd(6)}  ${text}`;
    const cells = Array.from({ length: cpus }, (_, i) => (i === cpu ? text : "").padEnd(width));
    return cells.join(SEPARATOR).trimEnd();
  };
  const heads = names.map((name) => name.padEnd(width));
  const header = inColumns ? [heads.join(SEPARATOR).trimEnd(), heads.map(() => "-".repeat(width)).join("-+-")] : [];
  return [
    ...header,
    ...rows.flatMap((row) => ("line" in row ? [rule(row.line)] : cell(row, width).map((line) => place(row.cpu, line)))),
  ];
}

const rule = (text: string): string => `--- ${text} ---`.padEnd(40, "-");

/** A row as lines of a column. */
export function cell({ depth, text, calls }: CpuRow, width: number): readonly string[] {
  const indent = Math.min(2 * depth, Math.floor(width / 3));
  if (calls !== undefined) return [" ".repeat(indent) + callChain(calls, width - indent)];
  const whole = text.join(" ");
  if (whole.length + indent <= width) return [" ".repeat(indent) + whole];
  return text.flatMap((piece, i) => wrap(piece, width, i === 0 ? indent : indent + 2, 2));
}

/** As many callers in front of the innermost function as there is room for, the outermost one first. */
function callChain(calls: readonly string[], width: number): string {
  const whole = `${calls.join(" > ")}()`;
  if (whole.length <= width) return whole;
  const [outermost] = calls;
  let text = `${calls.at(-1)}()`;
  const start = `${outermost} > ... > `;
  const room = start.length + text.length <= width ? width - start.length : width;
  for (const caller of calls.slice(1, -1).toReversed()) {
    if (caller.length + 3 + text.length > room) break;
    text = `${caller} > ${text}`;
  }
  return room < width ? start + text : text.slice(0, width);
}
