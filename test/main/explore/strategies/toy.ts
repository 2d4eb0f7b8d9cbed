/**
 * A toy machine that drives a strategy by the engine's protocol: asks before each access if there is a choice, does not
 * offer to leave a lane that was just switched to, carries out what was chosen and honours PRUNE. Beside it, all its interleavings by brute force, without any strategy.
 */
import { Random } from "../../../../src/shared/base/random.ts";
import {
  GO,
  IRQ,
  NMI,
  NMI_TO,
  PRUNE,
  READS,
  SWITCH,
  WRITES,
  type DecisionPoint,
  type Pick,
  type Schedule,
  type Strategy,
} from "../../../../src/main/explore/strategy.ts";

const NOTHING = -1;

/** What changes: the words, a register of each lane, where each lane stands, what may still be injected. */
export class ToyState {
  readonly words: number[];
  readonly registers: number[];
  readonly at: number[];
  /** A lane that waits is blocked until its word differs from this. */
  readonly seen: number[];
  nmis: number;
  /** Lanes with an interrupt pending. */
  pending = 0;
  constructor(words: readonly number[], lanes: number, nmis: number) {
    this.words = [...words];
    this.registers = Array.from({ length: lanes }, () => 0);
    this.at = Array.from({ length: lanes }, () => 0);
    this.seen = Array.from({ length: lanes }, () => NOTHING);
    this.nmis = nmis;
  }
  copy(): ToyState {
    const copy = new ToyState(this.words, 0, this.nmis);
    copy.registers.push(...this.registers);
    copy.at.push(...this.at);
    copy.seen.push(...this.seen);
    copy.pending = this.pending;
    return copy;
  }
  /** What the final states are compared by. */
  result(): string {
    return `${this.words.join(",")}|${this.registers.join(",")}`;
  }
  /** All of it. */
  key(): string {
    return `${this.result()}|${this.at.join(",")}|${this.seen.join(",")}|${this.nmis}|${this.pending}`;
  }
}

export interface Step {
  readonly word: number;
  readonly effect: number;
  /** A spin loop: reads the word, and goes on if it is this; if not, blocks until the word changes and reads again. */
  readonly until?: number;
  readonly run: (s: ToyState, lane: number) => void;
}
export interface Toy {
  readonly lanes: readonly (readonly Step[])[];
  readonly words: number;
  readonly nmis?: number;
  /** What an NMI does, at once, to the lane that it hits. */
  readonly nmi?: (s: ToyState, lane: number) => void;
  /** What a pending interrupt does when its lane takes it: when it is chosen, or if forced as soon as the lane runs. */
  readonly forced?: boolean;
  readonly irq?: (s: ToyState, lane: number) => void;
}

export const load = (word: number): Step => ({
  word,
  effect: READS,
  run: (s, lane) => void (s.registers[lane] = 10 * s.registers[lane] + s.words[word]),
});
export const store = (word: number, value: number): Step => ({
  word,
  effect: WRITES,
  run: (s) => void (s.words[word] = value),
});
/** Stores the register plus 1: with a load before, a counter that can lose updates. */
export const storeNext = (word: number): Step => ({
  word,
  effect: WRITES,
  run: (s, lane) => void (s.words[word] = (s.registers[lane] % 10) + 1),
});
export const add = (word: number, n: number): Step => ({
  word,
  effect: READS | WRITES,
  run: (s) => void (s.words[word] = s.words[word] + n),
});
export const spin = (word: number, until: number): Step => ({ word, effect: READS, until, run: () => undefined });
/** Makes an interrupt pending on a lane. That depends on everything, so no word is told. */
export const raise = (lane: number): Step => ({
  word: -1,
  effect: 0,
  run: (s) => void (s.pending |= 1 << lane),
});

function hasEnded(toy: Toy, s: ToyState, lane: number): boolean {
  return s.at[lane] === toy.lanes[lane].length;
}
function isReady(toy: Toy, s: ToyState, lane: number): boolean {
  if (hasEnded(toy, s, lane)) return false;
  return s.seen[lane] === NOTHING || s.words[toy.lanes[lane][s.at[lane]].word] !== s.seen[lane];
}
function step(toy: Toy, s: ToyState, lane: number): void {
  const { word, until, run } = toy.lanes[lane][s.at[lane]];
  if (until !== undefined && s.words[word] !== until) {
    s.seen[lane] = s.words[word];
  } else {
    run(s, lane);
    s.at[lane]++;
  }
}
function hit(toy: Toy, s: ToyState, lane: number): void {
  s.nmis--;
  toy.nmi?.(s, lane);
}
function interrupt(toy: Toy, s: ToyState, lane: number): void {
  s.pending &= ~(1 << lane);
  toy.irq?.(s, lane);
}
function mustInterrupt(toy: Toy, s: ToyState, lane: number): boolean {
  return toy.forced === true && (s.pending & (1 << lane)) !== 0;
}
function outcome(toy: Toy, s: ToyState): string {
  return `${toy.lanes.every((_, lane) => hasEnded(toy, s, lane)) ? "" : "deadlock "}${s.result()}`;
}
function start(toy: Toy): ToyState {
  return new ToyState(
    Array.from({ length: toy.words }, () => 0),
    toy.lanes.length,
    toy.nmis ?? 0,
  );
}
function hash(text: string, seed: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}

export interface Execution {
  /** The final state; undefined if the strategy abandoned it. */
  readonly result: string | undefined;
  /** Lanes in the order of their steps; "n" + lane for an NMI, "i" + lane for an interrupt. */
  readonly trace: string;
  /** Indices that the strategy chose. */
  readonly picks: readonly number[];
  /** The choices that were not the default. */
  readonly schedule: Schedule;
}

/** One execution. @param before  called before each decision: may replace the strategy. */
export function execute(toy: Toy, strategy: Strategy, before: (n: number) => Strategy = () => strategy): Execution {
  const s = start(toy);
  const count = toy.lanes.length;
  const begun = new Set<number>([0]);
  const access = toy.lanes.map(() => 0);
  const picks: number[] = [];
  const schedule: Pick[] = [];
  const trace: string[] = [];
  const choices: number[] = [];
  const lanes: number[] = [];
  const words: number[] = [];
  const effects: number[] = [];
  const offer = (choice: number, lane: number, pending: Step | undefined): void => {
    choices.push(choice);
    lanes.push(lane);
    words.push(pending?.word ?? -1);
    effects.push(pending?.effect ?? 0);
  };
  const hashed = (seed: number): number =>
    strategy.hashes === true ? hash(`${s.key()}|${current}|${arrived}`, seed) : 0;
  let current = 0;
  let arrived = false;
  let result: string | undefined;
  for (;;) {
    const blocked = !isReady(toy, s, current);
    if (!blocked && s.seen[current] !== NOTHING) {
      s.seen[current] = NOTHING;
      access[current]++;
    }
    if (!blocked && mustInterrupt(toy, s, current)) {
      interrupt(toy, s, current);
      access[current]++;
      arrived = false;
      trace.push(`i${current}`);
      continue;
    }
    for (const list of [choices, lanes, words, effects]) list.length = 0;
    if (!blocked) offer(GO, current, toy.lanes[current][s.at[current]]);
    for (let i = 1; i < count; i++) {
      const other = (current + i) % count;
      if (!isReady(toy, s, other) || (arrived && !blocked)) continue;
      const isKnown = begun.has(other) && s.seen[other] === NOTHING && !mustInterrupt(toy, s, other);
      offer(SWITCH + other, other, isKnown ? toy.lanes[other][s.at[other]] : undefined);
    }
    if (choices.length === 0) {
      result = outcome(toy, s);
      break;
    }
    if (s.nmis > 0) {
      if (!blocked) offer(NMI, -1, undefined);
      for (let other = 0; other < count; other++) {
        if (!hasEnded(toy, s, other) && !isReady(toy, s, other)) offer(NMI_TO + other, -1, undefined);
      }
    }
    if (!blocked && s.pending & (1 << current)) offer(IRQ, -1, undefined);
    let index = 0;
    if (choices.length > 1) {
      const state = {
        lane: current,
        access: access[current],
        blocked,
        point: 0,
        hash1: hashed(1),
        hash2: hashed(2),
        rivals: [],
      };
      const point: DecisionPoint = { ...state, choices, lanes, words, effects, count: choices.length };
      index = before(picks.length).choose(point);
      picks.push(index);
      if (index === PRUNE) break;
      if (index !== 0) schedule.push({ lane: current, access: access[current], choice: choices[index] });
    }
    const choice = choices[index];
    if (choice === GO) {
      step(toy, s, current);
      access[current]++;
      arrived = false;
      trace.push(`${current}`);
    } else if (choice === NMI || (choice >= NMI_TO && choice < IRQ)) {
      const victim = choice === NMI ? current : choice - NMI_TO;
      hit(toy, s, victim);
      if (choice === NMI) {
        access[current]++;
        arrived = false;
      }
      trace.push(`n${victim}`);
    } else if (choice === IRQ) {
      interrupt(toy, s, current);
      access[current]++;
      arrived = false;
      trace.push(`i${current}`);
    } else {
      current = choice - SWITCH;
      begun.add(current);
      arrived = true;
    }
  }
  strategy.end(picks.length, false);
  return { result, trace: trace.join(" "), picks, schedule };
}

/** Executions of a strategy until it has no more, or `most`. */
export function explore(toy: Toy, strategy: Strategy, most = 1_000_000): Execution[] {
  const all: Execution[] = [];
  while (all.length < most && strategy.begin()) all.push(execute(toy, strategy));
  return all;
}
export function results(executions: readonly Execution[]): string[] {
  return [...new Set(executions.flatMap(({ result }) => result ?? []))].toSorted();
}

export interface Interleaving {
  readonly result: string;
  readonly trace: string;
}
/**
 * All interleavings with at most `bound` preemptions. An interrupt that is chosen hits the lane that runs, or one that is
 * blocked; to hit another, that lane must run first. A lane that is woken, if it runs, reads again before another runs.
 */
export function bruteForce(toy: Toy, bound = Infinity): Interleaving[] {
  const found = new Map<string, Interleaving>();
  const go = (s: ToyState, trace: readonly string[], current: number, preemptions: number, woken = false): void => {
    const canGoOn = isReady(toy, s, current);
    if (canGoOn) {
      s.seen[current] = NOTHING;
      if (mustInterrupt(toy, s, current)) {
        interrupt(toy, s, current);
        go(s, [...trace, `i${current}`], current, preemptions);
        return;
      }
    }
    const ready = [...toy.lanes.keys()].filter((lane) => isReady(toy, s, lane) && (!woken || lane === current));
    if (ready.length === 0) {
      found.set(trace.join(" "), { result: outcome(toy, s), trace: trace.join(" ") });
      return;
    }
    for (const lane of ready) {
      const spent = preemptions + (lane !== current && canGoOn ? 1 : 0);
      if (spent > bound) continue;
      /** Goes on with a changed copy of the state. */
      const after = (event: string, change: (next: ToyState) => void): void => {
        const next = s.copy();
        change(next);
        go(next, [...trace, event], lane, spent, woken && event.startsWith("n") && event !== `n${lane}`);
      };
      if (s.seen[lane] !== NOTHING) {
        const next = s.copy();
        next.seen[lane] = NOTHING;
        go(next, trace, lane, spent, true);
        continue;
      }
      if (mustInterrupt(toy, s, lane)) {
        after(`i${lane}`, (next) => interrupt(toy, next, lane));
        continue;
      }
      after(`${lane}`, (next) => step(toy, next, lane));
      if (s.pending & (1 << lane)) after(`i${lane}`, (next) => interrupt(toy, next, lane));
      if (s.nmis === 0) continue;
      for (const victim of toy.lanes.keys()) {
        if (victim === lane || (!hasEnded(toy, s, victim) && !isReady(toy, s, victim))) {
          after(`n${victim}`, (next) => hit(toy, next, victim));
        }
      }
    }
    if (s.nmis === 0 || canGoOn) return;
    for (const victim of toy.lanes.keys()) {
      if (hasEnded(toy, s, victim) || isReady(toy, s, victim)) continue;
      const next = s.copy();
      hit(toy, next, victim);
      go(next, [...trace, `n${victim}`], current, preemptions);
    }
  };
  go(start(toy), [], 0, 0);
  return [...found.values()];
}

/** A random small program: 2 or 3 lanes, 2 or 3 words, loads, stores, additions, spin loops, sometimes interrupts. */
export function randomToy(seed: number): Toy {
  const random = new Random(seed);
  const words = 2 + random.below(2);
  const count = 2 + random.below(2);
  const interrupts = random.below(3);
  const longest = count === 2 ? 4 : interrupts === 0 ? 3 : 2;
  const lanes = Array.from({ length: count }, (_, lane) =>
    Array.from({ length: 2 + random.below(longest - 1) }, (): Step => {
      const word = random.below(words);
      const kind = random.below(8);
      if (kind < 3) return load(word);
      if (kind < 5) return store(word, 1 + random.below(2));
      if (kind < 6) return add(word, lane + 1);
      if (kind < 7) return spin(word, random.below(3));
      return interrupts === 2 ? raise((lane + 1) % count) : storeNext(word);
    }),
  );
  const nmi = (s: ToyState, lane: number): void => void (s.words[0] = 2 * s.words[0] + lane + 1);
  const irq = (s: ToyState, lane: number): void => void (s.words[1] = 3 * s.words[1] + lane + 1);
  return { lanes, words, nmi, irq, forced: seed % 2 === 0, nmis: interrupts === 1 ? 1 : 0 };
}
