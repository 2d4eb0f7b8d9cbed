/**
 * A buffer that holds one of each primitive, and the counters of a test. Tests and their workers agree on the offsets.
 */
import { Barrier, Condition, Mutex, Once, Semaphore, SpinLock } from "../../../src/shared/sync/index.ts";

/** Bytes, each on a cache line of its own. */
const AT = { mutex: 64, spinLock: 128, semaphore: 192, condition: 256, otherCondition: 320, barrier: 384, once: 448 };
const COUNTERS = 512;
const BYTES = 1024;

/** What the counters count. Slots from FIRST_SLOT on are for one thread each. */
export const READY = 0;
export const TOTAL = 1;
export const INSIDE = 2;
export const FIRST_SLOT = 3;

export interface Arena {
  readonly buffer: SharedArrayBuffer;
  readonly mutex: Int32Array<SharedArrayBuffer>;
  readonly spinLock: Int32Array<SharedArrayBuffer>;
  readonly semaphore: Int32Array<SharedArrayBuffer>;
  readonly condition: Int32Array<SharedArrayBuffer>;
  readonly otherCondition: Int32Array<SharedArrayBuffer>;
  readonly barrier: Int32Array<SharedArrayBuffer>;
  readonly once: Int32Array<SharedArrayBuffer>;
  readonly counters: Int32Array<SharedArrayBuffer>;
}

/** The view of a buffer that newArena has set up. */
export function arenaAt(buffer: SharedArrayBuffer): Arena {
  return {
    buffer,
    mutex: Mutex.at(buffer, AT.mutex),
    spinLock: SpinLock.at(buffer, AT.spinLock),
    semaphore: Semaphore.at(buffer, AT.semaphore),
    condition: Condition.at(buffer, AT.condition),
    otherCondition: Condition.at(buffer, AT.otherCondition),
    barrier: Barrier.at(buffer, AT.barrier),
    once: Once.at(buffer, AT.once),
    counters: new Int32Array(buffer, COUNTERS),
  };
}

/** A fresh buffer, full of ones where nothing is set up: an object must not rely on zeroes. */
export function newArena(options: { readonly permits?: number; readonly threads?: number } = {}): Arena {
  const buffer = new SharedArrayBuffer(BYTES);
  new Int32Array(buffer, 0, COUNTERS / 4).fill(-1);
  Mutex.init(buffer, AT.mutex);
  SpinLock.init(buffer, AT.spinLock);
  Semaphore.init(options.permits ?? 0, buffer, AT.semaphore);
  Condition.init(buffer, AT.condition);
  Condition.init(buffer, AT.otherCondition);
  Barrier.init(options.threads ?? 1, buffer, AT.barrier);
  Once.init(buffer, AT.once);
  return arenaAt(buffer);
}
