/** `sheaf kunit`: the suite passes, and what does not pass is told. */
import { describe, expect, test } from "vitest";
import { CASES } from "../../../src/main/kunit/catalogue.ts";
import { Ktap } from "../../../src/main/kunit/ktap.ts";
import { type CaseResult, KunitResults } from "../../../src/main/kunit/results.ts";
import { type KunitHooks, runKunit } from "../../../src/main/kunit/run.ts";
import { parseOptions } from "../../../src/main/options.ts";
import { machineConfig, parseTortureConfig, TORTURE_OPTIONS } from "../../../src/main/torture/config.ts";
import { Watchdog } from "../../../src/main/torture/watchdog.ts";
import type { SupervisedRun } from "../../../src/main/supervise.ts";
import { type Captured, run } from "../captured.ts";

/** @param onLine  told of each line when it comes */
async function kunit(line: string, onLine: (text: string) => void = () => undefined): Promise<Captured> {
  const out: string[] = [];
  const hear = (text: string): void => {
    out.push(text);
    onLine(text);
  };
  return { ...(await run(["kunit", ...line.split(" ")], { out: hear })), out };
}

describe("sheaf kunit", () => {
  test("the whole suite passes, in short rounds", async () => {
    const { code, out, err } = await kunit("--cpus 2 --memory 32MiB --rounds 12 --seed 1");
    const results = out.filter((line) => /^ {4}(not )?ok/.test(line));
    expect(results).toEqual(CASES.map(({ name }, i) => `    ok ${i + 1} ${name}`));
    const totals = `pass:${CASES.length} fail:0 skip:0 total:${CASES.length}`;
    expect(out.slice(0, 5)).toEqual([
      "KTAP version 1",
      "1..1",
      "    KTAP version 1",
      "    # Subtest: slub_test",
      `    1..${CASES.length}`,
    ]);
    expect(out.slice(-3)).toEqual([`# slub_test: ${totals}`, `# Totals: ${totals}`, "ok 1 slub_test"]);
    for (const event of ["perf", "kprobe"]) {
      const counts = out.find((line) => line.startsWith(`    # test_kmalloc_nolock_and_friends_${event}: callback`));
      expect(counts).toMatch(/callback_count=[1-9]\d* alloc_ok=[1-9]\d* alloc_fail=\d+$/);
    }
    expect({ code, err }).toEqual({ code: 0, err: [] });
  });
  test("some of them; skipped: an event without NMIs, a kprobe on one CPU", async () => {
    const names = ["kprobe", "perf"].map((event) => `test_kmalloc_nolock_and_friends_${event}`);
    const { code, out } = await kunit(`${names.join(",")} --cpus 1 --memory 8MiB --nmi 0`);
    expect(out.slice(4)).toEqual([
      "    1..2",
      `    ok 1 ${names[0]} # SKIP needs more than one CPU`,
      `    ok 2 ${names[1]} # SKIP the event cannot be enabled: there are no NMIs`,
      "# slub_test: pass:0 fail:0 skip:2 total:2",
      "# Totals: pass:0 fail:0 skip:2 total:2",
      "ok 1 slub_test",
    ]);
    expect(code).toBe(0);
  });
  test("exit code 1 if one fails: a bug that the kernel had", async () => {
    const { code, out } = await kunit("test_kfree_rcu --cpus 2 --memory 8MiB --bug B7 --rounds 100000");
    expect(code).toBe(1);
    expect(out[5]).toMatch(
      /^ {4}# test_kfree_rcu: the machine has failed: .* missed by kvfree_rcu_barrier_on_cache\(\)/,
    );
    expect(out.slice(-4)).toEqual([
      "    not ok 1 test_kfree_rcu",
      "# slub_test: pass:0 fail:1 skip:0 total:1",
      "# Totals: pass:0 fail:1 skip:0 total:1",
      "not ok 1 slub_test",
    ]);
  });
  test("exit code 1 if one fails, also when Ctrl-C ends the rest", async () => {
    const { code, out } = await kunit(
      "test_kfree_rcu,test_kmalloc_nolock_and_friends_perf --cpus 2 --memory 8MiB --bug B7 --rounds 1000000",
      (line) => {
        if (line === "    not ok 1 test_kfree_rcu") process.emit("SIGINT");
      },
    );
    expect(out).toContain("# 1 of 2 tests have not run to their end");
    expect(out.at(-1)).toBe("not ok 1 slub_test");
    expect(code).toBe(1);
  });
  test("exit code 130 if Ctrl-C is all that was", async () => {
    const { code, out } = await kunit(
      "test_kmem_buckets_sizes,test_kmalloc_nolock_and_friends_perf --cpus 2 --memory 8MiB --rounds 1000000",
      (line) => {
        if (line === "    ok 1 test_kmem_buckets_sizes") process.emit("SIGINT");
      },
    );
    expect(out.at(-1)).toBe("not ok 1 slub_test");
    expect(code).toBe(130);
  });
  test("--list names them", async () => {
    expect((await kunit("--list")).out).toEqual(CASES.map(({ name }) => name));
  });
  test.each([
    ["nothing", /^sheaf: there is no test 'nothing': 'sheaf kunit --list' names them$/],
    [
      "test_kfree_rcu,test_clobber_zone,test_kfree_rcu",
      /^sheaf: the list of tests names 'test_kfree_rcu' twice: name it once$/,
    ],
    ["--config tiny,failslab=0.1", /^sheaf: --config failslab is not for kunit, whose tests .*: leave it out$/],
    ["--config lowmem=0.1", /^sheaf: --config lowmem is not for kunit, whose tests .*: leave it out$/],
    ["--rounds 0", /--rounds must be an integer/],
    ["--duration 1s", /unknown option --duration/],
  ])("%s is no command line", async (line, message) => {
    const { code, out, err } = await kunit(line);
    expect({ code, out }).toEqual({ code: 2, out: [] });
    expect(err[0]).toMatch(message);
  });
});

describe("what does not pass", () => {
  const NAMES = ["good", "expects", "asserts", "skips", "breaks", "stalls", "leaks"];
  async function run(
    names: readonly string[],
    hooks: Partial<KunitHooks> = {},
  ): Promise<{ results: Record<string, CaseResult>; ended: SupervisedRun }> {
    const results: Record<string, CaseResult> = {};
    const config = parseTortureConfig(parseOptions(["--cpus", "2", "--memory", "8MiB"], TORTURE_OPTIONS, 0));
    const ended = await runKunit(
      {
        machine: machineConfig(config),
        options: { rounds: 1, seed: 1, nmisPerTick: 0, nmis: false },
        nmiRate: 0,
        cases: names.map((name) => NAMES.indexOf(name)),
      },
      {
        ...hooks,
        cpuModule: new URL("./broken_cases.ts", import.meta.url),
        onResult: (index, result) => (results[NAMES[index]] = result),
      },
    );
    return { results, ended };
  }

  test("expectations, assertions and skips are told apart, and the next test runs", async () => {
    const { results, ended } = await run(["asserts", "skips", "expects", "good"]);
    expect(results).toEqual({
      good: { state: "ok", lines: ["seen"] },
      expects: {
        state: "failed",
        lines: [
          "EXPECTATION FAILED: one is 1, not 2",
          "EXPECTATION FAILED: three is 3",
          "EXPECTATION FAILED: false is true",
        ],
      },
      asserts: { state: "failed", lines: ["ASSERTION FAILED: NULL is NULL"] },
      skips: { state: "skipped", lines: ["not here"] },
    });
    expect(ended.verdict).toBe("SUCCESS");
  });
  test("a test that breaks the machine has failed, and the rest run on a new one", async () => {
    const { results, ended } = await run(["skips", "breaks", "good"]);
    expect(Object.keys(results)).toEqual(["skips", "breaks", "good"]);
    expect(results["breaks"].state).toBe("failed");
    expect(results["breaks"].lines[0]).toBe("the machine has failed: CPU 0: broken by a test");
    expect(results["good"].state).toBe("ok");
    expect(ended.verdict).toBe("SUCCESS");
  });
  test("a host that cannot run the machine says nothing about a test, and the rest does not run", async () => {
    const { results, ended } = await run(["asserts", "stalls", "good"], { watchdog: new Watchdog(undefined, 1000) });
    expect(Object.keys(results)).toEqual(["asserts"]);
    expect(ended.verdict).toBe("INCONCLUSIVE");
    expect(ended.failures[0]).toMatch(/its thread gets no processor/);
  });
  test("what tests leave behind is found at the end", async () => {
    const { results, ended } = await run(["leaks", "good"]);
    expect(results).toMatchObject({ leaks: { state: "ok" }, good: { state: "ok" } });
    expect(ended.verdict).toBe("FAILURE");
    expect(ended.failures[0]).toMatch(/at quiescence: cache kmalloc-32: \d+ objects in use/);
  });
});

describe("KTAP", () => {
  test("not ok, diagnostics, skips, totals", () => {
    const lines: string[] = [];
    const ktap = new Ktap("suite", (line) => lines.push(line));
    ktap.start(3);
    ktap.result("a", { state: "ok", lines: ["info"] });
    ktap.result("b", { state: "failed", lines: ["EXPECTATION FAILED: x", "more"] });
    ktap.result("c", { state: "skipped", lines: ["why not"] });
    expect(ktap.failed).toBe(true);
    expect(ktap.end([])).toBe(false);
    expect(lines.slice(4)).toEqual([
      "    1..3",
      "    # a: info",
      "    ok 1 a",
      "    # b: EXPECTATION FAILED: x",
      "    # b: more",
      "    not ok 2 b",
      "    ok 3 c # SKIP why not",
      "# suite: pass:1 fail:1 skip:1 total:3",
      "# Totals: pass:1 fail:1 skip:1 total:3",
      "not ok 1 suite",
    ]);
  });
  test("trouble beside the tests is trouble", () => {
    const lines: string[] = [];
    const ktap = new Ktap("suite", (line) => lines.push(line));
    expect(ktap.end(["leaked\n  two"])).toBe(false);
    expect(lines).toEqual([
      "# leaked",
      "#   two",
      "# suite: pass:0 fail:0 skip:0 total:0",
      "# Totals: pass:0 fail:0 skip:0 total:0",
      "not ok 1 suite",
    ]);
  });
});

test("a suite that was interrupted is not ok, and says how much is missing", () => {
  const lines: string[] = [];
  const ktap = new Ktap("suite", (line) => lines.push(line));
  ktap.start(3);
  ktap.result("a", { state: "ok", lines: [] });
  expect(ktap.end([])).toBe(false);
  expect(ktap.failed).toBe(false);
  expect(lines).toContain("# 2 of 3 tests have not run to their end");
  expect(lines.at(-1)).toBe("not ok 1 suite");
});

test("results that are too long are cut off", () => {
  const results = KunitResults.create(2);
  results.set(0, "failed", ["x".repeat(5000)]);
  results.set(1, "ok", ["a", "b"]);
  expect(results.get(0).lines[0]).toHaveLength(4000);
  expect(results.get(1)).toEqual({ state: "ok", lines: ["a", "b"] });
});
