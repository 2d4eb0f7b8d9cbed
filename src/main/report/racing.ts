/**
 * Races, as far as one execution shows them: steps that come in the middle of something else (an operation or an
 * interrupt that has begun and not ended) on a word that it touches too, one of the two writing.
 */
import type { Frame, Step, Trace, TraceEvent } from "./trace.ts";

/** Where each frame ends in the trace; those that do not are not in it. */
function endsOf({ events }: Trace): ReadonlyMap<Frame, number> {
  return new Map(events.flatMap((event, i) => (event.what === "end" ? [[event.frame, i] as const] : [])));
}
/** Places of the story's steps on each word, by frame. */
function touchesOf(
  { events }: Trace,
  story: ReadonlySet<Step>,
): ReadonlyMap<number, ReadonlyMap<Frame, readonly number[]>> {
  const touches = new Map<number, Map<Frame, number[]>>();
  for (const [i, step] of events.entries()) {
    if (step.what !== "step" || !story.has(step)) continue;
    const frames = touches.get(step.address) ?? new Map<Frame, number[]>();
    touches.set(step.address, frames);
    const places = frames.get(step.frame);
    if (places === undefined) frames.set(step.frame, [i]);
    else places.push(i);
  }
  return touches;
}

/** Steps in the middle of something else that touches the same word, and its last and next touch of it. */
export function* racingSteps(trace: Trace, story: ReadonlySet<Step>): Generator<Step> {
  const { events } = trace;
  const begins = new Map(events.flatMap((event, i) => (event.what === "begin" ? [[event.frame, i] as const] : [])));
  const ends = endsOf(trace);
  for (const frames of touchesOf(trace, story).values()) {
    for (const [frame, places] of frames) {
      const begin = begins.get(frame) ?? 0;
      const end = ends.get(frame) ?? events.length;
      for (const [other, others] of frames) {
        if (other === frame) continue;
        for (const at of others) {
          if (at < begin || at >= end) continue;
          const next = firstAfter(places, at);
          for (const i of [places[next - 1], places[next]]) yield* conflict(events[at], events[i]);
        }
      }
    }
  }
}
/** Both steps, if one of them writes. */
function conflict(a: TraceEvent | undefined, b: TraceEvent | undefined): readonly Step[] {
  return a?.what === "step" && b?.what === "step" && (a.writes || b.writes) ? [a, b] : [];
}
/** Index of the first of these ascending places that is greater than `at`. */
function firstAfter(places: readonly number[], at: number): number {
  let low = 0;
  for (let high = places.length; low < high;) {
    const middle = (low + high) >> 1;
    if (places[middle] > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
