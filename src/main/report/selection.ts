/** How much of an execution a report shows: as many steps as have a story to tell and fit on a page. */
import { END, from, MOVED, RACING, relevance, ROUTINE, SHARED } from "./relevance.ts";
import { outline, type Row } from "./outline.ts";
import type { Step, Trace } from "./trace.ts";

/** Rows that a reader takes in. */
const PAGE = 80;
/** Never more: the middle is cut then. */
const MOST_ROWS = 150;
/** With fewer rows less relevant steps are shown too. */
const FEW = 10;

interface Page {
  readonly rows: readonly Row[];
  /** In the order of time. */
  readonly steps: readonly Step[];
}

/** The rows of a full report. */
export function pageOf(trace: Trace): readonly Row[] {
  return cut(choose(trace, relevance(trace)).rows, MOST_ROWS);
}

function choose(trace: Trace, scores: ReadonlyMap<Step, number>): Page {
  const pageFrom = (score: number): Page => {
    const chosen = new Set(from(scores, score));
    const steps = trace.events.filter((event) => event.what === "step").filter((step) => chosen.has(step));
    return { rows: outline(trace, chosen, true), steps };
  };
  let page = pageFrom(RACING);
  for (let score = RACING - 1; score >= ROUTINE; score--) {
    const enough = score >= END ? PAGE : score === SHARED ? FEW : 1;
    if (page.rows.length >= enough) break;
    const more = pageFrom(score);
    if (more.rows.length > PAGE) break;
    page = more;
  }
  return page;
}

/**
 * The rows of a diagram: the decisive ones of the same steps, without those that are least missed until it fits, and
 * nothing about what is left out.
 */
export function diagramOf(trace: Trace, fits: (rows: readonly Row[]) => boolean): readonly Row[] {
  const scores = relevance(trace);
  const page = choose(trace, scores).steps;
  const decisive = page.filter((step) => (scores.get(step) ?? 0) > END);
  const steps = decisive.length === 0 ? page : decisive;
  const order = leastMissed(steps, scores);
  const rowsWithout = (count: number): readonly Row[] => {
    const left = new Set(order.slice(0, count));
    return outline(trace, new Set(steps.filter((step) => !left.has(step))), false);
  };
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(rowsWithout(middle))) high = middle;
    else low = middle + 1;
  }
  return rowsWithout(low);
}

/**
 * Steps in the order in which a diagram does without them: what another one implies, then the less relevant, oldest first,
 * then what races, from the middle of the story. The last racing step of each frame always stays.
 */
function leastMissed(steps: readonly Step[], scores: ReadonlyMap<Step, number>): readonly Step[] {
  const score = (step: Step): number => scores.get(step) ?? 0;
  const isRacing = (step: Step): boolean => score(step) === RACING;
  const isDecisive = (step: Step): boolean => isRacing(step) || score(step) === MOVED;
  const implied = steps.filter((step, i) =>
    step.writes ? isVain(step) && !isRacing(step) : isTold(step, steps[i + 1]),
  );
  const less = steps.filter((step) => !isDecisive(step)).toSorted((a, b) => score(a) - score(b));
  const decisive = steps.filter(isDecisive);
  const fromMiddle = (i: number): number => Math.abs(i - decisive.length / 2);
  const middle = [...decisive.entries()].toSorted(([a], [b]) => fromMiddle(a) - fromMiddle(b)).map(([, step]) => step);
  const last = new Set(new Map(steps.filter(isRacing).map((step) => [step.frame, step])).values());
  return [...new Set([...implied, ...less, ...middle])].filter((step) => !last.has(step));
}
/** A write that changes nothing. */
const isVain = ({ before, after }: Step): boolean => before === after;
/** A read whose value the write that comes next shows too. */
const isTold = ({ frame, address }: Step, next: Step | undefined): boolean =>
  next?.frame === frame && next.address === address && next.writes && !isVain(next);

/** The beginning and the longer end. */
function cut(rows: readonly Row[], most: number): readonly Row[] {
  if (rows.length <= most) return rows;
  const head = Math.floor(most / 3);
  const tail = most - head - 1;
  const line = `... ${rows.length - head - tail} rows are left out here`;
  return [...rows.slice(0, head), { line }, ...rows.slice(-tail)];
}
