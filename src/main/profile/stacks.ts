/**
 * A CPU's profile as the outputs want it: stacks of functions, and how long each was seen.
 *
 * Samples come as they can: on a busy computer some are milliseconds apart. So a stack counts for the time until the
 * next sample, and not for one. All of it is wall time: a thread that has lost its processor is seen where it lost it.
 */
import type { Profiler } from "node:inspector";
import { fileURLToPath } from "node:url";
import { recordThread } from "./recording.ts";

/** A function. One object for each, whatever it was called by. */
export interface Frame {
  readonly name: string;
  /** Path, "node:..." or "" for what has none, such as "(garbage collector)". */
  readonly file: string;
  /** Both from 1; 0 where there is no file. */
  readonly line: number;
  readonly column: number;
}
export interface Stack {
  /** The outermost first. */
  readonly frames: readonly Frame[];
  readonly us: number;
}

/** The stacks of all samples in order, from what was recorded inwards; without those of the profiler itself. */
export function stacksOf({ nodes, samples = [], timeDeltas = [], endTime, startTime }: Profiler.Profile): Stack[] {
  const framesOf = framesByNode(nodes);
  const ends = [...instants(startTime, timeDeltas).slice(1), endTime];
  let start = startTime + (timeDeltas[0] ?? 0);
  return samples
    .map((id, i): Stack => {
      const us = Math.max(ends[i] - start, 0); // V8 does not promise that samples are in order.
      start += us;
      return { frames: framesOf.get(id) ?? [], us };
    })
    .filter(({ frames, us }) => us > 0 && frames.length > 0);
}

function instants(start: number, deltas: readonly number[]): number[] {
  let now = start;
  return deltas.map((delta) => (now += delta));
}

/** What each node of the call tree is: its callers and itself. Empty: outside of what was recorded. */
function framesByNode(nodes: readonly Profiler.ProfileNode[]): ReadonlyMap<number, readonly Frame[]> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const known = new Map<string, Frame>();
  const intern = (frame: Frame): Frame => {
    const key = frameKey(frame);
    const first = known.get(key) ?? frame;
    known.set(key, first);
    return first;
  };
  const framesOf = new Map<number, readonly Frame[]>();
  const visitChildren = ({ children = [] }: Profiler.ProfileNode, above: readonly Frame[]): void => {
    for (const id of children) {
      const node = byId.get(id);
      if (node === undefined) continue;
      const frames = [...above, intern(frameOf(node.callFrame))];
      framesOf.set(id, recorded(frames));
      visitChildren(node, frames);
    }
  };
  visitChildren(nodes[0], []); // Whose name is "(root)".
  return framesOf;
}

function frameOf({ functionName, url, lineNumber, columnNumber }: Profiler.ProfileNode["callFrame"]): Frame {
  return {
    name: functionName === "" ? "(anonymous)" : functionName.replace(/\$\d+$/, ""), // As in the sources: adr/0014.
    file: url.startsWith("file:") ? fileURLToPath(url) : url,
    line: lineNumber + 1,
    column: columnNumber + 1,
  };
}
/** The same for the same function. */
export function frameKey({ name, file, line, column }: Frame): string {
  return `${name} ${file}:${line}:${column}`;
}

/** V8's own doings, such as "(garbage collector)", have no caller, and are recorded. */
function recorded(frames: readonly Frame[]): readonly Frame[] {
  const own = frames.findIndex(({ name }) => name === recordThread.name);
  const inner = frames.slice(own + 1);
  const isProfiler = inner.some(({ file }) => file === "node:inspector");
  return isProfiler || (own < 0 && frames.some(({ file }) => file !== "")) ? [] : inner;
}
