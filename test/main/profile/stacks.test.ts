/** What is made of a .cpuprofile: stacks, the table, the file for speedscope, clinic's data. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { evenly, writeClinicData } from "../../../src/main/profile/clinic_data.ts";
import { hottestTable, timesOf } from "../../../src/main/profile/hottest.ts";
import { speedscopeFile } from "../../../src/main/profile/speedscope.ts";
import { stacksOf } from "../../../src/main/profile/stacks.ts";
import { PACKAGE, SMALL_PROFILE } from "./small_profile.ts";

const stacks = stacksOf(SMALL_PROFILE);
const words = stacks.map(({ frames, us }) => `${frames.map(({ name }) => name).join(" ")} ${us}`);

describe("stacks", () => {
  test("begin at what was recorded, and last until the next sample", () => {
    expect(words).toEqual([
      "(anonymous) kmem_cache_alloc 2000",
      "(anonymous) kfree __slab_free 1000",
      "(anonymous) kfree __slab_free kfree 1000",
      "(anonymous) waitForInterrupt 1000",
      "(garbage collector) 1000",
    ]);
  });
  test("samples out of order cost nothing and are not counted twice", () => {
    const timeDeltas = [1000, 1000, 2000, 1000, -500, 1500, 1000];
    const times = stacksOf({ ...SMALL_PROFILE, timeDeltas }).map(({ us }) => us);
    expect(times).toEqual([2000, 1000, 1000, 1000]); // kmem_cache_alloc, __slab_free, waitForInterrupt, collector
  });
  test("lines and columns count from 1, files are paths", () => {
    const file = fileURLToPath(new URL("src/shared/linux/mm/slub/alloc.ts", PACKAGE));
    expect(stacks[0].frames[1]).toEqual({ name: "kmem_cache_alloc", file, line: 10, column: 5 });
  });
  test("a function is one object, whatever calls it", () => {
    expect(stacks[2].frames[1]).toBe(stacks[2].frames[3]);
  });
});

describe("the table", () => {
  test("waiting stands apart; a function that calls itself counts once", () => {
    const times = timesOf(stacks);
    expect(times).toMatchObject({ us: 6000, waitingUs: 1000 });
    expect(times.functions.map(({ frame, selfUs, totalUs }) => [frame.name, selfUs, totalUs])).toEqual([
      ["kmem_cache_alloc", 2000, 2000],
      ["kfree", 1000, 2000],
      ["__slab_free", 1000, 2000],
      ["(garbage collector)", 1000, 1000],
      ["(anonymous)", 0, 5000],
    ]);
  });
  test("is ten functions of less than 100 columns", () => {
    const [frame] = stacks[0].frames;
    const long = Array.from({ length: 12 }, (_, i) => ({
      frames: [{ ...frame, name: `${i}_${"long_name".repeat(9)}`, file: `${frame.file}${"/long/path".repeat(9)}` }],
      us: 100,
    }));
    const lines = hottestTable(3, timesOf(long));
    expect(lines).toHaveLength(12);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(100);
    expect(hottestTable(0, timesOf(stacks)).slice(0, 3)).toEqual([
      "CPU 0: 0.01 s, waiting 16.7 %",
      "    self    total  function                        in",
      "  33.3 %   33.3 %  kmem_cache_alloc                shared/linux/mm/slub/alloc.ts:10",
    ]);
  });
  test("nothing recorded: no division by zero", () => {
    expect(hottestTable(0, timesOf([]))[0]).toBe("CPU 0: 0.00 s, waiting 0.0 %");
  });
});

test("speedscope: a profile for each CPU that left one, functions shared", () => {
  const file = speedscopeFile("a run", [stacks, undefined, stacks]);
  expect(file).toMatchObject({
    name: "a run",
    profiles: [0, 2].map((cpu) => ({
      type: "sampled",
      name: `CPU ${cpu}`,
      unit: "microseconds",
      startValue: 0,
      endValue: 6000,
      samples: [[0, 1], [0, 2, 3], [0, 2, 3, 2], [0, 4], [5]],
      weights: [2000, 1000, 1000, 1000, 1000],
    })),
  });
  const { shared } = file as { shared: { frames: { name: string }[] } };
  expect(shared.frames.map(({ name }) => name)).toEqual([
    "(anonymous)",
    "kmem_cache_alloc",
    "kfree",
    "__slab_free",
    "waitForInterrupt",
    "(garbage collector)",
  ]);
  expect(shared.frames[5]).toEqual({ name: "(garbage collector)" });
});

describe("clinic's data", () => {
  function samplesOf(lanes: Parameters<typeof writeClinicData>[1]): { name: string; type: string }[][] {
    const folder = mkdtempSync(join(tmpdir(), "sheaf-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeClinicData(join(folder, "x.clinic-flame"), lanes);
    const path = join(folder, "x.clinic-flame", "x.clinic-flame-samples");
    return JSON.parse(readFileSync(path, "utf8")) as { name: string; type: string }[][];
  }
  test("samples weigh the same, so long stacks are there more often, and short ones in proportion", () => {
    expect(evenly(stacks, 1000).map((stack) => stacks.indexOf(stack))).toEqual([0, 0, 1, 2, 3, 4]);
    expect(evenly(stacks, 2000).map((stack) => stacks.indexOf(stack))).toEqual([0, 2, 4]);
  });
  test("frames read as compiled files", () => {
    const samples = samplesOf([{ root: undefined, stacks }]);
    const file = fileURLToPath(new URL("src/shared/linux/mm/slub/alloc.js", PACKAGE));
    expect(samples[0][1]).toEqual({ name: `kmem_cache_alloc ${file}:10:5`, type: "JS" });
    expect(samples[5]).toEqual([{ name: "(garbage_collector)", type: "CPP" }]);
  });
  test("of several CPUs: each has a root", () => {
    const samples = samplesOf([
      { root: "CPU_0", stacks },
      { root: "CPU_1", stacks },
    ]);
    const roots = samples.map(([{ name }]) => name.split(" ")[0]);
    expect(roots).toEqual([...Array<string>(6).fill("CPU_0"), ...Array<string>(6).fill("CPU_1")]);
  });
  test("long profiles are thinned", () => {
    const long = stacks.map((stack) => ({ ...stack, us: stack.us * 100_000 }));
    expect(samplesOf([{ root: undefined, stacks: long }])).toHaveLength(8000);
  });
});
