/**
 * An execution as rows: entry functions, below each the calls that lead to the chosen steps, the steps, and lines for what
 * came between. How rows are laid out is up to columns.ts and ascii_diagram.ts.
 */
import { inFunctions, pathOf } from "./entry.ts";
import { type Frame, IDLE, LEVEL_TASK, type Step, type Trace } from "./trace.ts";
import { LOOK_FOR_WORK, sleepingPath } from "./waiting.ts";

/** A row of one CPU. */
export interface CpuRow {
  readonly cpu: number;
  readonly depth: number;
  /** Pieces that stay together where there is room. */
  readonly text: readonly string[];
  /** Functions from caller to callee, instead of text. */
  readonly calls?: readonly string[];
}
export type Row = CpuRow | { readonly line: string };

/** What code and people call a variable whose name is long. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([["deferred_percpu_work", "dpw"]]);

/** Runs of left-out steps that are shorter are not worth a row. */
const LONG_GAP = 8;

export function shorten(text: string): string {
  return text.replaceAll(/\w+/g, (part) => SHORT_NAMES.get(part) ?? part);
}

/** What happened in a step: "main->size", "3 -> 2". */
function describeStep({ word, before, after, writes, method, visible }: Step): readonly string[] {
  const [name, from, to] = [word, before, after].map((text) => shorten(text));
  if (!writes) return [`read ${name}`, `= ${to}`];
  const buffered = visible ? "" : " (buffered)";
  if (from !== to) return [name, `${from} -> ${to}${buffered}`];
  return [name, `= ${to}${method === "cmpxchg" ? " (cmpxchg fails)" : buffered}`];
}

/** @param gaps  say how many steps were left out. */
export function outline(trace: Trace, chosen: ReadonlySet<Step>, gaps: boolean): readonly Row[] {
  return new Outline(trace, chosen, gaps).rows;
}

class Outline {
  readonly rows: Row[] = [];
  private readonly names: readonly string[];
  private readonly chosen: ReadonlySet<Step>;
  private readonly gaps: boolean;
  /** Frames with chosen steps, in them or in what interrupted them. */
  private readonly shown: ReadonlySet<Frame>;
  /** CPU of the last row, and how it was left since. */
  private cpu = -1;
  private switched: { readonly blocked: boolean; readonly isIdle: boolean } | undefined;
  private readonly innermost = new Map<number, Frame>();
  private readonly last = new Map<Frame, Step>();
  /** What waits on each CPU, as long as no row says so. */
  private readonly waiting = new Map<number, Frame>();
  /** Function of each frame that is known to wait. */
  private readonly waited = new Map<Frame, string>();
  /** Last path shown of each frame. */
  private readonly paths = new Map<Frame, readonly string[]>();
  /** Steps left out since the last row of each CPU. */
  private readonly skipped = new Map<number, Step[]>();
  /** The last value seen of a word by each frame: a loop that reads it again and again has nothing to tell. */
  private readonly seen = new Map<Frame, Map<number, string>>();
  /** Time that has passed since the last row. */
  private jiffies = 0;
  private ticks = "";

  constructor(trace: Trace, chosen: ReadonlySet<Step>, gaps: boolean) {
    this.names = trace.names;
    this.chosen = chosen;
    this.gaps = gaps;
    this.shown = framesOf(trace, chosen);
    for (const event of trace.events) {
      if (event.what === "step") this.step(event);
      else if (event.what === "begin") this.begin(event.frame, event.chosen);
      else if (event.what === "end") this.end(event.frame);
      else if (event.what === "tick") this.tick(event.jiffies, event.forced);
      else if (event.what === "switch") this.leave(event.from, event.blocked);
      else {
        this.arrive(event.cpu);
        const text = [shorten(event.word), `${event.before} -> ${event.after} (drained)`];
        this.rows.push({ cpu: event.cpu, depth: 1, text });
      }
    }
    this.finish(trace);
  }
  /** Ends where the CPU stands that was in the middle of something when the failure was noticed. */
  private finish(trace: Trace): void {
    const last = trace.events.findLast((event) => event.what === "step");
    if (last !== undefined && last.frame.cpu !== this.cpu && this.isOpen(last.frame)) {
      const { frame } = last;
      const [, call] = pathOf(last);
      this.arrive(frame.cpu);
      if (call !== undefined && !this.gaps)
        this.rows.push({ cpu: frame.cpu, depth: depthOf(frame) + 1, text: [`${call}()`] });
    }
    this.endGap();
  }
  private isOpen(frame: Frame): boolean {
    return frame.name !== IDLE && this.shown.has(frame) && this.innermost.get(frame.cpu) === frame;
  }

  private tick(jiffies: number, forced: boolean): void {
    this.jiffies += jiffies;
    const why = forced ? ": nobody can run" : "";
    this.ticks = `${this.jiffies === 1 ? "tick" : `${this.jiffies} ticks`}${why}`;
  }
  private leave(from: number, blocked: boolean): void {
    const frame = this.innermost.get(from);
    if (blocked && frame !== undefined && frame.name !== IDLE) this.waiting.set(from, frame);
    if (from === this.cpu) this.switched ??= { blocked, isIdle: frame === undefined || frame.name === IDLE };
  }
  /** The next row is of this CPU. */
  private arrive(cpu: number): void {
    for (const [other, frame] of this.waiting) if (other !== cpu) this.wait(frame);
    this.moveTo(cpu);
    if (this.ticks !== "") this.rows.push({ line: this.ticks });
    this.ticks = "";
    this.jiffies = 0;
  }
  private moveTo(cpu: number): void {
    if (cpu !== this.cpu) this.endGap();
    if (cpu !== this.cpu && this.cpu !== -1) {
      const { blocked = false, isIdle = true } = this.switched ?? {};
      const why = isIdle ? "is idle" : blocked ? "blocked" : "preempted";
      this.rows.push({ line: `${this.names[cpu]} runs (${this.names[this.cpu]} ${why})` });
    }
    this.cpu = cpu;
    this.switched = undefined;
    this.endGap();
  }
  /** Others go on while this frame waits: a row says in which function, once. */
  private wait(frame: Frame): void {
    const { cpu } = frame;
    this.waiting.delete(cpu);
    const last = this.last.get(frame);
    if (last === undefined) return;
    const path = sleepingPath(last) ?? last.path;
    const name = path.at(-1) ?? "";
    if (name === "" || this.waited.get(frame) === name) return;
    this.waited.set(frame, name);
    this.moveTo(cpu);
    const [entry] = pathOf({ ...last, path });
    this.enter(frame, [entry]);
    this.rows.push({ cpu, depth: depthOf(frame) + (entry === "" ? 0 : 1), text: [`${name}() waits`] });
    this.switched = { blocked: true, isIdle: false };
  }

  private begin(frame: Frame, chosen: boolean): void {
    this.innermost.set(frame.cpu, frame);
    if (frame.level === LEVEL_TASK || !(chosen || this.shown.has(frame))) return;
    this.arrive(frame.cpu);
    const empty = this.shown.has(frame) ? "" : ` ... </${frame.name}>`;
    this.rows.push({ cpu: frame.cpu, depth: depthOf(frame) - 1, text: [`<${frame.name}>${empty}`] });
  }
  private end(frame: Frame): void {
    if (frame.outer === undefined) this.innermost.delete(frame.cpu);
    else this.innermost.set(frame.cpu, frame.outer);
    if (frame.level === LEVEL_TASK || !this.shown.has(frame)) return;
    this.arrive(frame.cpu);
    this.rows.push({ cpu: frame.cpu, depth: depthOf(frame) - 1, text: [`</${frame.name}>`] });
  }

  private step(step: Step): void {
    const { frame } = step;
    this.last.set(frame, step);
    if (this.waiting.get(frame.cpu) === frame) this.waiting.delete(frame.cpu);
    if (!this.chosen.has(step) || this.isRepeated(step)) {
      this.skip(step);
      return;
    }
    this.arrive(frame.cpu);
    const { cpu } = frame;
    const depth = depthOf(frame);
    const path = pathOf(step);
    const [entry, ...calls] = path;
    const before = this.enter(frame, path);
    if (calls.length > 0 && before?.join() !== path.join()) this.rows.push({ cpu, depth: depth + 1, text: [], calls });
    this.rows.push({ cpu, depth: depth + Math.min(path.length, 2) - (entry === "" ? 1 : 0), text: describeStep(step) });
  }
  /** Shows the entry if it is another one than before. @returns the path before */
  private enter(frame: Frame, path: readonly string[]): readonly string[] | undefined {
    const before = this.paths.get(frame);
    this.paths.set(frame, path);
    const [entry] = path;
    if (entry !== "" && before?.[0] !== entry) this.rows.push({ cpu: frame.cpu, depth: depthOf(frame), text: [entry] });
    return before;
  }
  private isRepeated({ frame, address, writes, after }: Step): boolean {
    const values = this.seen.get(frame) ?? new Map<number, string>();
    this.seen.set(frame, values);
    const same = !writes && values.get(address) === after;
    values.set(address, after);
    return same;
  }

  private skip(step: Step): void {
    const { cpu } = step.frame;
    const skipped = this.skipped.get(cpu) ?? [];
    this.skipped.set(cpu, skipped);
    // What a CPU does meanwhile when it waits, or is idle, is not worth a row.
    if (this.shown.has(step.frame) && !step.path.some((name) => LOOK_FOR_WORK.has(name))) skipped.push(step);
  }
  private endGap(): void {
    const skipped = this.skipped.get(this.cpu) ?? [];
    this.skipped.delete(this.cpu);
    if (!this.gaps || skipped.length < LONG_GAP) return;
    const [{ frame }] = skipped;
    const depth = depthOf(frame) + ((this.paths.get(frame)?.[0] ?? "") === "" ? 0 : 1);
    const text = [`... ${skipped.length} steps`, ...inFunctions(skipped)];
    this.rows.push({ cpu: this.cpu, depth, text });
  }
}

/** Task code has depth 0; each interrupt goes two deeper: its brackets, its code. */
function depthOf(frame: Frame): number {
  return frame.outer === undefined ? 0 : depthOf(frame.outer) + 2;
}

function framesOf(trace: Trace, chosen: ReadonlySet<Step>): ReadonlySet<Frame> {
  const frames = new Set<Frame>();
  for (const event of trace.events) {
    if (event.what !== "step" || !chosen.has(event)) continue;
    for (let frame: Frame | undefined = event.frame; frame !== undefined; frame = frame.outer) frames.add(frame);
  }
  return frames;
}
