/** Placement: each primitive at an offset of a given buffer. */
import { describe, expect, test } from "vitest";
import { Barrier, Condition, InvalidError, Mutex, Once, Semaphore, SpinLock } from "../../../src/shared/sync/index.ts";
import { boundWaits } from "./gap.ts";

boundWaits();

interface Kind {
  readonly BYTES: number;
  readonly at: (buffer: SharedArrayBuffer, byteOffset: number) => Int32Array<SharedArrayBuffer>;
  readonly init: (buffer?: SharedArrayBuffer, byteOffset?: number) => Int32Array<SharedArrayBuffer>;
}

const kinds: Record<string, Kind> = {
  Mutex,
  SpinLock,
  Condition,
  Once,
  Semaphore: { ...Semaphore, init: (buffer, byteOffset) => Semaphore.init(0, buffer, byteOffset) },
  Barrier: { ...Barrier, init: (buffer, byteOffset) => Barrier.init(5, buffer, byteOffset) },
};

describe.each(Object.entries(kinds))("%s", (_name, { BYTES, at, init }) => {
  test("touches its own words only, and relies on no zeroes", () => {
    const buffer = new SharedArrayBuffer(BYTES + 8);
    const all = new Int32Array(buffer).fill(-1);
    const inside = init(buffer, 4);
    expect([inside.byteOffset, inside.byteLength]).toEqual([4, BYTES]);
    expect(Array.from(inside)).toEqual(Array.from(init()));
    expect([all[0], all.at(-1)]).toEqual([-1, -1]);
  });

  test("at() leaves the object as it is", () => {
    const buffer = new SharedArrayBuffer(BYTES);
    new Int32Array(buffer).fill(42);
    expect(Array.from(at(buffer, 0))).toEqual(Array.from({ length: BYTES / 4 }, () => 42));
  });

  test("refuses places where it cannot be", () => {
    const buffer = new SharedArrayBuffer(64);
    for (const place of [at, init]) {
      for (const byteOffset of [1, 2, 6, 4.5, NaN]) expect(() => place(buffer, byteOffset)).toThrow(InvalidError);
      for (const byteOffset of [-4, 64, 68 - BYTES]) expect(() => place(buffer, byteOffset)).toThrow(RangeError);
      expect(() => place(new ArrayBuffer(64) as unknown as SharedArrayBuffer, 0)).toThrow(InvalidError);
      place(buffer, 64 - BYTES);
    }
  });
});
