/** The watchdog accuses a CPU by its own machine time, never for having lost its processor. */
import { describe, expect, test } from "vitest";
import { type CpuSample, HOST_STALL_MS, LOCKUP_TICKS, Watchdog } from "../../../src/main/torture/watchdog.ts";

const running: CpuSample = { progress: 0, resting: false, ticks: 0, interrupts: 0 };
const STEP = LOCKUP_TICKS / 10;

/** Feeds one CPU's samples; each is `STEP` jiffies and 250 ms after the one before. */
function watch(count: number, sample: (n: number) => Partial<CpuSample>, stepMs = 250) {
  const watchdog = new Watchdog();
  for (let n = 0; n < count; n++) {
    const finding = watchdog.observe([{ ...running, ...sample(n) }], n * STEP, n * stepMs);
    if (finding !== undefined) return { ...finding, n };
  }
  return undefined;
}

describe("Watchdog", () => {
  test("is content with a CPU that gets on", () => {
    expect(watch(100, (n) => ({ progress: n, ticks: n * STEP, interrupts: n }))).toBeUndefined();
  });
  test("a CPU that takes its ticks and finishes nothing is locked up", () => {
    expect(watch(100, (n) => ({ ticks: n * STEP }))).toMatchObject({ verdict: "FAILURE", cpu: 0, n: 10 });
  });
  test("progress starts the count anew", () => {
    expect(watch(100, (n) => ({ progress: Math.floor(n / 9), ticks: n * STEP }))).toBeUndefined();
  });
  test("a CPU that takes NMIs, but no tick, is locked up hard", () => {
    const finding = watch(100, (n) => ({ interrupts: n, ticks: 5 }));
    expect(finding).toMatchObject({ verdict: "FAILURE", cpu: 0, n: 10 });
    expect(finding?.message).toContain("hard lockup");
  });
  test("a tick in between is enough", () => {
    expect(watch(100, (n) => ({ interrupts: n, ticks: Math.floor(n / 9) }))).toBeUndefined();
  });
  test("a CPU whose thread does not run is not accused: inconclusive, after a long real time", () => {
    const samples = HOST_STALL_MS / 250;
    expect(watch(samples, () => ({}))).toBeUndefined();
    expect(watch(samples + 1, () => ({}))).toMatchObject({ verdict: "INCONCLUSIVE", cpu: 0, n: samples });
  });
  test("a CPU at rest may do nothing for ever", () => {
    expect(watch(1000, (n) => ({ resting: true, ticks: n * STEP, interrupts: n }))).toBeUndefined();
  });
  test("names the CPU", () => {
    const watchdog = new Watchdog();
    const at = (n: number) =>
      watchdog.observe(
        [
          { ...running, progress: n },
          { ...running, ticks: n },
        ],
        n,
        n,
      );
    expect(at(0)).toBeUndefined();
    expect(at(LOCKUP_TICKS)).toMatchObject({ cpu: 1, message: expect.stringContaining("CPU 1") as unknown });
  });
});
