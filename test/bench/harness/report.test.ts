import { describe, expect, it } from "vitest";
import { comparisonLines, quantity, resultsOf } from "../../../bench/harness/report.ts";
import { comparison, figures } from "./comparisons.ts";

const OURS = figures("kmalloc", [3, 4, 5]);
const THEIRS = figures("mimalloc", [10, 8, 10]);

describe("resultsOf()", () => {
  it("has a row for each peer", () => {
    expect(resultsOf(comparison("kmalloc pair", OURS, [THEIRS]))).toEqual([
      {
        bench: "kmalloc pair",
        subject: "kmalloc",
        peer: "mimalloc",
        ratio: 0.5,
        subject_ns: 4,
        peer_ns: 10,
        subject_cpu_ns: 4,
        peer_cpu_ns: 10,
        threads: 1,
        overlapped: true,
        runs: 3,
      },
    ]);
  });
  it("has one row where there is no peer", () => {
    const [row, ...more] = resultsOf(comparison("barrier", OURS, []));
    expect(more).toEqual([]);
    expect(row).toMatchObject({ peer: null, ratio: null, subject_ns: 4, peer_ns: null });
  });
  it("is overlapped only if both sides were", () => {
    const peer = { ...THEIRS, overlapped: false };
    expect(resultsOf(comparison("x", OURS, [peer]))[0].overlapped).toBe(false);
    expect(resultsOf(comparison("x", { ...OURS, overlapped: false }, [THEIRS]))[0].overlapped).toBe(false);
  });
  it("says null of what is no number: JSON has no other word for it", () => {
    const nothing = figures("kmalloc", [Infinity]);
    expect(resultsOf(comparison("x", nothing, [figures("mimalloc", [Infinity])]))[0]).toMatchObject({
      ratio: null,
      subject_ns: null,
      peer_ns: null,
    });
  });
  it("has a row for each metric in ns, and none for memory", () => {
    const values = new Map([
      ["p50", [1]],
      ["p99", [2]],
      ["bytes", [3]],
    ]);
    const rows = resultsOf(
      comparison("x", figures("kmalloc", [], { values }), [], { metrics: ["p50", "p99", "bytes"] }),
    );
    expect(rows.map(({ bench, subject_ns }) => [bench, subject_ns])).toEqual([
      ["x p50", 1],
      ["x p99", 2],
    ]);
  });
});

describe("comparisonLines()", () => {
  it("shows median, minimum, spread, CPU time, and the ratio beside the peer", () => {
    const [, subject, peer] = comparisonLines(comparison("kmalloc pair", OURS, [THEIRS]));
    expect(subject).toMatch(/^ {2}kmalloc 1\.0 +4\.00 ns +3\.00 ns +50 % +4\.00 ns$/);
    expect(peer).toMatch(/^ {2}mimalloc 1\.0 +10\.00 ns +8\.00 ns +20 % +10\.00 ns +0\.50$/);
  });
  it("tells to ignore what has not overlapped", () => {
    const [, subject] = comparisonLines(comparison("x", { ...OURS, overlapped: false }, []));
    expect(subject).toMatch(/not overlapped, ignore$/);
  });
  it("says that a thread had no processor", () => {
    const [, subject] = comparisonLines(comparison("x", { ...OURS, share: 0.4 }, []));
    expect(subject).toMatch(/ran 40 % of the time$/);
  });
  it("says what could not run here", () => {
    const lines = comparisonLines({ ...comparison("x", OURS, []), skipped: ["jemalloc skipped: it is missing"] });
    expect(lines.at(-1)).toBe("  jemalloc skipped: it is missing");
  });
});

describe("quantity()", () => {
  it("takes the unit that fits", () => {
    expect([3.456, 250, 12_345, 2_500_000, Infinity].map((ns) => quantity(ns, "time"))).toEqual([
      "3.46 ns",
      "250 ns",
      "12.3 us",
      "2.50 ms",
      "-",
    ]);
    expect(quantity(64, "bytes")).toBe("64.0 B");
  });
});
