/** @thi.ng/malloc as a heap: a pool in one SharedArrayBuffer, behind a lock or not. */
import { MemPool } from "@thi.ng/malloc";
import { WordHeap } from "./word_heap.ts";

export interface ThingSpec {
  readonly kind: "thi.ng";
  readonly buffer: SharedArrayBuffer;
  readonly locked: boolean;
}

/** Bytes before the pool; the lock is the first word. */
const POOL_START = 64;
const LOCK = 0;

function openPool(buf: SharedArrayBuffer, skipInitialization: boolean): MemPool {
  return new MemPool({ buf, start: POOL_START, skipInitialization });
}
export function createThingSpec(bytes: number, locked: boolean): ThingSpec {
  const buffer = new SharedArrayBuffer(bytes);
  openPool(buffer, false);
  return { kind: "thi.ng", buffer, locked };
}
export function openThingHeap({ buffer, locked }: ThingSpec): WordHeap {
  return locked ? new LockedThingHeap(buffer) : new ThingHeap(buffer);
}

class ThingHeap extends WordHeap {
  private readonly pool: MemPool;

  constructor(buffer: SharedArrayBuffer) {
    super(new Int32Array(buffer));
    this.pool = openPool(buffer, true);
  }
  malloc(bytes: number): number {
    return this.pool.malloc(bytes);
  }
  free(object: number): void {
    this.pool.free(object);
  }
}

class LockedThingHeap extends ThingHeap {
  override malloc(bytes: number): number {
    this.lock();
    const object = super.malloc(bytes);
    this.unlock();
    return object;
  }
  override free(object: number): void {
    this.lock();
    super.free(object);
    this.unlock();
  }
  private lock(): void {
    while (Atomics.compareExchange(this.words, LOCK, 0, 1) !== 0);
  }
  private unlock(): void {
    Atomics.store(this.words, LOCK, 0);
  }
}
