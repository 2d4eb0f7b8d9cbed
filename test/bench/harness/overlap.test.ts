import { describe, expect, it } from "vitest";
import { hasOverlapped, overlapOf } from "../../../bench/harness/overlap.ts";
import type { ThreadTimes } from "../../../bench/subjects/job.ts";

function thread(start: number, end: number, cpu: number | null): ThreadTimes {
  return { start, end, cpu, ops: 1 };
}
const CORES = 2;

describe("hasOverlapped()", () => {
  it("believes threads that together used two cores", () => {
    expect(hasOverlapped([thread(0, 100, 98), thread(2, 101, 95)], CORES, false)).toBe(true);
  });
  it("does not believe threads that took turns on one core", () => {
    expect(hasOverlapped([thread(0, 100, 50), thread(0, 100, 50)], CORES, false)).toBe(false);
  });
  it("does not believe threads that ran one after the other", () => {
    expect(hasOverlapped([thread(0, 100, 100), thread(100, 200, 100)], CORES, false)).toBe(false);
    expect(hasOverlapped([thread(0, 100, 100), thread(60, 160, 100)], CORES, true)).toBe(false);
  });
  it("does not believe threads whose CPU time is not known", () => {
    expect(hasOverlapped([thread(0, 100, null), thread(0, 100, 100)], CORES, false)).toBe(false);
  });
  it("asks for no more cores than there are", () => {
    const four = [0, 1, 2, 3].map(() => thread(0, 100, 48));
    expect(hasOverlapped(four, CORES, false)).toBe(true);
    expect(hasOverlapped(four, 4, false)).toBe(false);
  });
  it("lets threads wait that are there to wait", () => {
    expect(hasOverlapped([thread(0, 100, 90), thread(0, 100, 1)], CORES, true)).toBe(true);
  });
  it("has nothing to ask of one thread", () => {
    expect(hasOverlapped([thread(0, 100, 1)], CORES, false)).toBe(true);
  });
});

describe("overlapOf()", () => {
  it("measures against the time from the first start to the last end", () => {
    expect(overlapOf([thread(0, 80, 80), thread(20, 100, 70)])).toEqual({ together: 0.6, cores: 1.5 });
  });
});
