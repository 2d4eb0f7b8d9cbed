/** The table of a CPU's hottest functions: where its time went, and how much of it the CPU waited. */
import { basename, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { waitForInterrupt } from "../../shared/mem/bare_memory.ts";
import type { Frame, Stack } from "./stacks.ts";

const MOST = 10;
/** src or dist. */
const SOURCES = fileURLToPath(new URL("../../", import.meta.url));
/** Widths of columns: with the numbers and the gaps the table stays below 100. */
const NAME_WIDTH = 32;
const PLACE_WIDTH = 46;

interface Hot {
  readonly frame: Frame;
  /** In the function itself. */
  readonly selfUs: number;
  /** In the function and what it called. */
  readonly totalUs: number;
}
export interface CpuTimes {
  readonly us: number;
  /** Blocked: nothing to do, or a lock that another CPU holds. */
  readonly waitingUs: number;
  /** All others, the one with the most time of its own first. */
  readonly functions: readonly Hot[];
}

export function timesOf(stacks: readonly Stack[]): CpuTimes {
  const times = new Map<Frame, { selfUs: number; totalUs: number }>();
  const at = (frame: Frame): { selfUs: number; totalUs: number } => {
    const time = times.get(frame) ?? { selfUs: 0, totalUs: 0 };
    times.set(frame, time);
    return time;
  };
  for (const { frames, us } of stacks) {
    for (const frame of new Set(frames)) at(frame).totalUs += us; // Once, if it calls itself.
    at(frames[frames.length - 1]).selfUs += us;
  }
  const all = [...times].map(([frame, time]): Hot => ({ frame, ...time }));
  const waits = ({ frame }: Hot): boolean => frame.name === waitForInterrupt.name;
  const sum = (hot: readonly Hot[]): number => hot.reduce((us, { selfUs }) => us + selfUs, 0);
  return {
    us: sum(all),
    waitingUs: sum(all.filter(waits)),
    functions: all.filter((hot) => !waits(hot)).toSorted((a, b) => b.selfUs - a.selfUs),
  };
}

/** Lines of less than 100 columns. */
export function hottestTable(cpu: number, { us, waitingUs, functions }: CpuTimes): readonly string[] {
  const share = (part: number): string => `${((100 * part) / Math.max(us, 1)).toFixed(1)} %`;
  return [
    `CPU ${cpu}: ${(us / 1e6).toFixed(2)} s, waiting ${share(waitingUs)}`,
    `${"self".padStart(8)}${"total".padStart(9)}  ${"function".padEnd(NAME_WIDTH)}in`,
    ...functions.slice(0, MOST).map(({ frame, selfUs, totalUs }) => {
      const name = frame.name.slice(0, NAME_WIDTH - 1).padEnd(NAME_WIDTH);
      return `${share(selfUs).padStart(8)}${share(totalUs).padStart(9)}  ${name}${placeOf(frame)}`.trimEnd();
    }),
  ];
}

/** "shared/linux/mm/slub/free.ts:12" */
function placeOf({ file, line }: Frame): string {
  if (file === "") return "";
  const path = file.startsWith(SOURCES) ? relative(SOURCES, file) : basename(file);
  const place = `${path}:${line}`;
  return place.length <= PLACE_WIDTH ? place : `...${place.slice(3 - PLACE_WIDTH)}`;
}
