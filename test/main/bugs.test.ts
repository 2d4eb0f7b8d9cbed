/** Known bugs: the table is whole, options and `sheaf explain` read it, and the explorer finds each where the table says. */
import { describe, expect, test } from "vitest";
import type { KnownBug } from "../../src/shared/layout/bugs.ts";
import { KNOWN_BUGS } from "../../src/shared/layout/known_bugs.ts";
import { BARRIER_FDRK, KB_K1, KB_ON_CACHE } from "../../src/shared/layout/globals.ts";
import { bugNamed, parseBugs, wordsOf } from "../../src/main/bugs.ts";
import { EXIT_SUCCESS, EXIT_USAGE } from "../../src/main/exit_code.ts";
import { findScenarios } from "../../src/main/explore/catalogue.ts";
import { EXPLORE_OPTIONS, type ExploreConfig, parseExploreConfig } from "../../src/main/explore/explore_config.ts";
import { injectionsOf } from "../../src/main/explore/explore.ts";
import { globalsOf } from "../../src/main/explore/scenario.ts";
import { search, type SearchResult } from "../../src/main/explore/search.ts";
import { strategyNamed } from "../../src/main/explore/strategy_names.ts";
import { openSubject } from "../../src/main/explore/subject.ts";
import { parseOptions } from "../../src/main/options.ts";
import { machineConfig, parseTortureConfig, repeatCommand, TORTURE_OPTIONS } from "../../src/main/torture/config.ts";
import { run } from "./captured.ts";

const explored = KNOWN_BUGS.filter(({ explore }) => explore !== undefined);

describe("the table", () => {
  test("has every bug of the specification, once", () => {
    const numbers = KNOWN_BUGS.map(({ number }) => number);
    expect(numbers.slice(0, 34)).toEqual(Array.from({ length: 34 }, (_, i) => `B${i + 1}`));
    expect(new Set(numbers).size).toBe(numbers.length);
    const names = KNOWN_BUGS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
  test("gives each a switch of its own", () => {
    const words = KNOWN_BUGS.flatMap(({ words }) => (words === undefined ? [] : [JSON.stringify(words)]));
    expect(new Set(words).size).toBe(words.length);
  });
  test("says of each how it is seen, or why it is not", () => {
    const silent = KNOWN_BUGS.filter(
      ({ explore, torture, hidden }) => (explore === undefined && torture === undefined) === (hidden === undefined),
    );
    expect(silent.map(({ name }) => name)).toEqual([]);
  });
  test("what cannot be switched on says why", () => {
    for (const { name, words, hidden } of KNOWN_BUGS) if (words === undefined) expect(hidden, name).toBeDefined();
  });
  test.each(KNOWN_BUGS.filter(({ torture }) => torture !== undefined))("torture takes $name", ({ name, torture }) => {
    const config = parseTortureConfig(parseOptions([...(torture ?? []), "--bug", name], TORTURE_OPTIONS, 0));
    expect(config.bugs).toEqual([name]);
  });
});

describe("options", () => {
  const torture = (...words: string[]): ReturnType<typeof parseTortureConfig> =>
    parseTortureConfig(parseOptions(words, TORTURE_OPTIONS, 0));
  test("a bug is found by name and by number", () => {
    expect(bugNamed("refill-leak")).toBe(bugNamed("b11"));
  });
  test("bits of several bugs are or'ed, and so are those of repairs that are switched off", () => {
    const words = wordsOf(parseBugs("refill-leak,on-cache,batch-reuse"), { kernel_behaviour: KB_K1 });
    expect(words).toEqual({ bugs: 1 << 10, bugs_high: 1 << 4, kernel_behaviour: KB_ON_CACHE | KB_K1 });
    expect(wordsOf(parseBugs("destroy-no-sync"))).toEqual({ bugs: 2 ** 31 });
  });
  test("torture: into the machine, and into the command that repeats the run", () => {
    const config = torture("--bug", "refill-leak,on-cache", "--kernel-behaviour", "K-1");
    expect(machineConfig(config).globals).toMatchObject({ bugs: 1 << 10, kernel_behaviour: KB_ON_CACHE | KB_K1 });
    expect(repeatCommand(config)).toContain("--bug refill-leak,on-cache");
  });
  test("what is no bit is set: the order of a barrier that a scenario has gives way", () => {
    const scenario = { name: "late", cpus: [[]], globals: { barrier_order: 1 }, bugs: ["late-deferred-barrier"] };
    expect(globalsOf(scenario)).toEqual({ barrier_order: BARRIER_FDRK });
  });
  test("a scenario may have bugs", () => {
    const globals = { tiny: 1, bugs: 1, kernel_behaviour: KB_K1 };
    const scenario = { name: "buggy", cpus: [[]], globals, bugs: ["refill-leak", "on-cache"] };
    expect(globalsOf(scenario)).toEqual({ tiny: 1, bugs: (1 << 10) | 1, kernel_behaviour: KB_ON_CACHE | KB_K1 });
  });
  test("a bug that is an order of barriers or a variant sets that", () => {
    expect(torture("--bug", "late-deferred-barrier").barrierOrder).toBe("fdrk");
    expect(torture("--bug", "rfc-undo", "--variant", "rfc").variant).toBe("rfc");
    expect(() => torture("--bug", "rfc-undo", "--variant", "v3")).toThrow(/leave out --variant v3/);
    const config = torture("--bug", "late-deferred-barrier");
    expect(torture(...repeatCommand(config).split(" ").slice(2))).toEqual(config);
  });
  test.each([
    ["an unknown name", "refil-leak", /^unknown bug 'refil-leak': did you mean refill-leak/],
    ["one far from all", "xyzzy", /^unknown bug 'xyzzy': see/],
    ["one twice", "B11,refill-leak", /names 'refill-leak' twice/],
    ["one that cannot be had", "lockdep-override", /cannot have it/],
    ["nothing between commas", "refill-leak,", /^unknown bug ''/],
  ])("%s is an error", (_, text, message) => {
    expect(() => parseBugs(text)).toThrow(message);
  });
  test("exit code and one line", async () => {
    for (const words of [
      ["explore", "K-3", "--bug", "refill-laek"],
      ["torture", "--bug", "refill-laek"],
      ["explain", "refill-laek"],
      ["explain"],
    ]) {
      const { code, out, err } = await run(words);
      expect({ code, out, lines: err.length }).toEqual({ code: EXIT_USAGE, out: [], lines: 1 });
    }
  });
});

describe("sheaf list bugs, sheaf explain", () => {
  test("list names all", async () => {
    const { code, out } = await run(["list", "bugs"]);
    expect(code).toBe(EXIT_SUCCESS);
    expect(out.map((line) => line.split(" ")[0])).toEqual(KNOWN_BUGS.map(({ name }) => name));
  });
  test("explain says what was wrong and how to see it", async () => {
    const { code, out } = await run(["explain", "B11"]);
    expect(code).toBe(EXIT_SUCCESS);
    expect(out[0]).toBe("B11 refill-leak");
    expect(out.join("\n")).toMatch(/sheaf explore refill-no-memory --bug refill-leak$/m);
  });
  test.each(KNOWN_BUGS)("explain $name", async ({ name, hidden }) => {
    const { code, out } = await run(["explain", name]);
    expect(code).toBe(EXIT_SUCCESS);
    expect(out.some((line) => line.startsWith("hidden: "))).toBe(hidden !== undefined);
  });
});

/** Schedules that a search may take; those that need more are told apart by `npm run bug-table` only. */
const SCHEDULES = 400;
const MORE: Readonly<Record<string, number>> = { "lockless-return": 6_000, "root-cookie": 1_000 };

/** What `sheaf explore ... --seed 1 --schedules N` finds. */
async function searched(words: readonly string[], schedules: number): Promise<SearchResult> {
  const config: ExploreConfig = parseExploreConfig(
    parseOptions([...words, "--seed", "1", "--schedules", `${schedules}`], EXPLORE_OPTIONS, Infinity),
  );
  const [entry] = await findScenarios(config.scenarios);
  const { explorer, scenario } = openSubject(entry, config.overrides);
  const { seed, preemptions, depth } = config;
  const injections = injectionsOf(scenario);
  const strategy = strategyNamed(config.strategy, { seed, preemptions, depth, injections });
  const { signal } = new AbortController();
  const limits = { schedules, deadlineMs: Infinity, untilStable: false, watchAll: false, signal };
  return search(explorer, strategy, { seed, injections }, limits, () => undefined);
}
describe("the explorer finds, and finds nothing without", () => {
  test.each(explored)("$number $name", { timeout: 60_000 }, async ({ name, explore = [] }: KnownBug) => {
    const schedules = MORE[name] ?? SCHEDULES;
    const found = await searched([...explore, "--bug", name], schedules);
    expect(found.end).toBe("failure");
    expect(found.failure?.message).not.toContain("divergence");
    const without = await searched(explore, found.schedules);
    expect(without.failure).toBeUndefined();
  });
});
