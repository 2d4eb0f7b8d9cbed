/** The litmus catalogue: every verdict, every vacuity guard, every stated bound; and that the runner can say no. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Explorer } from "../../src/main/explore/explore.ts";
import { CATALOGUE, nameOf, select } from "../../src/main/litmus/catalogue.ts";
import { LEFT_OUT } from "../../src/main/litmus/left_out.ts";
import type { Forbidden } from "../../src/main/litmus/litmus.ts";
import T10 from "../../src/main/litmus/rcu_T10_one_wait_two_readers.ts";
import T16 from "../../src/main/litmus/rcu_T16_remove.ts";
import T20 from "../../src/main/litmus/rcu_T20_self_deadlock.ts";
import T4 from "../../src/main/litmus/rcu_T4_span.ts";
import E2 from "../../src/main/litmus/rcu_E2_barrier_is_no_gp.ts";
import { runLitmus } from "../../src/main/litmus/run.ts";

/** Few random executions: what counts here is the exhaustive search. */
const QUICK = { random: 25 };
const PROGRAM = fileURLToPath(new URL("../../bin/sheaf.js", import.meta.url));
const run = promisify(execFile);

/** Why: the program itself is run, since the modules that vitest rewrites are three times as slow. */
describe("every outcome is forbidden or reached as it should be, and every bound exhausted", () => {
  const names = CATALOGUE.map(nameOf);
  const parts = Array.from({ length: Math.ceil(names.length / 10) }, (_, i) => names.slice(10 * i, 10 * i + 10));
  test.each(parts.map((part) => [part.join(" "), part] as const))("%s", { timeout: 90_000 }, async (_, part) => {
    const litmus = run(process.execPath, [PROGRAM, "litmus", "--json", ...part]);
    const { stdout } = await litmus.catch((failed: { readonly stdout: string }) => failed); // An exit code is no surprise.
    const { tests } = JSON.parse(stdout) as { tests: { name: string; verdict: string; problem?: string }[] };
    expect(tests.filter(({ verdict }) => verdict !== "ok")).toEqual([]);
    expect(tests.map(({ name }) => name)).toEqual(select(part).map(nameOf));
  });
});

describe("the catalogue", () => {
  const names = CATALOGUE.map(nameOf);
  test("names are unique, and fit command lines and tokens", () => {
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[\w+-]+$/);
  });
  test("every test of the specification is there, or left out with a reason", () => {
    const numbered = (letter: string, last: number): string[] =>
      Array.from({ length: last }, (_, i) => letter + (i + 1));
    const leftOut = LEFT_OUT.flatMap((entry) => entry.names);
    for (const id of [...numbered("T", 28), "T9b", "T25b", ...numbered("E", 27)]) {
      const there = names.some((name) => name === id || name.startsWith(`${id}-`));
      expect([there, leftOut.includes(id)], id).toEqual(there ? [true, false] : [false, true]);
    }
  });
  test("a word names a test or a family", () => {
    expect(select(["T4"])).toEqual([T4]);
    expect(select(["T28"]).map(nameOf)).toContain("T28-T25");
    expect(select(["llist"])).toHaveLength(11);
    expect(select([])).toBe(CATALOGUE);
  });
  test.each([
    ["T99", "unknown litmus test 'T99': did you mean T9 or T9b?"],
    ["t28-t4", "unknown litmus test 't28-t4': did you mean T28-T4?"],
    ["frob", "unknown litmus test 'frob': see 'sheaf litmus --list'"],
  ])("%s is refused", (word, message) => {
    expect(() => select(["T4", word])).toThrow(message);
  });
});

describe("the runner", () => {
  const neither = (): boolean => false;
  /** A forbidden test whose mechanism does nothing. */
  const broken: Forbidden = { ...T16, scenario: T16.vacuity };

  test("says that a forbidden outcome was reached, how often, and by which schedule", () => {
    const result = runLitmus(broken, QUICK);
    expect(result.verdict).toBe("failed");
    expect(result.observed).toBeGreaterThan(1);
    expect(result.problem).toMatch(/^reached: r0=POISON\. Schedule: \d+\.\d+\.\d+/);
    let seen = false;
    const explorer: Explorer = new Explorer({
      ...broken.scenario,
      check: (cpu) => {
        seen = broken.observed(cpu);
        return undefined;
      },
    });
    expect(explorer.replay(result.schedule ?? [])).toBeUndefined();
    expect(seen).toBe(true);
  });
  test("says that an allowed outcome was never reached", () => {
    expect(runLitmus({ ...E2, scenario: T4.scenario }, { ...QUICK, bound: 0 })).toMatchObject({
      verdict: "failed",
      problem: "never reached: r0=0 and r1=1",
    });
  });
  test("says that a test is vacuous", () => {
    expect(runLitmus({ ...T16, observed: neither }, QUICK)).toMatchObject({
      verdict: "failed",
      problem: expect.stringMatching(/^vacuous: r0=POISON/) as string,
      vacuity: { observed: 0 },
    });
  });
  test("says what else went wrong", () => {
    expect(runLitmus({ ...T16, scenario: T20.scenario }, QUICK).problem).toMatch(/synchronize_rcu\(\) in a reader/);
    expect(runLitmus({ ...T16, vacuity: T20.scenario }, QUICK).problem).toMatch(/^without its mechanism: .* a reader/);
  });
  test("takes what the machine says of the outcome for an observation", () => {
    const reported = /synchronize_rcu\(\) in a reader/;
    expect(runLitmus({ ...T16, reported, scenario: T20.scenario }, QUICK)).toMatchObject({
      verdict: "failed",
      problem: expect.stringMatching(/^reached: r0=POISON/) as string,
    });
    expect(runLitmus({ ...T16, reported, vacuity: T20.scenario }, QUICK)).toMatchObject({
      verdict: "ok",
      vacuity: { observed: 1 },
    });
  });
  test("says that the machine reported nothing where it had to", () => {
    expect(runLitmus({ ...T20, scenario: T16.scenario }, QUICK)).toMatchObject({
      verdict: "failed",
      problem: "never reached: synchronize_rcu() in a reader",
    });
  });
  test("is inconclusive if the bound could not be exhausted", () => {
    expect(runLitmus(T10, { ...QUICK, bound: 0 }).verdict).toBe("failed"); // It takes two preemptions.
    expect(runLitmus(T4, { ...QUICK, schedules: 10 })).toMatchObject({ verdict: "inconclusive", observed: 0 });
  });
});
