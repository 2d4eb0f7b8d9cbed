/** How much of an execution a report shows: as many steps as have a story to tell and fit on a page. */
import { END, NEAR, RACING, relevance, SHARED } from "./relevance.ts";
import { outline, type Row } from "./outline.ts";
import type { Step, Trace } from "./trace.ts";

/** Rows that a reader takes in. */
const PAGE = 80;
/** Never more: the middle is cut then. */
const MOST_ROWS = 150;
/** With fewer rows less relevant steps are shown too. */
const FEW = 10;

/** The rows of a full report. */
export function pageOf(trace: Trace): readonly Row[] {
  const scores = relevance(trace);
  const rowsFrom = (score: number): readonly Row[] => outline(trace, stepsFrom(scores, score), true);
  let rows = rowsFrom(RACING);
  for (let score = RACING - 1; score >= SHARED && (rows.length < FEW || score >= END); score--) {
    const more = rowsFrom(score);
    if (more.length > PAGE) break;
    rows = more;
  }
  return cut(rows, MOST_ROWS);
}

/** The rows of a diagram: the decisive accesses only, and nothing about what is left out. */
export function diagramOf(trace: Trace, most: number): readonly Row[] {
  const scores = relevance(trace);
  let rows: readonly Row[] = [];
  for (let score = RACING; score >= SHARED && (rows.length === 0 || score >= NEAR); score--) {
    const more = outline(trace, stepsFrom(scores, score), false);
    if (rows.length > 0 && more.length > most) break;
    rows = more;
  }
  return cut(rows, most);
}

function stepsFrom(scores: ReadonlyMap<Step, number>, lowest: number): ReadonlySet<Step> {
  return new Set([...scores].filter(([, score]) => score >= lowest).map(([step]) => step));
}
/** The beginning and the longer end. */
function cut(rows: readonly Row[], most: number): readonly Row[] {
  if (rows.length <= most) return rows;
  const head = Math.floor(most / 3);
  const tail = most - head - 1;
  const line = `... ${rows.length - head - tail} rows are left out here`;
  return [...rows.slice(0, head), { line }, ...rows.slice(-tail)];
}
