/**
 * Who called, by the stack of the JavaScript engine. kernel/stacktrace.c.
 *
 *   stack_key     numbers that tell stacks apart: what can be had fast
 *   raw_stack     the engine's text
 *   stack_frames  its frames in words
 *
 * A trace ends where the engine, a thread's main loop or an interrupt entered this code: below that stand other CPUs'
 * operations (the explorer runs them on one stack), or what was interrupted. The allocator's own frames are left out.
 */
import { moduleAtLine } from "../base/joined.ts";
import { remembered } from "../base/remembered.ts";

/** Frames of a trace. */
const MOST_FRAMES = 6;
/** Frames asked of the engine, which takes its time for each: some are left out. On top of a check there are more. */
const ASKED = 12;
const ASKED_BY_REPORT = 40;

/** In a path: the module, from src or dist on. (Not from where this module lies: in the built program that is elsewhere.) */
const MODULE = /\/(?:src|dist)\/((?:shared|nmi|workers|main)\/.+)$/;
/** What else is in a checkout, from there on; else the file's name. */
const OTHERS = /\/((?:test|bench|examples)\/.+|[^/]+)$/;
const JOINED_FILE = /\/kernel\.js$/;
/** Below these there is no caller. */
const ENTRIES = ["main/explore/", "workers/"];
const ENTERING = ["run_interrupt", "run_nmi", "run_hardirq", "run_pending_softirqs", "run_items"];
/** These are no callers, wherever they stand. */
const PLUMBING = ["shared/cpu/", "shared/mem/", "shared/linux/lib/stackdepot", "main/explore/scenario"];
/** And these are none before the first one. */
const ALLOCATOR = "shared/linux/mm/slub/";

/** Frames of this function and above it are left out; the engine does that fast. */
type Above = (...args: never[]) => unknown;
const sites_of = (_error: Error, sites: NodeJS.CallSite[]): NodeJS.CallSite[] => sites;

/** Two hashes of the stack. The engine takes as long again to put it into words. @context Any. No step. */
export function stack_key(above: Above): [number, number] {
  const limit = Error.stackTraceLimit;
  const prepare: unknown = Reflect.get(Error, "prepareStackTrace");
  Error.stackTraceLimit = ASKED;
  Error.prepareStackTrace = sites_of;
  const captured: { stack?: unknown } = {};
  Error.captureStackTrace(captured, above);
  const sites = captured.stack as readonly NodeJS.CallSite[];
  Reflect.set(Error, "prepareStackTrace", prepare);
  Error.stackTraceLimit = limit;
  let [first, second] = [sites.length, 0];
  for (const site of sites) {
    const position = site.getPosition();
    first = Math.imul(first ^ position, 0x01000193) ^ (first >>> 13);
    second = (Math.imul(second, 31) + position + (site.getFileName()?.length ?? 0)) | 0;
  }
  return [first, second];
}
/**
 * stack_frames() of this stack, by its key. Why remembered: a machine that starts anew, as explored ones do all the time,
 * has to put the same stacks into words again. What they are depends on the code alone.
 * @context Any. No step.
 */
export function stack_in_words([first, second]: readonly [number, number], above: Above): readonly string[] {
  return remembered(`${first} ${second}`, () => stack_frames(raw_stack(above)));
}
/** The stack as the engine writes it. @context Any. No step. */
export function raw_stack(above: Above = raw_stack, asked = ASKED): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = asked;
  const captured: { stack?: string } = {};
  Error.captureStackTrace(captured, above);
  const { stack = "" } = captured;
  Error.stackTraceLimit = limit;
  return stack;
}
/** "kfree_rcu src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts:81", innermost first. @context Any. No step. */
export function stack_frames(raw: string): string[] {
  const frames: string[] = [];
  for (const line of raw.split("\n")) {
    const found = /^ +at (?:(.*) \()?(?:file:\/\/)?(\S+):(\d+):\d+\)?$/.exec(line);
    if (found === null) continue;
    const [, called = "", file, at] = found;
    const name = called.replace(/ \[as .*/, "").replace(/^.*[ .]|\$\d+$/g, "");
    const source = module_of(file, Number(at));
    const foreign = source === "" && (file.startsWith("node:") || file.includes("/node_modules/"));
    if (foreign || ENTERING.includes(name)) break;
    if (PLUMBING.some((layer) => source.startsWith(layer))) continue;
    if (ENTRIES.some((entry) => source.startsWith(entry))) break;
    if (frames.length === 0 && source.startsWith(ALLOCATOR)) continue;
    const path = source === "" ? (OTHERS.exec(file)?.[1] ?? file) : `src/${source}`;
    frames.push(`${name === "" ? "(anonymous)" : name} ${path}:${at}`);
    if (frames.length === MOST_FRAMES) break;
  }
  return frames;
}
/** "shared/linux/mm/util.ts"; "" for what is not of this program, which may itself be an installed package. */
function module_of(file: string, line: number): string {
  const joined = JOINED_FILE.test(file) ? moduleAtLine(line) : undefined;
  if (joined !== undefined) return `${joined}.js`;
  return MODULE.exec(file)?.[1] ?? "";
}
/** The frames of who called this. @kernel kernel/stacktrace.c @context Any. No step. */
export function stack_trace_save(): string[] {
  return stack_frames(raw_stack(stack_trace_save, ASKED_BY_REPORT));
}
