/** Thread ids: what may be one. */
import { describe, expect, test } from "vitest";
import {
  Barrier,
  Condition,
  INT32_MAX_VALUE,
  INT32_MIN_VALUE,
  InvalidError,
  Mutex,
  SpinLock,
} from "../../../src/shared/sync/index.ts";
import { boundWaits } from "./gap.ts";

boundWaits();

const operations: Record<string, (threadId: number) => unknown> = {
  "Mutex.lock": (id) => Mutex.lock(Mutex.init(), id),
  "Mutex.tryLock": (id) => Mutex.tryLock(Mutex.init(), id),
  "Mutex.timedLock": (id) => Mutex.timedLock(Mutex.init(), id, 0),
  "Mutex.unlock": (id) => Mutex.unlock(Mutex.init(), id),
  "SpinLock.lock": (id) => SpinLock.lock(SpinLock.init(), id),
  "SpinLock.tryLock": (id) => SpinLock.tryLock(SpinLock.init(), id),
  "SpinLock.timedLock": (id) => SpinLock.timedLock(SpinLock.init(), id, 0),
  "SpinLock.unlock": (id) => SpinLock.unlock(SpinLock.init(), id),
  "Condition.timedWait": (id) => Condition.timedWait(Condition.init(), Mutex.init(), id, 0),
  "Barrier.wait": (id) => Barrier.wait(Barrier.init(1), id),
};

describe.each(Object.entries(operations))("%s", (_name, operation) => {
  test("refuses what is no thread id", () => {
    expect(() => operation(0)).toThrow(InvalidError);
    expect(() => operation(1.5)).toThrow(InvalidError);
    expect(() => operation(NaN)).toThrow(InvalidError);
    expect(() => operation("1" as unknown as number)).toThrow(InvalidError);
    expect(() => operation(INT32_MAX_VALUE + 1)).toThrow(RangeError);
    expect(() => operation(INT32_MIN_VALUE - 1)).toThrow(RangeError);
  });
});

test("the smallest and the largest are thread ids", () => {
  const mutex = Mutex.init();
  for (const id of [INT32_MIN_VALUE, -1, 1, INT32_MAX_VALUE]) {
    Mutex.lock(mutex, id);
    Mutex.unlock(mutex, id);
  }
});
