/**
 * How CPUs wait for each other. A report tells that a function waits; how the work item that it waits for is handed over,
 * and how the waiter is woken, is routine. Unless nobody wakes it: in a deadlock that is the story.
 */
import { type Frame, IDLE, type Step, type Trace } from "./trace.ts";

/** What a CPU runs between operations, and while it waits. */
export const LOOK_FOR_WORK: ReadonlySet<string> = new Set(["schedule", "schedule_until_woken"]);
/** What the functions that wait have in common. */
const SLEEPS = new Set([
  "wait_for_completion",
  "wait_event",
  "rcuwait_wait_event",
  "spin_lock_slowpath",
  "park",
  ...LOOK_FOR_WORK,
]);
const WAIT_FIELD = /^(?:completion|rcuwait|wait_queue)\.|^cpu_pending\.waits_for$/;
const WORK_FIELD = /^(?:work_struct|worker_pool)\./;
/** Runs what was handed over. */
const RUN = "process_one_work";
const HAND_OVER = new Set(["init_work", "queue_work_on", "flush_work"]);

/** The path down to the function that sleeps in this step, or undefined: "kvfree_rcu_barrier", "rcu_barrier". */
export function sleepingPath({ path }: Step): readonly string[] | undefined {
  const depth = path.findIndex((name) => SLEEPS.has(name));
  return depth > 0 ? path.slice(0, depth) : undefined;
}

/** Steps that only serve a wait. */
export function handOvers(trace: Trace): readonly Step[] {
  if (isDeadlock(trace)) return [];
  return trace.events.filter((event) => event.what === "step").filter((step) => isHandOver(step));
}
function isHandOver({ field, path }: Step): boolean {
  if (WAIT_FIELD.test(field)) return true;
  const ran = path.slice(path.lastIndexOf(RUN) + 1);
  return WORK_FIELD.test(field) && (path.at(-1) === RUN || ran.some((name) => HAND_OVER.has(name)));
}

/** Does it end with somebody who waits, and nobody who does not? */
function isDeadlock(trace: Trace): boolean {
  const steps = unfinished(trace).filter(({ frame }) => frame.name !== IDLE);
  return steps.length > 0 && steps.every((step) => sleepingPath(step) !== undefined);
}

/** The last step of each CPU that was in the middle of something at the end. */
export function unfinished({ events }: Trace): readonly Step[] {
  const last = new Map<Frame, Step>();
  const innermost = new Map<number, Frame | undefined>();
  for (const event of events) {
    if (event.what === "step") last.set(event.frame, event);
    else if (event.what === "begin") innermost.set(event.frame.cpu, event.frame);
    else if (event.what === "end") innermost.set(event.frame.cpu, event.frame.outer);
  }
  return [...innermost.values()].flatMap((frame) => (frame && last.get(frame)) ?? []);
}
