import { describe, expect, it } from "vitest";
import { median, medianRatio, spreadOf } from "../../../bench/harness/stats.ts";

describe("median()", () => {
  it("is the middle one, or between the two in the middle", () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });
  it("needs a value", () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

describe("spreadOf()", () => {
  it("relates the range to the median", () => {
    expect(spreadOf([10, 12, 8])).toEqual({ median: 10, min: 8, spread: 0.4 });
  });
});

describe("medianRatio()", () => {
  it("compares each run with the peer's run of the same turn", () => {
    // The machine became ten times slower during the runs: both sides did.
    expect(medianRatio([1, 10, 2], [2, 20, 4])).toBe(0.5);
    // The ratio of medians would be 2 / 4.
    expect(medianRatio([1, 2, 30], [4, 1, 10])).toBe(2);
  });
  it("refuses runs without a partner", () => {
    expect(() => medianRatio([1, 2], [1])).toThrow(RangeError);
  });
});
