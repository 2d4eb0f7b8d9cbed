import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { type Build, buildNative, NATIVE_NAMES } from "../../../bench/peers/build.ts";
import { mimalloc_bench } from "../../../bench/mimalloc_bench.ts";
import type { Sample } from "../../../bench/subjects/job.ts";
import { HEAP_WORKLOADS } from "../../../bench/workloads/catalogue.ts";

const TIMEOUT_MS = 120_000;
const NO_TWIN = ["access-growable-load", "access-growable-store", "access-bigint-add"];

/** All parameters that a workload may ask for, small. */
const PARAMETERS = Object.assign(
  { size: 64, count: 100, live: 500 },
  ...mimalloc_bench.flatMap(({ cases }) => cases({}).map(({ parameters }) => parameters)),
) as Readonly<Record<string, number>>;

async function run(build: Build, workload: string, threads: number): Promise<Sample> {
  if ("missing" in build) throw new Error(build.missing);
  const parameters = Object.entries({ ...PARAMETERS, size: 64, repetitions: 10 }).map(([name, n]) => `${name}=${n}`);
  const { stdout } = await promisify(execFile)(build.file, [workload, String(threads), "2", "1", ...parameters]);
  return JSON.parse(stdout) as Sample;
}

const builds = await Promise.all(NATIVE_NAMES.map(async (name) => ({ name, build: await buildNative(name) })));
const has = (name: string): boolean => builds.some((each) => each.name === name && "file" in each.build);
const buildOf = (name: string): Build => builds.find((each) => each.name === name)?.build ?? { missing: name };

describe("native peers", () => {
  it("are built, or say what is missing", () => {
    for (const { build } of builds) {
      if ("missing" in build) expect(build.missing).toMatch(/ is missing: apt-get install /);
      else expect(build.version).toMatch(/gcc/);
    }
  });

  const twins = Object.keys(HEAP_WORKLOADS).filter((name) => !NO_TWIN.includes(name));
  it.skipIf(!has("glibc"))(
    "have a twin of each workload",
    async () => {
      for (const workload of twins) {
        const { threads } = await run(buildOf("glibc"), workload, 2);
        expect(threads, workload).toHaveLength(2);
      }
    },
    TIMEOUT_MS,
  );
  it.skipIf(!has("mimalloc"))("say which allocator they measure, and how large an object is", async () => {
    const { version, metrics } = await run(buildOf("mimalloc"), "random", 1);
    expect(version).toMatch(/^mimalloc \d+\.\d+\.\d+ \((static|shared)\)$/);
    expect(metrics["bytes"]).toBeGreaterThanOrEqual(64);
  });
  it.skipIf(!has("glibc"))("end with an error without a parameter that they need", async () => {
    const build = buildOf("glibc");
    if ("missing" in build) throw new Error(build.missing);
    await expect(promisify(execFile)(build.file, ["pair", "1", "1", "1"])).rejects.toThrow("peer: size");
  });
});
