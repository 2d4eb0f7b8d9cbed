/**
 * What the threads of the hand-over engine share besides the machine: whose turn it is, how the execution ended, and what
 * each execution came to. One lane runs at a time; it hands over by setting the baton of another and waits for its own.
 */

/** How an execution ended. */
const RUNNING = 0;
export const FINISHED_ALL = 1;
export const ABANDONED = 2;
export const FAILED = 3;

/** Values of a baton. */
const WAITS = 0;
const GO_ON = 1;
const UNWIND = 2;
const QUIT = 3;

const STATUS = 0;
/** Lanes that have entered this execution, a mask; those that have left it again, a count. */
const ENTERED = 1;
const LEFT = 2;
const MESSAGE_LENGTH = 3;
const EXECUTION = 4;
const FIRST_BATON = 16;
/** Batons lie on cache lines of their own. */
const BATON_STRIDE = 16;
const MAX_LANES = 10;
const MESSAGE_BYTES = 1 << 14;
const WORDS = FIRST_BATON + BATON_STRIDE * MAX_LANES;
export const CONTROL_BYTES = WORDS * 4 + MESSAGE_BYTES;

/** A hand-over takes microseconds; a thread that is silent for this long is gone. */
const PATIENCE_MS = 30_000;
const SPINS = 200;

/** Thrown through a lane when the execution has ended elsewhere. */
export const ENDED = new Error("the execution has ended");
/** Thrown when the threads are to go home. */
export const DISMISSED = new Error("dismissed");

export class Control {
  private readonly words: Int32Array;
  private readonly message: Uint8Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, WORDS);
    this.message = new Uint8Array(buffer, WORDS * 4, MESSAGE_BYTES);
  }

  /** @param execution  its number, from which each thread knows what is to be run. */
  begin(execution: number): void {
    const { words } = this;
    words[EXECUTION] = execution;
    words[ENTERED] = 0;
    words[LEFT] = 0;
    Atomics.store(words, STATUS, RUNNING);
  }
  get execution(): number {
    return this.words[EXECUTION];
  }
  get status(): number {
    return Atomics.load(this.words, STATUS);
  }
  enter(lane: number): void {
    Atomics.or(this.words, ENTERED, 1 << lane);
  }
  leave(): void {
    Atomics.add(this.words, LEFT, 1);
    Atomics.notify(this.words, LEFT);
  }
  /** Waits until every lane that entered has left. */
  waitForAll(): void {
    const { words } = this;
    let entered = 0;
    for (let mask = Atomics.load(words, ENTERED); mask !== 0; mask &= mask - 1) entered++;
    for (let left = Atomics.load(words, LEFT); left !== entered; left = Atomics.load(words, LEFT)) {
      if (Atomics.wait(words, LEFT, left, PATIENCE_MS) === "timed-out")
        throw new Error("a CPU's thread does not answer");
    }
  }

  handTo(lane: number): void {
    this.set(lane, GO_ON);
  }
  /** Waits for the lane's turn. @throws ENDED, DISMISSED */
  await(lane: number): void {
    const { words } = this;
    const at = FIRST_BATON + BATON_STRIDE * lane;
    for (let spins = SPINS; spins > 0 && Atomics.load(words, at) === WAITS; spins--);
    while (Atomics.load(words, at) === WAITS) {
      // A lane may have nothing to do for as long as the others explore; the main thread watches for silence (fleet.ts).
      Atomics.wait(words, at, WAITS, PATIENCE_MS);
    }
    const baton = Atomics.exchange(words, at, WAITS);
    if (baton === UNWIND) throw ENDED;
    if (baton === QUIT) throw DISMISSED;
  }
  /** The execution has ended on `lane`: all others that have entered leave it. */
  end(lane: number, status: number, message: string): void {
    const { words } = this;
    const { written } = new TextEncoder().encodeInto(message, this.message);
    words[MESSAGE_LENGTH] = written;
    Atomics.store(words, STATUS, status);
    for (let mask = Atomics.load(words, ENTERED) & ~(1 << lane); mask !== 0; mask &= mask - 1) {
      this.set(31 - Math.clz32(mask & -mask), UNWIND);
    }
  }
  dismiss(lanes: number): void {
    for (let lane = 0; lane < lanes; lane++) this.set(lane, QUIT);
  }
  private set(lane: number, baton: number): void {
    const at = FIRST_BATON + BATON_STRIDE * lane;
    Atomics.store(this.words, at, baton);
    Atomics.notify(this.words, at);
  }

  get text(): string {
    return new TextDecoder().decode(this.message.slice(0, this.words[MESSAGE_LENGTH]));
  }
}
