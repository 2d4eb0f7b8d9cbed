/**
 * Which debugging facility runs where: what `sheaf list hooks` prints and docs/HOOKS.md contains. Made from the data by
 * which the hooks are called (src/shared/linux/mm/debug), as Markdown that can be read in a terminal.
 */
import { FACILITIES } from "../../shared/linux/mm/debug/facilities.ts";
import { type Facility, PATH, type PathName } from "../../shared/linux/mm/debug/facility.ts";
import { WIDTH } from "./columns.ts";
import { wrap } from "./wrap.ts";

const PATHS = Object.keys(PATH) as readonly PathName[];
const WAITS = { never: "never waited for", allowed: "waited for where that is allowed", always: "waited for" } as const;

/** The lines. */
export function hookTable(): readonly string[] {
  return [...matrix(), ...FACILITIES.flatMap((facility) => ["", ...section(facility)])];
}

/** A row a facility, a column a path. */
function matrix(): readonly string[] {
  const cell = (facility: Facility, path: PathName): string => (stepsOn(facility, path).length > 0 ? "yes" : "-");
  const rows = [
    ["facility", ...PATHS],
    ...FACILITIES.map((facility) => [facility.name, ...PATHS.map((path) => cell(facility, path))]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[], fill = " "): string =>
    `| ${cells.map((text, column) => text.padEnd(widths[column], fill)).join(" | ")} |`;
  const [header, ...body] = rows;
  return [
    line(header),
    line(
      header.map(() => ""),
      "-",
    ),
    ...body.map((row) => line(row)),
  ];
}

/** What a facility does on each path, or why nothing. */
function section(facility: Facility): readonly string[] {
  const { name, summary, locks, spins, skipped } = facility;
  const items = PATHS.map((path) => {
    const steps = stepsOn(facility, path);
    if (steps.length > 0) return `${path}: ${steps.join(", ")}`;
    const { why, tolerated } = skipped[path] ?? { why: "" };
    return `not ${path}: ${why}${tolerated === undefined ? "" : `. Tolerated: ${tolerated}`}`;
  });
  return [
    `### ${name}`,
    "",
    ...wrap(`${capitalised(summary)}. Locks: ${locks}${locks === "none" ? "" : `; ${WAITS[spins]}`}.`, WIDTH, 0, 0),
    "",
    ...items.flatMap((text) => wrap(`- ${text}.`, WIDTH, 0, 2)),
  ];
}

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function stepsOn({ hooks }: Facility, path: PathName): readonly string[] {
  return hooks.filter(({ paths }) => paths.includes(path)).map(({ step }) => step);
}
