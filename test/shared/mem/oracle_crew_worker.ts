/**
 * A thread that plays a CPU of a small, correct allocator with deferred frees, readers, grace periods and barriers, and
 * tells the oracle everything. `mutant` makes one of the mechanisms wrong.
 *
 *   own objects   through random places, never seen by another thread
 *   mailboxes     allocated objects, passed from any thread to any other
 *   deferred      one list per thread, an array of slots: pushed by its thread, taken by any
 */
import { parentPort, workerData } from "node:worker_threads";
import { Random } from "../../../src/shared/base/random.ts";
import {
  O_DEFERRED_RCU,
  O_FREELIST,
  O_KRC,
  O_RCU_SHEAF,
  O_SHEAF,
  O_TRANSIT,
  O_USER,
  type OracleFault,
} from "../../../src/shared/mem/oracle.ts";
import { SharedOracle } from "../../../src/shared/mem/shared_oracle.ts";
import { NULL, type Ptr } from "../../../src/shared/mem/struct.ts";

export type Mutant = "none" | "frees what it gave away" | "grace period does not wait" | "barrier does not wait";
export interface CrewJob {
  readonly oracle: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
  readonly cpu: number;
  readonly cpus: number;
  readonly ms: number;
  readonly mutant: Mutant;
}
export interface CrewResult {
  readonly fault: string | undefined;
  readonly moves: number;
  readonly gracePeriods: number;
  readonly barriers: number;
}

export const MACHINE_BYTES = 1 << 18;
export const OBJECT_BYTES = 64;
/** Objects of each thread: the first are its own, the others go from hand to hand. */
export const OBJECTS = 128;
const OWN = 64;
const MAILBOXES = 16;
const DEFERRED = 16;
// Words, each group on lines of its own.
const W_STOP = 0;
const W_START = 1;
const W_MAILBOX = 16;
const PER_CPU = 64;
const C_READING = 0; // odd: in a reader
const C_TAKING = 16; // odd: deferred objects are in its hands
const C_DEFERRED = 32;
export const CREW_WORDS = W_MAILBOX + MAILBOXES + 8 * PER_CPU;
export const firstObject = (cpu: number): number => 0x4000 + cpu * OBJECTS * OBJECT_BYTES;

if (workerData !== null) {
  const job = workerData as CrewJob;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A port of worker_threads has no origin.
  parentPort?.postMessage(play(job));
}

function play({ oracle: buffer, words: shared, cpu, cpus, ms, mutant }: CrewJob): CrewResult {
  const oracle = new SharedOracle(buffer);
  const words = new Int32Array(shared);
  const random = new Random(cpu + 1);
  const at = (id: number, word: number): number => W_MAILBOX + MAILBOXES + id * PER_CPU + word;
  const pool: Ptr[] = []; // On freelists that only this thread uses.
  const places: number[] = [];
  const own = (i: number): Ptr => (firstObject(cpu) + i * OBJECT_BYTES) as Ptr;
  for (let i = 0; i < OWN; i++) places.push(O_FREELIST);
  for (let i = OWN; i < OBJECTS; i++) pool.push(own(i));
  const key = (firstObject(cpu) + 8) as Ptr;
  const barrierKey = (firstObject(cpu) + 16) as Ptr;
  let moves = 0;
  let gracePeriods = 0;
  let barriers = 0;
  const faults: string[] = [];

  const note = (found: OracleFault | undefined): void => {
    if (found !== undefined) faults.push(found.what);
  };
  const stopped = (): boolean => faults.length > 0 || Atomics.load(words, W_STOP) !== 0;
  const move = (p: Ptr, from: number, to: number): void => {
    moves++;
    note(oracle.move(cpu, p, from, to, 0));
  };
  const shuffleOwn = (): void => {
    const i = random.below(OWN);
    const to = [O_FREELIST, O_USER, O_SHEAF, O_RCU_SHEAF, O_KRC, O_TRANSIT][random.below(6)] ?? O_USER;
    move(own(i), places[i], to);
    places[i] = to;
  };
  const give = (): void => {
    const p = pool.pop();
    if (p === undefined) return;
    move(p, O_FREELIST, O_USER);
    const old = Atomics.exchange(words, W_MAILBOX + random.below(MAILBOXES), p) as Ptr;
    if (mutant === "frees what it gave away" && random.below(1000) === 0) move(p, O_USER, O_TRANSIT);
    if (old !== NULL) free(old);
  };
  const free = (p: Ptr): void => {
    move(p, O_USER, O_TRANSIT);
    move(p, O_TRANSIT, O_FREELIST);
    pool.push(p);
  };
  const defer = (): void => {
    const p = Atomics.exchange(words, W_MAILBOX + random.below(MAILBOXES), NULL) as Ptr;
    if (p === NULL) return;
    move(p, O_USER, O_DEFERRED_RCU);
    Atomics.add(words, at(cpu, C_TAKING), 1); // What lay in the slot is in our hands from the exchange on.
    const old = Atomics.exchange(words, at(cpu, C_DEFERRED) + random.below(DEFERRED), p) as Ptr;
    if (old !== NULL) finish(old);
    Atomics.add(words, at(cpu, C_TAKING), 1);
    oracle.issued(cpu, p);
  };
  const finish = (p: Ptr): void => {
    move(p, O_DEFERRED_RCU, O_KRC);
    move(p, O_KRC, O_TRANSIT);
    move(p, O_TRANSIT, O_FREELIST);
    pool.push(p);
  };
  const drain = (id: number): void => {
    Atomics.add(words, at(cpu, C_TAKING), 1);
    for (let i = 0; i < DEFERRED; i++) {
      const p = Atomics.exchange(words, at(id, C_DEFERRED) + i, NULL) as Ptr;
      if (p !== NULL) finish(p);
    }
    Atomics.add(words, at(cpu, C_TAKING), 1);
  };
  /** Until that word of every other thread has been even, or has changed. */
  const waitForOthers = (word: number): void => {
    for (let id = 0; id < cpus; id++) {
      if (id === cpu) continue;
      const seen = Atomics.load(words, at(id, word));
      if ((seen & 1) === 0) continue;
      while (Atomics.load(words, at(id, word)) === seen && Atomics.load(words, W_STOP) === 0);
    }
  };
  const read = (): void => {
    Atomics.add(words, at(cpu, C_READING), 1);
    oracle.reader_enter(cpu);
    for (let i = random.below(8); i >= 0; i--) shuffleOwn();
    oracle.reader_exit(cpu);
    Atomics.add(words, at(cpu, C_READING), 1);
  };
  const waitForGracePeriod = (): void => {
    oracle.grace_period_begin(cpu, key);
    if (mutant !== "grace period does not wait") waitForOthers(C_READING);
    if (Atomics.load(words, W_STOP) === 0) note(oracle.grace_period_end(cpu, key));
    gracePeriods++;
  };
  const barrier = (): void => {
    oracle.barrier_begin(cpu, barrierKey);
    for (let id = 0; id < cpus; id++) if (mutant !== "barrier does not wait" || id !== 0) drain(id);
    if (mutant !== "barrier does not wait") waitForOthers(C_TAKING);
    const epoch = oracle.barrier_end(barrierKey);
    const missed = epoch === undefined || Atomics.load(words, W_STOP) ? NULL : oracle.overdue(epoch, 0, MACHINE_BYTES);
    if (missed !== NULL) note({ object: missed, what: `object ${missed} missed by a barrier` });
    barriers++;
  };

  Atomics.add(words, W_START, 1);
  while (Atomics.load(words, W_START) < cpus);
  const end = performance.now() + ms;
  while (!stopped() && performance.now() < end) {
    for (let i = 0; i < 50 && !stopped(); i++) {
      shuffleOwn();
      read();
      give();
      defer();
      if (random.below(8) === 0) waitForGracePeriod();
      if (random.below(32) === 0) barrier();
    }
  }
  Atomics.store(words, W_STOP, 1);
  return { fault: faults[0], moves, gracePeriods, barriers };
}
