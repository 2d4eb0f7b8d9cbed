/** Small runs: every object is accounted for, whichever way it is freed, and shapes that are counts are found. */
import { describe, expect, test } from "vitest";
import { parseOptions } from "../../../src/main/options.ts";
import { parseScaleConfig, SCALE_OPTIONS } from "../../../src/main/rcuscale/config.ts";
import { METHODS } from "../../../src/main/rcuscale/methods.ts";
import { runScale, type ScaleResult } from "../../../src/main/rcuscale/run.ts";

const DEFAULTS = ["--cpus 2", "--memory 16MiB", "--seed 1"];

async function run(line: string): Promise<ScaleResult> {
  const defaults = DEFAULTS.filter((each) => !line.includes(each.split(" ")[0]));
  return runScale(parseScaleConfig(parseOptions([...defaults, line].join(" ").split(" "), SCALE_OPTIONS, 0)));
}
/** Objects that wait for a grace period, by stage. */
function waiting({ stages }: ScaleResult): number {
  return stages.sheaf + stages.bnode + stages.head + stages.call_rcu + stages.synchronous;
}

describe("every object goes one way, and comes back", () => {
  const LINES = [
    ...METHODS.map((by) => `--by ${by}`),
    "--by kfree_rcu --head 8 --mult 4",
    "--by kfree_rcu --config no-sheaves",
    "--by kfree_rcu --config no-sheaves,cached=0,unpolled",
    "--by kfree_rcu --config unbatched",
    "--by kfree_rcu_nolock --config unbatched",
    "--by kvfree_rcu_mightsleep --config no-sheaves,nodes=2",
    "--by kfree_rcu_nolock --variant rfc --remote",
    "--by kfree_rcu_nolock --variant v3 --remote --config nodes=2",
    "--by kfree_rcu --remote --config nodes=2,caches=3 --cpus 3 --nthreads 2",
  ];
  test.each(LINES)("%s", async (line) => {
    const result = await run(`--loops 3 --alloc-num 700 ${line}`);
    expect(result.failures).toEqual([]);
    expect(result).toMatchObject({ verdict: "SUCCESS", interrupted: false });
    expect(result.measured.objects).toBe(2 * 3 * 700);
    expect(waiting(result)).toBe(line === "--by kfree" ? 0 : result.measured.objects);
  });
  test("with NMIs, whose objects are counted too", async () => {
    const result = await run("--loops 20 --alloc-num 2000 --by kfree_rcu_nolock --nmi 20k");
    expect(result.failures).toEqual([]);
    expect(result.summary.nmis.local).toBeGreaterThan(0);
    expect(waiting(result)).toBeGreaterThanOrEqual(result.measured.objects);
  });
  test("one thread works, the other CPU idles", async () => {
    const result = await run("--loops 2 --alloc-num 100 --nthreads 1");
    expect(result).toMatchObject({ verdict: "SUCCESS", measured: { objects: 200 } });
  });
});

describe("too little memory", () => {
  test("for all at once: allocations wait for grace periods", async () => {
    const result = await run("--memory 3MiB --loops 2 --alloc-num 2000 --mult 300");
    expect(result).toMatchObject({ verdict: "SUCCESS", failures: [], measured: { objects: 2 * 2 * 2000 } });
    expect(result.measured.failedAllocations).toBeGreaterThan(0);
    expect(result.measured.peak).toBeGreaterThan(1 << 20);
  });
  test("for the machine itself: a line, and no crash", async () => {
    const result = run("--memory 400KiB --config caches=200");
    await expect(result).rejects.toThrow("no memory for its caches: give a larger --memory");
  });
});

describe("shapes", () => {
  /** A few objects in each jiffy: how many grace periods they need does not depend on how fast the computer is. */
  const NOW_AND_THEN = "--loops 40 --alloc-num 4 --holdoff 1";

  test("(i) batching cuts grace periods, and callbacks", async () => {
    const unbatched = await run(`${NOW_AND_THEN} --config unbatched`);
    const batched = await run(`${NOW_AND_THEN} --config no-sheaves`);
    expect(batched.stages.sheaf).toBe(0);
    for (const { summary } of [unbatched, batched]) expect(summary.raised.ticks).toBeGreaterThanOrEqual(40);
    expect(unbatched.summary.callbacks).toBeGreaterThanOrEqual(unbatched.measured.objects);
    expect(unbatched.measured.batches).toBeGreaterThan(4 * (batched.measured.batches + 1));
    expect(batched.summary.callbacks).toBeLessThan(40);
  });
  test("(iii) sheaves leave nothing to kfree_rcu_cpu, and take a callback for 60 objects", async () => {
    const { stages, measured, summary } = await run("--loops 4 --alloc-num 6000");
    expect(stages).toMatchObject({ sheaf: measured.objects, bnode: 0, head: 0 });
    expect(summary.callbacks).toBeLessThan(measured.objects / 60 + 40);
  });
  test("a grace period for a few objects, or for many", async () => {
    const before = await run(`${NOW_AND_THEN} --by call_rcu_nolock_free`);
    const now = await run(`${NOW_AND_THEN} --by kfree_rcu_nolock`);
    expect(before.measured.batches).toBeGreaterThan(3 * now.measured.batches);
  });
  test("(iv) work items of a barrier: for each CPU and each cache", async () => {
    const items = async (line: string) => (await run(`--loops 1 --alloc-num 1 ${line}`)).measured.idleBarrier.workItems;
    const [few, many] = [await items("--cpus 1"), await items("--cpus 1 --config caches=39")];
    expect(Math.round(many / few)).toBe(2);
  });
});
