/** `sheaf litmus`: its lines, its JSON, its exit codes. */
import { describe, expect, test } from "vitest";
import { litmus } from "../../src/main/litmus_command.ts";
import { litmusLine, litmusSummary } from "../../src/main/litmus/report.ts";
import { runLitmus } from "../../src/main/litmus/run.ts";
import T16 from "../../src/main/litmus/rcu_T16_remove.ts";
import { parseOptions } from "../../src/main/options.ts";

async function run(
  line: string,
  onLine: (lines: number) => void = () => undefined,
): Promise<{ readonly code: number; readonly out: readonly string[] }> {
  const out: string[] = [];
  const options = parseOptions(line.split(" "), litmus.options, litmus.maxPositionals);
  const code = await litmus.run(options, {
    out: (text) => onLine(out.push(text)),
    err: () => undefined,
    progress: undefined,
  });
  return { code, out };
}

test("a line per test, in the order of the catalogue, then OK", async () => {
  const { code, out } = await run("E2 T16 T20");
  expect(code).toBe(0);
  expect(out).toHaveLength(4);
  expect(out[0]).toMatch(/^Observation T16 Never 0 \d+ +F bound 2 exhausted no-op: Sometimes \d+$/);
  expect(out[1]).toMatch(/^Observation T20 Always 1 0 +- must be detected$/);
  expect(out[2]).toMatch(/^Observation E2 Sometimes \d+ \d+ +A bound 2 exhausted$/);
  expect(out[3]).toBe("OK: 3 tests");
});
test("the same seed counts the same, another one does not", async () => {
  const [first, again, other] = await Promise.all([run("T16"), run("T16 --seed 1"), run("T16 --seed 2")]);
  expect(again).toEqual(first);
  expect(other.out[0]).not.toBe(first.out[0]);
});
test("a bound that is not exhausted: exit code 4", async () => {
  const { code, out } = await run("T4 --bound 4 --schedules 20");
  expect(code).toBe(4);
  expect(out[0]).toContain("bound 4 NOT done");
  expect(out[1]).toBe("INCONCLUSIVE: bound not exhausted: T4; give more --schedules or a smaller --bound");
});
test("an allowed outcome that is never reached: exit code 1", async () => {
  const { code, out } = await run("T10 --bound 0");
  expect(code).toBe(1);
  expect(out[0]).toMatch(/^Observation T10 Never 0 \d+ .*\n {2}never reached: r0=0, r1=0 and r2=0$/);
  expect(out[1]).toBe("FAILURE: T10");
});
test("a forbidden outcome that is reached is told with its schedule", () => {
  const result = runLitmus({ ...T16, scenario: T16.vacuity }, { random: 10 });
  expect(litmusLine(result)).toMatch(
    /^Observation T16\+no-op Sometimes .*\n {2}reached: r0=POISON\. Schedule: [\d. ]+$/,
  );
  expect(litmusSummary([result])).toBe("FAILURE: T16+no-op");
});

test("--json prints one object", async () => {
  const { code, out } = await run("T16 --json");
  expect(code).toBe(0);
  expect(out).toHaveLength(1);
  expect(JSON.parse(out[0])).toMatchObject({
    verdict: "ok",
    tests: [{ name: "T16", expected: "F", memory: "sc", observed: 0, bound: 2, exhausted: 2, verdict: "ok" }],
  });
});
test("--list names tests with verdicts, and what is left out with reasons", async () => {
  const { code, out } = await run("--list");
  expect(code).toBe(0);
  expect(out.find((line) => line.startsWith("T3 "))).toContain("(r0=1 and r1=0: F, pso)");
  expect(out.find((line) => line.startsWith("T13"))).toContain("memory model");
});

describe("Ctrl-C ends it in order", () => {
  const press = (): void => void process.emit("SIGINT");
  const afterFirst = (lines: number): void => void (lines === 1 && setImmediate(press)); // As a signal comes.

  test("between two tests: what there is, and 130", async () => {
    const { code, out } = await run("E2 T16 T20", afterFirst);
    expect(code).toBe(130);
    expect(out).toEqual([expect.stringMatching(/^Observation T16 Never /), "interrupted, 1 of 3 tests"]);
  });
  test("a failure wins", async () => {
    const { code, out } = await run("T10 T16 --bound 0", afterFirst);
    expect({ code, last: out.at(-1) }).toEqual({ code: 1, last: "FAILURE: T10; interrupted, 1 of 2 tests" });
  });
  test("within a long test; --json says so", async () => {
    setTimeout(press, 100);
    const { code, out } = await run("T4 --bound 9 --schedules 100000000 --json");
    expect(code).toBe(130);
    expect(JSON.parse(out.join())).toEqual({ verdict: "inconclusive", interrupted: true, wanted: 1, tests: [] });
  });
});

describe("bad input", () => {
  test.each([
    ["T99", "unknown litmus test 'T99': did you mean T9 or T9b?"],
    ["T4 --bound 99", "--bound must be an integer from 0 to 9, not '99'"],
    ["T4 --schedules 0", "--schedules must be an integer from 1 to 1000000000, not '0'"],
  ])("%s", async (line, message) => {
    await expect(run(line)).rejects.toThrow(message);
  });
});
