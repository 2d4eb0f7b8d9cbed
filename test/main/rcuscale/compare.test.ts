/** Comparisons: which claims the numbers of runs bear out, and how that is printed. Real runs: run.test.ts. */
import { describe, expect, test } from "vitest";
import { comparisonJson, comparisonTable, judge, type Judgement } from "../../../src/main/rcuscale/compare.ts";
import type { Measured } from "../../../src/main/rcuscale/measured.ts";
import type { ScaleResult } from "../../../src/main/rcuscale/run.ts";
import { CLAIMS, type Results, RUN_NAMES, type RunName } from "../../../src/main/rcuscale/shapes.ts";

/** What a run of a test has measured; the rest is the same for all. */
interface Given extends Partial<Measured> {
  readonly krc?: number;
  readonly cpus?: number;
  readonly extraCaches?: number;
}
function result({ krc = 0, cpus = 2, extraCaches = 0, ...measured }: Given): ScaleResult {
  const stages = { sheaf: 0, bnode: krc, head: 0, call_rcu: 0, synchronous: 0, deferred: 0 };
  const config = { shape: { cpus }, extraCaches, holdoff: 0 };
  return { config, stages, measured: { cpuNs: 100, wallNs: 100, ...measured } } as ScaleResult;
}
function barriers(cpus: number, extraCaches: number, nsEach: number): Given {
  const n = cpus * (39 + extraCaches);
  const cacheBarrier = { ns: (cpus * nsEach) / 2, workItems: 2 * cpus };
  return { cpus, extraCaches, idleBarrier: { ns: n * nsEach, workItems: 1.5 * n }, cacheBarrier };
}
const MB = 2 ** 20;
/** As published. */
const PUBLISHED: Readonly<Record<RunName, Given>> = {
  unbatched: { batches: 6893, footprint: 67 * MB },
  batched: { batches: 1596, footprint: 261 * MB, krc: 1000 },
  unbatchedNowAndThen: { batches: 190, footprint: MB },
  batchedNowAndThen: { batches: 2, footprint: 3 * MB },
  unpolled: { batches: 1100, footprint: 5057 * MB },
  sheaves: { krc: 3 },
  twoCpus: barriers(2, 0, 10),
  twoCpusManyCaches: barriers(2, 80, 11),
  fourCpus: barriers(4, 0, 12),
  fourCpusManyCaches: barriers(4, 80, 13),
  local: { cpuNs: 100 },
  localNoSheaves: { cpuNs: 130 },
  remote: { cpuNs: 280 },
  remoteNoSheaves: { cpuNs: 130 },
  bpfBefore: { batches: 190 },
  bpfNow: { batches: 12 },
};
function judgements(changes: Partial<Record<RunName, Given>> = {}): readonly Judgement[] {
  const results = RUN_NAMES.map((name) => [name, result({ ...PUBLISHED[name], ...changes[name] })] as const);
  return judge(Object.fromEntries(results) as Results);
}
const refuted = (changes: Partial<Record<RunName, Given>>): readonly string[] =>
  judgements(changes)
    .filter(({ reproduced }) => !reproduced)
    .map(({ shape, says }) => `${shape}: ${says}`);

describe("claims", () => {
  test("numbers as published bear out all of them", () => {
    expect(judgements()).toHaveLength(CLAIMS.length);
    expect(refuted({})).toEqual([]);
  });
  test("ratios are those of the claims, the larger number first", () => {
    const [gracePeriods, memory] = judgements();
    expect([gracePeriods.here, gracePeriods.ratio]).toEqual([[6893, 1596], 6893 / 1596]);
    expect([memory.here, memory.ratio]).toEqual([[261 * MB, 67 * MB], 261 / 67]);
  });
  test.each<[string, Partial<Record<RunName, Given>>, RegExp]>([
    ["batching saves no grace periods", { unbatched: { batches: 2000, footprint: 0 } }, /^i: batching cuts/],
    ["batching holds less", { unbatched: { batches: 6893, footprint: 300 * MB } }, /^i: and holds more/],
    ["nor now and then", { batchedNowAndThen: { batches: 180, footprint: 3 * MB } }, /^i: the same/],
    ["nor holds more then", { batchedNowAndThen: { batches: 2, footprint: MB } }, /^i: and memory/],
    ["cookies save little memory", { unpolled: { footprint: 300 * MB, batches: 1100 } }, /^ii: a cookie/],
    ["cookies cost many grace periods", { unpolled: { footprint: 5057 * MB, batches: 300 } }, /^ii: at slightly/],
    ["sheaves take few objects", { sheaves: { krc: 500 } }, /^iii: /],
    [
      "some CPUs are spared",
      { fourCpus: { ...barriers(4, 0, 12), idleBarrier: { ns: 1872, workItems: 78 } } },
      /^iv: a barrier does/,
    ],
    ["many caches take disproportionate time", { fourCpusManyCaches: barriers(4, 80, 60) }, /^iv: and takes/],
    [
      "one cache is no cheaper",
      { fourCpus: { ...barriers(4, 0, 12), cacheBarrier: { ns: 1800, workItems: 8 } } },
      /^iv: a barrier on/,
    ],
    ["sheaves gain nothing", { localNoSheaves: { cpuNs: 101 } }, /^v: sheaves/],
    ["remote frees cost no more", { remote: { cpuNs: 110 }, remoteNoSheaves: { cpuNs: 90 } }, /^v: a free/],
    ["sheaves do not lose", { remoteNoSheaves: { cpuNs: 300 } }, /^v: so that/],
    ["BPF gains nothing", { bpfNow: { batches: 150 } }, /^vi: /],
  ])("%s: that one is not reproduced, the others are", (_, changes, claim) => {
    expect(refuted(changes)).toEqual([expect.stringMatching(claim)]);
  });
  test("wall time stands in for CPU time that is not known", () => {
    expect(refuted({ remote: { cpuNs: NaN, wallNs: 280 } })).toEqual([]);
  });
});

test("the table has two lines for each claim, and says when the computer was busy", () => {
  const comparison = { judgements: judgements(), runs: [result({})] };
  const lines = comparisonTable(comparison);
  expect(lines).toHaveLength(2 * CLAIMS.length);
  expect(lines[0]).toBe("(i)   batching cuts the number of grace periods: reproduced");
  expect(lines[1]).toBe("      published 6893 / 1596 = 4.3; here 6,893 / 1,596 = 4.3");
  const busy = comparisonTable({ ...comparison, runs: [result({}), result({ cpuNs: 20 })] });
  expect(busy.at(-1)).toMatch(/^metrics untrustworthy: the threads ran 20 % of the time/);
});
test("JSON", () => {
  const [first] = comparisonJson({ judgements: judgements(), runs: [] }) as object[];
  expect(first).toEqual({
    shape: "i",
    says: "batching cuts the number of grace periods",
    published: "6893 / 1596 = 4.3",
    here: [6893, 1596],
    ratio: 6893 / 1596,
    reproduced: true,
  });
});
