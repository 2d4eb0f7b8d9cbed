/** `sheaf rcuscale` as its user sees it: lines, JSON, exit codes, Ctrl-C. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Captured, run } from "../captured.ts";

const LAUNCHER = fileURLToPath(new URL("../../../bin/sheaf.js", import.meta.url));
const TINY = "--cpus 2 --loops 2 --alloc-num 500 --memory 8MiB --seed 1";

const rcuscale = (line: string): Promise<Captured> => run(["rcuscale", ...line.split(" ")]);

describe("sheaf rcuscale", () => {
  test("first and last line name every parameter; the kernel's line and a table are between them", async () => {
    const { code, out, err } = await rcuscale(TINY);
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const parameters = "by=kfree_rcu loops=2 alloc-num=500 mult=1 head=16 nthreads=2 cpus=2 memory=8MiB seed=1";
    expect(out[0]).toBe(`sheaf-rcuscale:--- Start of test: ${parameters}`);
    expect(out[1]).toMatch(
      /^sheaf-rcuscale: Total time taken by all kfree'ers: \d+ ns, loops: 2, batches: \d+, memory footprint: -?\d+\.\d MB$/,
    );
    expect(out.at(-1)).toBe(`sheaf-rcuscale:--- End of test: SUCCESS: ${parameters}`);
    const text = out.join("\n");
    expect(text).toMatch(
      /\nobjects +2,000 of 24 bytes, by 2 threads\n {2}time of each +[\d,]+ ns CPU, [\d,]+ ns wall\n/,
    );
    expect(text).toMatch(/\n {2}went through +sheaf 2,000\n/);
    expect(text).toMatch(/\nRCU callbacks +\d+, one for \d+ objects\ngrace periods +\d+.*\nirq_work runs +\d+\n/);
    expect(text).toMatch(/\nmemory held .*\nbarrier .*\n {2}idle +[\d.]+ ms, \d+ work items\n {2}idle, one cache/);
  });
  test("--json prints one object with the keys that scripts rely on", async () => {
    const { code, out } = await rcuscale(`${TINY} --json --by kfree_rcu_nolock`);
    expect(code).toBe(0);
    expect(out).toHaveLength(1);
    const report = JSON.parse(out[0]) as Record<string, unknown>;
    expect(Object.keys(report)).toEqual([
      "verdict",
      "seed",
      "cpus",
      "by",
      "variant",
      "loops",
      "alloc_num",
      "nthreads",
      "object_bytes",
      "objects",
      "total_ns",
      "batches",
      "memory_footprint",
      "memory_peak",
      "cpu_ns_per_object",
      "wall_ns_per_object",
      "failed_allocations",
      "stages",
      "rcu_callbacks",
      "irq_work_runs",
      "barrier",
      "idle_barrier",
      "cache_barrier",
      "failures",
    ]);
    const number = expect.any(Number) as number;
    expect(report).toMatchObject({
      verdict: "SUCCESS",
      by: "kfree_rcu_nolock",
      objects: 2000,
      object_bytes: 24,
      stages: { sheaf: number, bnode: 0, head: 0, call_rcu: 0, synchronous: 0, deferred: number },
      barrier: { ns: number, grace_periods: number },
      idle_barrier: { ns: number, work_items: number },
      cache_barrier: { ns: number, work_items: number },
      failures: [],
    });
  });
  test.each([
    ["--by free", /^sheaf: --by must be/],
    ["fast", /^sheaf: unexpected argument 'fast': see --help$/],
    ["compare --by kfree", /^sheaf: compare chooses --by itself: leave it out$/],
    ["--compare --loops 5", /^sheaf: compare chooses --loops itself/],
    ["--duration 5s", /^sheaf: unknown option --duration/],
  ])("%s: exit code 2 and one line", async (line, message) => {
    const { code, out, err } = await rcuscale(line);
    expect({ code, out }).toEqual({ code: 2, out: [] });
    expect(err).toHaveLength(1);
    expect(err[0]).toMatch(message);
  });
  test("too little memory for what is to be there: exit code 2, and what to do", async () => {
    const { code, err } = await rcuscale("--cpus 2 --memory 400KiB --seed 1 --config caches=200");
    expect({ code, err }).toEqual({
      code: 2,
      err: [expect.stringMatching(/no memory for its caches: give a larger --memory$/)],
    });
  });
  test("Ctrl-C ends it in order, with what there is so far: 130", async () => {
    const child = spawn(process.execPath, [LAUNCHER, "rcuscale", "--loops", "1000000", "--cpus", "2", "--seed", "4"]);
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      if (text === "") child.kill("SIGINT"); // Its first line is there, so it listens.
      text += chunk;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(text).toMatch(/End of test: SUCCESS \(interrupted\): by=kfree_rcu /);
  });
});
