/**
 * Which steps of an execution tell its story: each gets a score.
 *
 *   RACING     on a word that something else, begun and not ended, touches too, one of them writing
 *   PLACE      where a CPU was preempted or interrupted, and where it went on; what is NEAR, in an interrupt
 *   MOVED      where the objects go that these steps move
 *   NEAR       on the same variable as a racing word, or as one that a chosen interrupt changes, written or seen from
 *              another CPU; on a word of the scenario; on a lock that somebody had to wait for
 *   END        the last step of what never ended
 *   SHARED     on a word that two contexts touch, one of them writing, or on another CPU's
 *   ROUTINE    the same on a lock that was free, a link of a list, in the upkeep that every CPU does, or where a work
 *              item is handed to another CPU and waited for, except in a deadlock
 *
 * Why not SHARED alone: a barrier or a grace period has hundreds of such steps, and the race is in five of them.
 */
import { racingSteps } from "./racing.ts";
import { onSameVariables, whereObjectsGo } from "./related.ts";
import { type Frame, IDLE, LEVEL_TASK, type Step, type Trace } from "./trace.ts";
import { handOvers, unfinished } from "./waiting.ts";

export const RACING = 7;
const PLACE = 6;
export const MOVED = 5;
const NEAR = 4;
export const END = 3;
export const SHARED = 2;
export const ROUTINE = 1;

const LOCKS = new Set(["spinlock.val", "mutex.owner", "local_trylock.acquired"]);

/** @returns the score of every step; those without one matter to nobody else. */
export function relevance(trace: Trace): ReadonlyMap<Step, number> {
  const scores = new Map<Step, number>();
  const raise = (step: Step, score: number): void => {
    if ((scores.get(step) ?? 0) < score) scores.set(step, score);
  };
  const story = new Set([...stepsOf(trace)].filter((step) => !isUpkeep(step) && !isPlumbing(step)));
  for (const step of [...freeLocks(trace), ...handOvers(trace)]) story.delete(step);
  for (const step of sharedSteps(trace)) {
    raise(step, isScenarioWord(step.word) ? NEAR : story.has(step) ? SHARED : ROUTINE);
  }
  for (const step of racingSteps(trace, story)) raise(step, LOCKS.has(step.field) ? NEAR : RACING);
  const raiseInStory = (step: Step, score: number): void => {
    if (story.has(step) && step.frame.name !== IDLE) raise(step, score);
  };
  for (const step of places(trace)) raiseInStory(step, PLACE);
  for (const step of unfinished(trace)) raiseInStory(step, END);
  for (const step of onSameVariables([...from(scores, RACING), ...injectedWrites(trace)], story)) {
    if (step.method === "init" || !(step.writes || isRemote(step) || scores.has(step))) continue;
    raise(step, step.frame.level > LEVEL_TASK ? PLACE : NEAR);
  }
  for (const step of whereObjectsGo(from(scores, NEAR), story)) raise(step, MOVED);
  return scores;
}

/** Steps with at least this score. */
export function from(scores: ReadonlyMap<Step, number>, lowest: number): readonly Step[] {
  return [...scores].filter(([, score]) => score >= lowest).map(([step]) => step);
}
function* stepsOf({ events }: Pick<Trace, "events">): Generator<Step> {
  for (const event of events) if (event.what === "step") yield event;
}
const isScenarioWord = (word: string): boolean => /^x\d+$/.test(word);
/** Links of lists, timers and callbacks, classes of locks: how a thing is queued or guarded, not what becomes of it. */
const isPlumbing = ({ field }: Step): boolean =>
  /^(?:list_head|timer_list|rcu_cblist)\.|^rcu_segcblist\.(?!len$)|\.cls$/.test(field);
/** What a CPU does for RCU and for the next task whenever it has nothing to do, or is interrupted. */
const UPKEEP = new Set([
  "cpu_idle",
  "ct_nmi_enter",
  "ct_nmi_exit",
  "rcu_core",
  "rcu_gp_step",
  "rcu_note_context_switch",
  "rcu_sched_clock_irq",
  "kick",
]);
const CALLBACKS = "rcu_do_batch";
const isUpkeep = ({ path }: Step): boolean => path.some((name) => UPKEEP.has(name)) && !path.includes(CALLBACKS);
/** A word of another CPU's section. */
const isRemote = ({ word, frame }: Step): boolean => {
  const owner = /^cpu(\d+)\./.exec(word)?.[1];
  return owner !== undefined && Number(owner) !== frame.cpu;
};

/** Steps on locks that were free whenever somebody wanted them. */
function freeLocks(trace: Trace): readonly Step[] {
  const locks = [...stepsOf(trace)].filter(({ field }) => LOCKS.has(field));
  const wanted = new Set(locks.filter((step) => isRefused(step)).map(({ address }) => address));
  return locks.filter(({ address }) => !wanted.has(address));
}
function isRefused({ method, writes, before, after, path }: Step): boolean {
  if (!writes) return after === "held" && path.includes("local_trylock");
  return after.includes("contended") || (method === "cmpxchg" && before === after);
}

function* sharedSteps(trace: Trace): Generator<Step> {
  const contexts = new Map<number, Set<number>>();
  const written = new Set<number>();
  for (const { address, frame, writes } of stepsOf(trace)) {
    const of = contexts.get(address) ?? new Set();
    contexts.set(address, of.add(frame.cpu * 3 + frame.level));
    if (writes) written.add(address);
  }
  for (const step of stepsOf(trace)) {
    const isShared = written.has(step.address) && (contexts.get(step.address)?.size ?? 0) > 1;
    if (isShared || isRemote(step)) yield step;
  }
}

/** What the interrupts that were chosen change. */
function injectedWrites({ events }: Trace): readonly Step[] {
  const chosen = new Set(events.flatMap((event) => (event.what === "begin" && event.chosen ? [event.frame] : [])));
  return [...stepsOf({ events })].filter((step) => step.writes && step.before !== step.after && chosen.has(step.frame));
}

/** Where something was left and taken up again. */
function* places(trace: Trace): Generator<Step> {
  const last = new Map<Frame, Step>();
  const left = new Set<Frame>();
  const innermost = new Map<number, Frame>();
  for (const event of trace.events) {
    if (event.what === "step") {
      last.set(event.frame, event);
      if (left.delete(event.frame)) yield event;
    }
    const frame = leftFrame(event, innermost);
    const place = frame && last.get(frame);
    if (frame !== undefined && place !== undefined) {
      left.add(frame);
      yield place;
    }
    if (event.what === "begin") innermost.set(event.frame.cpu, event.frame);
    if (event.what === "end") {
      const { cpu, outer } = event.frame;
      if (outer === undefined) innermost.delete(cpu);
      else innermost.set(cpu, outer);
    }
  }
}
/** The frame that an event makes wait. */
function leftFrame(event: Trace["events"][number], innermost: ReadonlyMap<number, Frame>): Frame | undefined {
  if (event.what === "switch" && !event.blocked) return innermost.get(event.from);
  return event.what === "begin" && event.chosen ? event.frame.outer : undefined;
}
