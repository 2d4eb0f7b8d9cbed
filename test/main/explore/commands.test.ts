/** explore, replay and shrink as their user sees them: lines, JSON, exit codes, Ctrl-C. */
import { describe, expect, test } from "vitest";
import type { Output } from "../../../src/main/command.ts";
import { findScenarios } from "../../../src/main/explore/catalogue.ts";
import { play } from "../../../src/main/explore/playback.ts";
import { search } from "../../../src/main/explore/search.ts";
import { RandomWalk } from "../../../src/main/explore/strategies/random_walk.ts";
import { openSubject, tokenOf } from "../../../src/main/explore/subject.ts";
import { NMI, SWITCH } from "../../../src/main/explore/strategy.ts";
import { formatToken, type Token } from "../../../src/main/explore/token.ts";
import { type Captured, run } from "../captured.ts";

const FILE = "test/main/explore/subjects.ts";

const sheaf = (line: string, hooks?: Partial<Output>): Promise<Captured> => run(line.split(" "), hooks);
/** The token of a lost update with one decision, after `change`. */
async function tokenText(change: (token: Token) => Token = (token) => token): Promise<string> {
  const [entry] = await findScenarios([`${FILE}#lost-update`]);
  const subject = openSubject(entry, {});
  const execution = play(subject.explorer, [{ lane: 0, access: 2, choice: SWITCH + 1 }]);
  expect(execution.failure?.message).toBe("lost update: 1 of 2");
  return formatToken(change(tokenOf(subject, execution)));
}
const tokenIn = (text: string): string => /^Token: +(\S+)$/m.exec(text)?.[1] ?? "no token";

describe("explore", () => {
  test("finds a bug: 1, with a token that shows it again", async () => {
    const { code, out, err } = await sheaf(`explore ${FILE}#lost-update --seed 1 --schedules 1000`);
    expect({ code, err }).toEqual({ code: 1, err: [] });
    const parameters = `strategy=portfolio schedules=1000 seed=1 preemptions=2 depth=3 scenarios=${FILE}#lost-update`;
    expect(out[0]).toBe(`sheaf-explore:--- Start of search: ${parameters}`);
    expect(out[1]).toMatch(/lost-update {2}[\d,]+ schedules \([\d,]+\/s\), [\d,]+ steps: FAILURE$/);
    expect(out.at(-1)).toBe(`sheaf-explore:--- End of search: FAILURE: ${parameters}`);
    const text = out.join("\n");
    expect(text).toContain(`FAILURE of ${FILE}#lost-update: lost update: 1 of 2`);
    const again = await sheaf(`replay ${tokenIn(text)}`);
    expect(again).toMatchObject({ code: 1, err: [] });
    expect(again.out[0]).toBe(`FAILURE of ${FILE}#lost-update: lost update: 1 of 2`);
  });
  test("refuses words that do not go together with those of the scenario", async () => {
    const { code, out, err } = await sheaf("explore migrate-alloc-empty --schedules 20 --seed 1 --config rt");
    expect(err).toEqual(["sheaf: scenario migrate-alloc-empty: --config migrate and rt exclude each other"]);
    expect({ code, failures: out.filter((line) => line.includes("FAILURE")) }).toEqual({ code: 2, failures: [] });
  });
  test("shows what the CPUs have printed, replay too", async () => {
    const { out } = await sheaf("explore examples/use-after-free.ts --seed 1 --schedules 1000");
    const text = out.join("\n");
    expect(text).toMatch(/^What the CPUs printed:\n.*\[Poison overwritten\]/m);
    expect(text).toMatch(/BUG kmalloc-64 \(Not tainted\): Object corrupt$/m);
    expect(text).toMatch(/Allocated in publish examples\/use-after-free\.ts:\d+ age=0 cpu=0 pid=\d+$/m);
    expect(text).toMatch(/Freed in retire examples\/use-after-free\.ts:\d+ age=0 cpu=0 pid=\d+$/m);
    const again = await sheaf(`replay ${tokenIn(text)}`);
    expect(again.out.join("\n")).toMatch(/Freed in retire examples\/use-after-free\.ts:\d+/);
    const json = await sheaf(`replay ${tokenIn(text)} --json`);
    expect(JSON.parse(json.out.join("\n"))).toHaveProperty("log");
  });
  test("tries everything and finds nothing: 0", async () => {
    const { code, out } = await sheaf(`explore ${FILE}#atomic-counter --strategy bounded --preemptions 3 --seed 1`);
    expect(code).toBe(0);
    expect(out[1]).toMatch(/ steps: every schedule( with at most 3 preemptions)?, clean$/);
    expect(out.at(-1)).toContain("End of search: SUCCESS");
  });
  test("has no time to reach its bound: 4", async () => {
    const { code, out } = await sheaf("explore T11 --duration 20ms --seed 1");
    expect(code).toBe(4);
    expect(out[1]).toContain("clean so far, the time is up");
    expect(out.at(-1)).toContain("End of search: INCONCLUSIVE");
  });
  test.each([
    ["T11 --strategy bounded --schedules 150", 4, "clean so far, the schedules are used up"],
    ["T11 --strategy sleep-sets --schedules 150", 4, "clean so far, the schedules are used up"],
    [
      "T11 --strategy bounded --schedules 100",
      4,
      "clean so far, only the random walk that learns has run: more --schedules",
    ],
    [
      "T11 --strategy pct --schedules 100",
      4,
      "clean so far, only the random walk that learns has run: more --schedules",
    ],
    ["T11 --strategy pct --schedules 101", 0, "clean"],
    [`${FILE}#atomic-counter --strategy bounded --preemptions 0 --schedules 1000`, 0, "clean"],
  ])("so many schedules are enough only if they reach the bound: %s", async (line, code, outcome) => {
    const found = await sheaf(`explore ${line} --seed 1`);
    expect(found.out[1]).toMatch(new RegExp(`(: |, )${outcome}$`));
    expect(found.code).toBe(code);
  });
  test("a random strategy has no bound but the time it was given", async () => {
    const { code } = await sheaf(`explore ${FILE}#atomic-counter --strategy pct --duration 300ms --seed 1`);
    expect(code).toBe(0);
  });
  test("stops when nothing new comes", async () => {
    const { code, out } = await sheaf(`explore ${FILE}#atomic-counter --strategy pct --until-stable --seed 1`);
    expect(code).toBe(0);
    expect(out[1]).toMatch(/ steps: clean, and nothing new any more$/);
  });
  test("several scenarios: one line each, and the failure decides", async () => {
    const { code, out } = await sheaf(`explore ${FILE}#atomic-counter ${FILE}#lost-update --schedules 500 --seed 1`);
    expect(code).toBe(1);
    expect(out.filter((line) => / schedules \(/.test(line))).toHaveLength(2);
  });
  test("one that cannot be run among others: it says so, and the others decide", async () => {
    const line = `explore ${FILE}#lost-update rt-nolock-alloc ${FILE}#atomic-counter --variant rfc --seed 1 --schedules 500`;
    const reason = "the RFC variant of kfree_rcu_nolock() refused PREEMPT_RT";
    const { code, out, err } = await sheaf(line);
    expect({ code, err }).toEqual({ code: 1, err: [] });
    expect(out).toContain(`rt-nolock-alloc: not run: ${reason}`);
    expect(out.filter((text) => / schedules \(/.test(text))).toHaveLength(2);
    expect(out.at(-1)).toContain("End of search: FAILURE");
    const json = await sheaf(`${line} --json`);
    expect({ code: json.code, err: json.err }).toEqual({ code: 1, err: [] });
    expect(JSON.parse(json.out.join())).toMatchObject({
      verdict: "FAILURE",
      scenarios: [{ verdict: "FAILURE" }, { verdict: "SUCCESS" }],
      not_run: [{ name: "rt-nolock-alloc", reason }],
    });
  });
  test("none that can be run: 2", async () => {
    const { code, err } = await sheaf(
      "explore rt-nolock-alloc rt-kfree-rcu-under-pi_lock --variant rfc --schedules 20 --seed 1",
    );
    expect(code).toBe(2);
    expect(err).toEqual([expect.stringMatching(/^sheaf: scenario rt-\S+: the RFC variant .* refused PREEMPT_RT$/)]);
  });
  test("Ctrl-C among scenarios with a small share of the time ends it before the next one", async () => {
    const out: string[] = [];
    const press = (line: string): void => {
      if (out.push(line) === 2) setImmediate(() => process.emit("SIGINT")); // As a signal comes: by the event loop.
    };
    const words = Array.from({ length: 3 }, (_, i) => `${FILE}#${["atomic-counter", "moody", "lost-update"][i]}`).join(
      " ",
    );
    const { code } = await sheaf(`explore ${words} --strategy pct --duration 30ms --seed 1`, { out: press });
    expect({ code, reports: out.filter((text) => / schedules \(/.test(text)).length }).toEqual({
      code: 130,
      reports: 1,
    });
  });
  const text = "must return a string that says what is wrong, or undefined, not";
  test.each([
    ["setup-throws", "its setup fails: TypeError: no such table"],
    ["setup-asserts", "its setup fails: AssertionError: Expected values to be strictly equal:"],
    ["setup-later", "setup returned a promise: make it a function that is not async"],
    ["check-number", `check ${text} 42`],
    ["check-null", `check ${text} null`],
    ["check-later", `check ${text} a promise`],
    ["invariant-number", `invariant ${text} 42`],
    ["operation-later", "an operation returned a promise: make it a function that is not async"],
    ["nmi-later", "nmi returned a promise: make it a function that is not async"],
  ])("a function that breaks the rules is refused with one line: %s", async (name, reason) => {
    const { code, err } = await sheaf(`explore test/main/explore/unusable.ts#${name} --schedules 500 --seed 1`);
    expect({ code, err }).toEqual({ code: 2, err: [`sheaf: scenario ${name}: ${reason}`] });
    await new Promise((resolve) => setTimeout(resolve, 10)); // A rejection that nobody has caught would end the test.
  });
  test("a file that throws text: one line", async () => {
    const { code, err } = await sheaf("explore test/main/explore/throws_text.ts");
    expect({ code, err }).toEqual({ code: 2, err: [expect.stringMatching(/^sheaf: cannot load .*: first line$/)] });
  });
  test("--quiet prints failures and the last line", async () => {
    const { code, out } = await sheaf(`explore ${FILE}#atomic-counter --schedules 500 --seed 1 --quiet`);
    expect({ code, lines: out.length }).toEqual({ code: 0, lines: 1 });
  });
  test("--json prints one object with the keys that scripts rely on", async () => {
    const { code, out } = await sheaf(`explore ${FILE}#lost-update --schedules 1000 --seed 1 --json`);
    expect(code).toBe(1);
    expect(out).toHaveLength(1);
    const report = JSON.parse(out[0]) as { readonly scenarios: readonly object[] };
    expect(report).toMatchObject({ verdict: "FAILURE", seed: 1, strategy: "portfolio", preemptions: 2 });
    expect(report).toMatchObject({
      interrupted: false,
      all_steps: false,
      schedules_asked: 1000,
      duration_asked_ms: null,
    });
    const [scenario] = report.scenarios as [{ readonly failure: { readonly token: string } }];
    expect(Object.keys(scenario)).toEqual([
      "name",
      "verdict",
      "schedules",
      "steps",
      "duration_ms",
      "pairs",
      "within",
      "complete",
      "exhausted_preemptions",
      "searching",
      "ended_by",
      "failure",
    ]);
    expect(scenario.failure).toMatchObject({
      message: "lost update: 1 of 2",
      token: expect.stringMatching(/^s1\./) as string,
    });
  });
  test.each(["forgetful", "moody"])("a failure that does not show itself again is said to be one: %s", async (name) => {
    const { code, out } = await sheaf(`explore ${FILE}#${name} --schedules 10 --seed 1`);
    expect(code).toBe(1);
    expect(out.join("\n")).toContain("Its schedule does not show it again: something is kept outside shared memory");
  });
  test("a litmus test that shows nothing where stores do not wait is explored where they do, and the line says so", async () => {
    const { out } = await sheaf("explore T15 --strategy sleep-sets --schedules 100000 --seed 1");
    expect(out[1]).toMatch(/: every schedule \(pso\), clean$/);
    const { out: answers } = await sheaf("explore T15 --strategy sleep-sets --schedules 100000 --seed 1 --json");
    const { scenarios } = JSON.parse(answers[0]) as { readonly scenarios: readonly object[] };
    expect(scenarios[0]).toMatchObject({
      complete: true,
      exhausted_preemptions: null,
      within: { model: "pso", nmis: 0 },
    });
  });
  test("the last line says of how many scenarios SUCCESS is", async () => {
    const { code, out } = await sheaf("explore T15 T4 --strategy sleep-sets --duration 1s --seed 1");
    expect(code).toBe(0);
    expect(out.at(-1)).toMatch(/End of search: SUCCESS \(1 of 2 scenarios as far as asked for\): /);
  });
  test("Ctrl-C ends it in order, with what there is so far: 130", async () => {
    let pressed = false;
    const progress = (): void => {
      if (!pressed) process.emit("SIGINT");
      pressed = true;
    };
    const { code, out } = await sheaf("explore T11 --strategy pct --duration 60s --seed 1", { progress });
    expect(code).toBe(130);
    expect(out[1]).toMatch(/ steps: clean so far, interrupted$/);
    expect(out.at(-1)).toMatch(/End of search: INCONCLUSIVE \(interrupted after \d\.\d s\): /);
  });
});

describe("replay", () => {
  test("--json prints one object", async () => {
    const token = await tokenText();
    const { code, out } = await sheaf(`replay ${token} --json`);
    expect(code).toBe(1);
    expect(JSON.parse(out.join())).toMatchObject({ message: "lost update: 1 of 2", schedule: "0.2.65", token });
  });
  test("--ascii-diagram prints columns", async () => {
    const { code, out } = await sheaf(`replay ${await tokenText()} --ascii-diagram`);
    expect(code).toBe(1);
    expect(out[0]).toMatch(/^ +CPU 0 +CPU 1$/);
  });
  test("other code is a warning", async () => {
    const { code, err } = await sheaf(`replay ${await tokenText((token) => ({ ...token, code: "AAAA" }))}`);
    expect({ code, err }).toEqual({ code: 1, err: ["sheaf: warning: the code has changed since the token was made"] });
  });
  test("another configuration is refused: 2, with both", async () => {
    const token = await tokenText((token) => ({ ...token, configuration: "AAAA" }));
    const { code, out, err } = await sheaf(`replay ${token}`);
    expect({ code, out }).toEqual({ code: 2, out: [] });
    expect(err).toEqual([
      expect.stringMatching(
        /was configured as AAAA when the token was made, now it is \S{4} \(cpus=1\+1 nmis=0 .*kernel=bare/,
      ),
    ]);
  });
  test.each<[string, (token: Token) => Token, string]>([
    [
      "a decision without a place",
      (token) => ({ ...token, schedule: [...token.schedule, { lane: 1, access: 900, choice: SWITCH }] }),
      "1 of its 2 decisions found no place",
    ],
    ["another end", (token) => ({ ...token, schedule: [] }), "it ended otherwise, after 7 steps with no failure"],
    [
      "two ends",
      (token) => ({ ...token, scenario: `${FILE}#forgetful` }),
      "two runs of it differ: the scenario keeps something outside shared memory",
    ],
  ])("%s: 4", async (_, change, what) => {
    const { code, out, err } = await sheaf(`replay ${await tokenText(change)}`);
    expect({ code, out }).toEqual({ code: 4, out: [] });
    expect(err.at(-1)).toBe(`sheaf: this is not the execution of the token: ${what}`);
  });
});

describe("shrink", () => {
  test("prints the token of a smaller execution", async () => {
    const [entry] = await findScenarios([`${FILE}#noisy-lost-update`]);
    const subject = openSubject(entry, {});
    const nmi = { lane: 0, access: 1, choice: NMI };
    const execution = Array.from({ length: 20 }, (_, i) => i + 2)
      .map((access) => play(subject.explorer, [nmi, { lane: 0, access, choice: SWITCH + 1 }]))
      .find(({ failure }) => failure !== undefined);
    if (execution === undefined) throw new Error("no place for the switch");
    const { code, out, err } = await sheaf(`shrink ${formatToken(tokenOf(subject, execution))}`);
    expect({ code, err }).toEqual({ code: 1, err: [] });
    expect(out[0]).toMatch(/^decisions: 2 before, 1 now; \d+ runs$/);
    expect(await sheaf(`replay ${tokenIn(out.join("\n"))}`)).toMatchObject({ code: 1, err: [], out: out.slice(1) });
  });
  test("Ctrl-C ends it in order, with what there is so far", async () => {
    const [entry] = await findScenarios([`${FILE}#livelock`]);
    const subject = openSubject(entry, {});
    const found = await search(
      subject.explorer,
      new RandomWalk(1, 0.5, 0, true),
      { seed: 1, injections: 0 },
      {
        schedules: 1000,
        deadlineMs: Infinity,
        untilStable: false,
        watchAll: false,
        signal: new AbortController().signal,
      },
      () => undefined,
    );
    const token = formatToken(tokenOf(subject, play(subject.explorer, found.failure?.schedule ?? [])));
    const before = process.listenerCount("SIGINT");
    const press = setInterval(() => {
      if (process.listenerCount("SIGINT") === before) return;
      clearInterval(press); // A second one would end the process.
      process.emit("SIGINT");
    }, 10);
    const { code, out } = await sheaf(`shrink ${token}`);
    expect(code).toBe(1);
    expect(out[0]).toMatch(/^decisions: \d+ before, \d+ now; \d+ runs, interrupted$/);
    expect(process.listenerCount("SIGINT")).toBe(before);
  });
  test("an execution that does not fail: 2", async () => {
    const [entry] = await findScenarios([`${FILE}#lost-update`]);
    const subject = openSubject(entry, {});
    const token = formatToken(tokenOf(subject, play(subject.explorer, [])));
    expect(await sheaf(`replay ${token}`)).toEqual({ code: 0, out: ["clean, as it was"], err: [] });
    expect(await sheaf(`shrink ${token}`)).toEqual({
      code: 2,
      out: [],
      err: ["sheaf: the execution of the token does not fail: nothing to shrink"],
    });
  });
});
