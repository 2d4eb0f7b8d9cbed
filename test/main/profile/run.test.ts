/** What a profiled run leaves: the allocator's functions are in every file, and in the data of clinic's pages. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseOptions } from "../../../src/main/options.ts";
import { makePages } from "../../../src/main/profile/clinic.ts";
import { type Profiled, profileTorture } from "../../../src/main/profile/run.ts";
import { parseTortureConfig, TORTURE_OPTIONS } from "../../../src/main/torture/config.ts";
import { ALLOCATOR, clinicMissing, functionsOf } from "./pages.ts";

const config = parseTortureConfig(
  parseOptions("--cpus 2 --duration 60s --seed 1 --memory 8MiB".split(" "), TORTURE_OPTIONS, 0),
);
/** Enough to see each function of ALLOCATOR on each CPU, on however busy a computer. */
const OPERATIONS = 20_000;

let folder = "";
let profiled: Profiled;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sheaf-profile-"));
  const enough = new AbortController();
  profiled = await profileTorture(config, folder, {
    signal: enough.signal,
    onProgress: ({ ops }) => {
      if (ops >= OPERATIONS) enough.abort();
    },
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("a profiled run", () => {
  test("has a .cpuprofile of each CPU", () => {
    expect(profiled.result.verdict).toBe("SUCCESS");
    for (const cpu of [0, 1]) {
      const text = readFileSync(join(folder, `cpu-${cpu}.cpuprofile`), "utf8");
      for (const name of ALLOCATOR) expect(text).toContain(`"functionName":"${name}"`);
    }
  });
  test("has stacks from the operations inwards", () => {
    for (const stacks of profiled.cpus) {
      const outermost = new Set(stacks?.map(({ frames: [{ name, file }] }) => (file === "" ? "V8" : name)));
      expect([...outermost].toSorted()).toEqual(expect.arrayContaining(["operations"]));
      expect([...outermost].filter((name) => name !== "V8" && name !== "operations")).toEqual([]);
    }
  });
  test("has a file for speedscope, with both CPUs", () => {
    const { shared, profiles } = JSON.parse(readFileSync(join(folder, "speedscope.json"), "utf8")) as {
      shared: { frames: { name: string }[] };
      profiles: { samples: number[][] }[];
    };
    expect(profiles).toHaveLength(2);
    for (const { samples } of profiles) {
      const names = new Set(samples.flat().map((index) => shared.frames[index].name));
      expect([...names]).toEqual(expect.arrayContaining([...ALLOCATOR, "waitForInterrupt"]));
    }
  });
  test("has clinic's page of each CPU, and one of all", { timeout: 300_000 }, async ({ skip }) => {
    const missing = clinicMissing();
    if (missing !== undefined) skip(missing);
    expect(await makePages(folder, profiled.cpus, new AbortController().signal)).toBeUndefined();
    const pages = ["all-cpus.clinic-flame.html", "cpu-0.clinic-flame.html", "cpu-1.clinic-flame.html"];
    expect(readdirSync(folder).filter((name) => name.includes("clinic"))).toEqual(pages);
    for (const page of pages) expect([...functionsOf(join(folder, page))]).toEqual(expect.arrayContaining(ALLOCATOR));
    expect([...functionsOf(join(folder, pages[0]))]).toEqual(expect.arrayContaining(["CPU_0", "CPU_1"]));
  });
});

test("a CPU whose thread dies leaves no profile, the other does", async () => {
  const out = join(folder, "dead");
  const { result, cpus } = await profileTorture(config, out, {
    onMachine: (machine) => {
      void machine.booted.then(() => setTimeout(() => void machine.threads[0].terminate(), 500));
    },
  });
  expect(result.verdict).toBe("FAILURE");
  expect(cpus.filter((stacks) => stacks !== undefined)).toHaveLength(1);
});
