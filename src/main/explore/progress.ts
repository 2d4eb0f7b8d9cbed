/** The line that says how a search is getting on, where there is a terminal to show it on. */
import type { Output } from "../command.ts";
import type { SearchState } from "./search.ts";

const INTERVAL_MS = 250;

export class Progress {
  private readonly show: ((line: string) => void) | undefined;
  private last: SearchState = { schedules: 0, steps: 0, pairs: 0 };
  private lastMs = performance.now();
  private newPairMs = this.lastMs;
  private title = "";
  private isShown = false;

  constructor(output: Output, isQuiet: boolean) {
    this.show = isQuiet ? undefined : output.progress;
  }
  /** Another scenario is searched from now on. */
  begin(title: string): void {
    this.title = title;
    this.last = { schedules: 0, steps: 0, pairs: 0 };
    this.lastMs = performance.now();
    this.newPairMs = this.lastMs;
  }
  update(now: SearchState): void {
    const nowMs = performance.now();
    if (now.pairs > this.last.pairs) this.newPairMs = nowMs;
    if (this.show === undefined || nowMs - this.lastMs < INTERVAL_MS) return;
    const { schedules, pairs } = this.last;
    const rate = perSecond(now.schedules - schedules, nowMs - this.lastMs);
    const sinceS = ((nowMs - this.newPairMs) / 1000).toFixed(1);
    const growth = `${grouped(now.pairs)} pairs (+${grouped(now.pairs - pairs)}), the last new one ${sinceS} s ago`;
    this.isShown = true;
    this.show(`${this.title}: ${grouped(now.schedules)} schedules (${rate}), ${growth}`);
    this.last = now;
    this.lastMs = nowMs;
  }
  /** Makes room for other lines. */
  clear(): void {
    if (this.isShown) this.show?.("");
    this.isShown = false;
  }
}

export function perSecond(n: number, ms: number): string {
  return `${grouped(Math.round((n * 1000) / Math.max(ms, 1)))}/s`;
}
export function grouped(n: number): string {
  return n.toLocaleString("en-US");
}
