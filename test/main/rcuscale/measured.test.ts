/** Rows of several CPUs, taken together. */
import { expect, test } from "vitest";
import { takenTogether } from "../../../src/main/rcuscale/measured.ts";
import { type MeasuredRow, Measurements } from "../../../src/main/rcuscale/measurements.ts";

const PAGE = 4096;

function row(given: Partial<MeasuredRow>): MeasuredRow {
  return { ...Measurements.create(1).row(0), ...given };
}

test("from the last start to the last end; averages over all, extremes of all", () => {
  const early = row({
    start: 100,
    end: 2000,
    gpsAtStart: 1,
    gpsAtEnd: 8,
    cpuTime: 900,
    objects: 3,
    freeAtStart: 500,
    freeAtQuarters: 480 + 470,
    quarters: 2,
    freeAtLeast: 450,
    failedAllocations: 2,
    barrier: 70,
    barrierGps: 1,
    idleBarrier: 60,
    idleBarrierItems: 5,
    cacheBarrier: 40,
    cacheBarrierItems: 3,
  });
  const late = row({
    start: 200,
    end: 1900,
    gpsAtStart: 2,
    gpsAtEnd: 7,
    cpuTime: 700,
    objects: 5,
    freeAtStart: 490,
    freeAtQuarters: 460 + 470,
    quarters: 2,
    freeAtLeast: 440,
  });
  expect(takenTogether([early, late])).toEqual({
    objects: 8,
    totalNs: 1800,
    batches: 6,
    footprint: 30 * PAGE,
    peak: 60 * PAGE,
    cpuNs: 200,
    wallNs: 450,
    failedAllocations: 2,
    barrier: { ns: 70, gracePeriods: 1 },
    idleBarrier: { ns: 60, workItems: 5 },
    cacheBarrier: { ns: 40, workItems: 3 },
  });
});
test("each CPU has a row of its own", () => {
  const measurements = Measurements.create(2);
  measurements.set(1, "objects", 5);
  measurements.add(1, "objects", 2);
  const other = new Measurements(measurements.buffer);
  expect([other.row(0).objects, other.row(1).objects, other.get(1, "end")]).toEqual([0, 7, 0]);
});
