/**
 * What the threads of a crew do. Each task runs in a worker and returns a number, which the test looks at.
 */
import { parentPort, workerData } from "node:worker_threads";
import {
  Barrier,
  Condition,
  deadlineAfter,
  InvalidError,
  monotonicMs,
  Mutex,
  Once,
  Semaphore,
  SpinLock,
} from "../../../src/shared/sync/index.ts";
import { type Arena, arenaAt, FIRST_SLOT, INSIDE, READY, TOTAL } from "./arena.ts";
import type { Job } from "./crew.ts";

type Task = (arena: Arena, job: Job) => number | Promise<number>;

/** A plain read, a moment, a plain write: loses counts unless the caller excludes the others. */
function addSlowly({ counters }: Arena): void {
  const value = counters[TOTAL];
  for (let moment = 0; moment < 20; moment++) Atomics.load(counters, TOTAL);
  counters[TOTAL] = value + 1;
}

function pauseMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function announce({ counters }: Arena): void {
  Atomics.add(counters, READY, 1);
}

/** Returns when all have called it. Threads that start one by one are done before they get into each other's way. */
function startTogether(arena: Arena, { crew }: Job): void {
  announce(arena);
  while (Atomics.load(arena.counters, READY) < crew) pauseMs(0.1);
}

const tasks = {
  lockAndAdd(arena, job) {
    startTogether(arena, job);
    const { id, times } = job;
    for (let i = 0; i < times; i++) {
      Mutex.lock(arena.mutex, id);
      addSlowly(arena);
      Mutex.unlock(arena.mutex, id);
    }
    return times;
  },

  /** Gives up again and again. Returns how often it had the lock. */
  lockBrieflyAndAdd(arena, job) {
    startTogether(arena, job);
    const { id, times } = job;
    let taken = 0;
    for (let i = 0; i < times; i++) {
      if (!Mutex.timedLock(arena.mutex, id, deadlineAfter(0.02))) continue;
      taken++;
      addSlowly(arena);
      Mutex.unlock(arena.mutex, id);
    }
    return taken;
  },

  spinAndAdd(arena, job) {
    startTogether(arena, job);
    const { id, times } = job;
    for (let i = 0; i < times; i++) {
      SpinLock.lock(arena.spinLock, id);
      addSlowly(arena);
      SpinLock.unlock(arena.spinLock, id);
    }
    return times;
  },

  takePermit(arena) {
    announce(arena);
    Semaphore.wait(arena.semaphore);
    return 1;
  },

  /** With nothing else that keeps the thread alive. */
  async awaitPermit(arena) {
    announce(arena);
    return Number(await Semaphore.waitAsync(arena.semaphore));
  },

  takeAndPost(arena, job) {
    startTogether(arena, job);
    const { times } = job;
    for (let i = 0; i < times; i++) {
      Semaphore.wait(arena.semaphore);
      const inside = Atomics.add(arena.counters, INSIDE, 1) + 1;
      if (inside > Atomics.load(arena.counters, TOTAL)) Atomics.store(arena.counters, TOTAL, inside);
      Atomics.sub(arena.counters, INSIDE, 1);
      Semaphore.post(arena.semaphore);
    }
    return times;
  },

  /** Posts, and takes what it can get. Returns the permits it took. */
  postAndDrain(arena, job) {
    startTogether(arena, job);
    for (let i = 0; i < job.times; i++) Semaphore.post(arena.semaphore);
    let taken = 0;
    while (Semaphore.tryWait(arena.semaphore)) taken++;
    return taken;
  },

  /** Puts 1 into the mailbox when it is empty. */
  fillMailbox(arena, job) {
    startTogether(arena, job);
    const { id, times } = job;
    for (let i = 0; i < times; i++) {
      Mutex.lock(arena.mutex, id);
      while (arena.counters[FIRST_SLOT] !== 0) Condition.wait(arena.otherCondition, arena.mutex, id);
      arena.counters[FIRST_SLOT] = 1;
      Condition.signal(arena.condition);
      Mutex.unlock(arena.mutex, id);
    }
    return 0;
  },

  /** Takes what is in the mailbox when it is full. Returns the sum. */
  emptyMailbox(arena, job) {
    startTogether(arena, job);
    const { id, times } = job;
    let sum = 0;
    for (let i = 0; i < times; i++) {
      Mutex.lock(arena.mutex, id);
      while (arena.counters[FIRST_SLOT] === 0) Condition.wait(arena.condition, arena.mutex, id);
      sum += arena.counters[FIRST_SLOT];
      arena.counters[FIRST_SLOT] = 0;
      Condition.signal(arena.otherCondition);
      Mutex.unlock(arena.mutex, id);
    }
    return sum;
  },

  waitForTotal(arena, { id }) {
    Mutex.lock(arena.mutex, id);
    announce(arena);
    while (arena.counters[TOTAL] === 0) Condition.wait(arena.condition, arena.mutex, id);
    Mutex.unlock(arena.mutex, id);
    return 1;
  },

  /** Returns how often it came last, or -1 if it ever left a round before all had come. */
  meetOften(arena, { id, times }) {
    const parties = arena.barrier[1];
    let last = 0;
    for (let round = 1; round <= times; round++) {
      Atomics.store(arena.counters, FIRST_SLOT + id, round);
      if (Barrier.wait(arena.barrier, id)) last++;
      for (let other = 1; other <= parties; other++) {
        if (Atomics.load(arena.counters, FIRST_SLOT + other) < round) return -1;
      }
    }
    return last;
  },

  /** Meets whoever comes, as long as there are tickets. Returns how often it came last. */
  meetByTicket(arena, job) {
    startTogether(arena, job);
    const { id, times } = job;
    let last = 0;
    while (Atomics.add(arena.counters, TOTAL, 1) < times) {
      if (Barrier.wait(arena.barrier, id)) last++;
    }
    return last;
  },

  meetOnce(arena, { id }) {
    return Number(Barrier.wait(arena.barrier, id));
  },

  /** Returns what the slow initialiser has left behind when execute returns. */
  initialiseSlowly(arena, job) {
    startTogether(arena, job);
    Once.execute(arena.once, () => {
      pauseMs(100);
      Atomics.add(arena.counters, TOTAL, 1);
    });
    return Atomics.load(arena.counters, TOTAL);
  },

  /** Returns 1 for the thread whose initialiser throws, 2 for those that find it broken. */
  initialiseInVain(arena, job) {
    startTogether(arena, job);
    try {
      Once.execute(arena.once, () => {
        pauseMs(50);
        throw new TypeError("in vain");
      });
    } catch (error) {
      if (error instanceof TypeError) return 1;
      if (error instanceof InvalidError) return 2;
    }
    return 0;
  },

  /** Waits 40 ms for a lock that is held, with a wall clock that jumps. Returns the milliseconds it took. */
  waitUnderJumpingClock(arena, { id }) {
    const hour = 3_600_000;
    let wallMs = 10_000 * hour;
    let step = hour;
    // oxlint-disable-next-line no-restricted-globals -- the clock that must not matter
    Date.now = () => {
      wallMs += step;
      step = -2 * step;
      return wallMs;
    };
    const start = monotonicMs();
    const taken =
      Mutex.timedLock(arena.mutex, id, deadlineAfter(40)) || Semaphore.timedWait(arena.semaphore, deadlineAfter(40));
    return taken ? 0 : monotonicMs() - start;
  },
} satisfies Record<string, Task>;

export type TaskName = keyof typeof tasks;

const job = workerData as Job;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has no origin
parentPort?.postMessage(await (tasks[job.task] as Task)(arenaAt(job.buffer), job));
