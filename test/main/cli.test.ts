/** The command line: what is refused, how, and what help and version say. */
import { describe, expect, test } from "vitest";
import { CONFIG_WORDS } from "../../src/main/config_words.ts";
import { KERNEL_BASELINE } from "../../src/main/version.ts";
import { HOOK_BITS } from "../../src/shared/layout/debug.ts";
import { POINT_NAMES } from "../../src/shared/layout/points.ts";
import { type Captured, run } from "./captured.ts";

/** Words of --config that are known, but not there yet. */
const PLANNED = CONFIG_WORDS.filter(({ planned }) => planned).map(({ name }) => name);

const sheaf = (line: string): Promise<Captured> => run(line === "" ? [] : line.split(" "));

describe("bad input is one line on stderr that says what to do", () => {
  test.each([
    [
      "frobnicate",
      "unknown command 'frobnicate': use torture, explore, replay, shrink, litmus, rcuscale, profile, kunit, slabinfo, sysfs, layout, list, explain, or --help",
    ],
    ["--bogus", "unknown option --bogus: see --help"],
    ["torture --bogus=3", "unknown option --bogus: see --help"],
    ["torture -x", "unknown option -x: see --help"],
    ["torture --cpu 3", "unknown option --cpu: did you mean --cpus?"],
    ["torture --duratoin 3s", "unknown option --duratoin: did you mean --duration?"],
    ["torture 4", "unexpected argument '4': see --help"],
    ["torture --cpus", "--cpus needs a value: --cpus N"],
    ["torture --cpus=", "--cpus needs a value: --cpus N"],
    ["torture --cpus --json", "--cpus needs a value: --cpus N"],
    ["torture --json=yes", "--json takes no value"],
    ["torture --cpus 2 --cpus 3", "--cpus is given twice: give it once"],
    ["torture --json --json", "--json is given twice: give it once"],
    ["torture --cpus 0", "--cpus must be an integer from 1 to 31, not '0'"],
    ["torture --cpus -1", "--cpus must be an integer from 1 to 31, not '-1'"],
    ["torture --cpus NaN", "--cpus must be an integer from 1 to 31, not 'NaN'"],
    ["torture --cpus 1e1", "--cpus must be an integer from 1 to 31, not '1e1'"],
    ["torture --cpus 2.5", "--cpus must be an integer from 1 to 31, not '2.5'"],
    ["torture --cpus 99999999999999999999", "--cpus must be an integer from 1 to 31, not '99999999999999999999'"],
    ["torture --duration 0", "--duration must be a time such as 500ms, 10s, 5m or 2h, at most 7 days, not '0'"],
    ["torture --duration -5s", "--duration must be a time such as 500ms, 10s, 5m or 2h, at most 7 days, not '-5s'"],
    ["torture --duration 9d", "--duration must be a time such as 500ms, 10s, 5m or 2h, at most 7 days, not '9d'"],
    ["torture --duration 169h", "--duration must be a time such as 500ms, 10s, 5m or 2h, at most 7 days, not '169h'"],
    ["torture --seed x", "--seed must be an integer from 0 to 4294967295, not 'x'"],
    ["torture --seed -1", "--seed must be an integer from 0 to 4294967295, not '-1'"],
    ["torture --seed 4294967296", "--seed must be an integer from 0 to 4294967295, not '4294967296'"],
    ["torture --nmi -3", "--nmi must be a rate per second such as 0, 500, 20k or 1M, at most 10M, not '-3'"],
    ["torture --nmi 11M", "--nmi must be a rate per second such as 0, 500, 20k or 1M, at most 10M, not '11M'"],
    ["torture --nmi 5k:remote", "the source in --nmi must be controller or local, not 'remote'"],
    ["torture --nmi 1:local:2", "--nmi must be RATE or RATE:controller or local, not '1:local:2'"],
    [
      "torture --irq Infinity",
      "--irq must be a rate per second such as 0, 500, 20k or 1M, at most 10M, not 'Infinity'",
    ],
    ["torture --memory lots", "--memory must be a size such as 512KiB, 64MiB or 1GiB, not 'lots'"],
    ["torture --memory -1MiB", "--memory must be a size such as 512KiB, 64MiB or 1GiB, not '-1MiB'"],
    ["torture --memory 5000", "memory must be a multiple of 4096 bytes"],
    ["torture --memory 64KiB", "memory is too small for 4 CPUs: give at least 1 MiB"],
    ["torture --memory 1MiB --cpus 31 --config numa=4", "memory is too small for 31 CPUs: give at least 2 MiB"],
    ["torture --memory 4GiB", "memory must be less than 2 GiB"],
    ["torture --scenario nothing", /^each of --scenario must be nolock, kunit, .* or maple_tree, not 'nothing'$/],
    ["torture --scenario rcu,", /^each of --scenario must be .*, not ''$/],
    ["torture --scenario rcu,rcu", "--scenario names 'rcu' twice: name it once"],
    ["torture --config enormous", "unknown word 'enormous' in --config: see 'sheaf list config'"],
    ["torture --config tiny=1", "--config tiny takes no value"],
    ["torture --config tiny,tiny", "--config names 'tiny' twice: name it once"],
    ["torture --config spurious=2", "spurious must be a probability from 0 to 1, not '2'"],
    ["torture --config nodes=9", "numa must be an integer from 1 to 4, not '9'"],
    ["torture --config nodes=2,numa=2", "--config names 'numa' twice: name it once"],
    ["torture --config numa=1:memless", "numa must be an integer from 2 to 4, not '1'"],
    ["torture --config numa=2:full", "numa must be N or N:memless, not '2:full'"],
    [
      "torture --config tiny,random",
      "--config random stands alone, and draws words; a random freelist is --config shuffle",
    ],
    [
      "explore --config random",
      "--config random is for torture, and draws words; a random freelist is --config shuffle",
    ],
    ["torture --config @nothing", "--config: there is no file 'nothing' to read"],
    ["torture --config unbatched=1", "--config unbatched takes no value"],
    ["torture --config cached", "--config cached needs a value: cached=N"],
    ["torture --config cached=101", "cached must be an integer from 0 to 100, not '101'"],
    ["torture --variant v2", "--variant must be merged, v3 or rfc, not 'v2'"],
    ["torture --hooks kmemleak,lockdep", /^each of --hooks must be kmemleak, .*, not 'lockdep'$/],
    ["torture --hooks kasan,kasan", "--hooks names 'kasan' twice: name it once"],
    ["torture --scenario rcu,list_lru --config unbatched", "--scenario list_lru needs batching: leave out unbatched"],
    ["torture --head 12", "--head must be 8, 16 or mixed, not '12'"],
    ["torture --head 8 --config unbatched", "--head 8 needs batching: give --head 16 or no unbatched"],
    ["torture --irqwork soon", "--irqwork must be prompt, late or mixed, not 'soon'"],
    ["torture --barrier-order krfd", "--barrier-order must be dfdrk, dfrk or fdrk, not 'krfd'"],
    ["torture --kernel-behaviour all", /^each of --kernel-behaviour must be nested-producer, .*, not 'all'$/],
    ["explore --bogus", "unknown option --bogus: see --help"],
    ["explore nothing-like-it", /^unknown scenario 'nothing-like-it': /],
    ["explore ./nothing.ts", "there is no file ./nothing.ts"],
    ["explore --strategy luck", /^--strategy must be portfolio, .* or round-robin, not 'luck'$/],
    ["explore --schedules 0", "--schedules must be an integer from 1 to 1000000000, not '0'"],
    ["explore --schedules NaN", "--schedules must be an integer from 1 to 1000000000, not 'NaN'"],
    ["explore --schedules 1e99", "--schedules must be an integer from 1 to 1000000000, not '1e99'"],
    ["explore --schedules 5 --duration 1s", "--schedules and --duration exclude each other: give one"],
    ["explore --duration -1s", "--duration must be a time such as 500ms, 10s, 5m or 2h, at most 7 days, not '-1s'"],
    ["explore --seed -1", "--seed must be an integer from 0 to 4294967295, not '-1'"],
    ["explore --preemptions -1", "--preemptions must be an integer from 0 to 32, not '-1'"],
    ["explore --preemptions 33", "--preemptions must be an integer from 0 to 32, not '33'"],
    ["explore --depth 0", "--depth must be an integer from 1 to 32, not '0'"],
    ["explore --nmi lots", "--nmi must be an integer from 0 to 64, not 'lots'"],
    ["explore --ticks 65", "--ticks must be an integer from 0 to 64, not '65'"],
    ["explore --tso --pso", "--tso and --pso exclude each other: give one"],
    ["explore --irqwork soon", "--irqwork must be prompt, late or mixed, not 'soon'"],
    ["explore --barrier-order krfd", "--barrier-order must be dfdrk, dfrk or fdrk, not 'krfd'"],
    ["explore --config enormous", "unknown word 'enormous' in --config: see 'sheaf list config'"],
    ["explore --config toString", "unknown word 'toString' in --config: see 'sheaf list config'"],
    ["explore --config tiny,tiny", "--config names 'tiny' twice: name it once"],
    ["explore --config cached=17", "cached must be an integer from 0 to 16, not '17'"],
    ["explore --config nohz=1", "--config nohz takes no value"],
    ["explore --variant v2", "--variant must be merged, v3 or rfc, not 'v2'"],
    ["explore --hooks all,kasan", /^each of --hooks must be kmemleak, .*, not 'all'$/],
    ["explore --config spurious=2", "spurious must be a probability from 0 to 1, not '2'"],
    ["explore --kernel-bug K-9", /^each of --kernel-bug must be nested-producer, .*, not 'K-9'$/],
    ["replay", "replay needs a token: sheaf replay TOKEN"],
    ["replay hello", '"hello" is no token: tokens begin with s1. and are printed with a failure'],
    ["replay s1.T4.aaaa.bbbb..cccc.ddd", /^the token is damaged or cut off/],
    ["shrink", "shrink needs a token: sheaf shrink TOKEN"],
    ["shrink hello", '"hello" is no token: tokens begin with s1. and are printed with a failure'],
    ["list", "list needs a word: scenarios, races, litmus, strategies, config, variants, hooks, bugs or points"],
    [
      "list people",
      "the list must be scenarios, races, litmus, strategies, config, variants, hooks, bugs or points, not 'people'",
    ],
    ["list points scenarios", "unexpected argument 'scenarios': see --help"],
    ["layout nothing", "unknown struct 'nothing': 'sheaf layout' prints them all"],
  ] as readonly (readonly [string, string | RegExp])[])("%s", async (line, message) => {
    const { code, out, err } = await sheaf(line);
    expect({ code, out, lines: err.length }).toEqual({ code: 2, out: [], lines: 1 });
    if (typeof message === "string") expect(err).toEqual([`sheaf: ${message}`]);
    else expect(err[0].replace("sheaf: ", "")).toMatch(message);
  });

  test.each(PLANNED)("--config %s is known, but not here: exit code 3", async (word) => {
    expect(await sheaf(`torture --config ${word}`)).toEqual({
      code: 3,
      out: [],
      err: [`sheaf: --config ${word}: this version does not have it`],
    });
  });
});

describe("help and version", () => {
  test.each(["--help", "-h", "help"])("%s lists the commands", async (line) => {
    const { code, out, err } = await sheaf(line);
    expect({ code, err }).toEqual({ code: 0, err: [] });
    for (const command of ["torture", "explore", "replay", "shrink", "litmus", "layout", "list"])
      expect(out.join("\n")).toContain(command);
  });
  test.each([
    "torture --help",
    "explore --help",
    "replay --help",
    "shrink --help",
    "litmus --help",
    "layout -h",
    "list --help",
    "torture --cpus 2 --help",
  ])("%s", async (line) => {
    const { code, out, err } = await sheaf(line);
    expect({ code, err }).toEqual({ code: 0, err: [] });
    expect(out[0]).toContain(`Usage: sheaf ${line.split(" ")[0]}`);
  });
  test("each option of torture is in its help with its default", async () => {
    const text = (await sheaf("torture --help")).out.join("\n");
    for (const part of ["--cpus N", "[4]", "--duration TIME", "[10s]", "[nolock]", "[prompt]", "[dfdrk]", "--json"]) {
      expect(text).toContain(part);
    }
  });
  test("--version names the kernel", async () => {
    const { code, out } = await sheaf("--version");
    expect(code).toBe(0);
    expect(out.join("\n")).toContain(KERNEL_BASELINE);
    expect(KERNEL_BASELINE).toContain("7.3-rc5");
    expect(KERNEL_BASELINE).toContain("4e9a2de02fed");
  });
});

describe("list", () => {
  test("scenarios", async () => {
    const { code, out } = await sheaf("list scenarios");
    expect(code).toBe(0);
    const workloads = ["list_lru", "obj_cgroup", "shrinker_info", "vmap_block", "prefill", "maple_tree"];
    const names = ["nolock", "kunit", "barriers", "llist", "rcu", ...workloads];
    expect(out.map((line) => line.split(" ")[0])).toEqual(names);
  });
  test.each([
    ["races", "nolock-on-kfree-rcu"],
    ["litmus", "T4"],
    ["config", "hardened"],
    ["strategies", "portfolio"],
    ["variants", "rfc"],
  ])("%s", async (what, name) => {
    const { code, out, err } = await sheaf(`list ${what}`);
    expect({ code, err }).toEqual({ code: 0, err: [] });
    expect(out.map((line) => line.split(" ")[0])).toContain(name);
  });
  test("hooks: the table of docs/HOOKS.md", async () => {
    const { code, out, err } = await sheaf("list hooks");
    expect({ code, err }).toEqual({ code: 0, err: [] });
    expect(out[0]).toMatch(/^\| facility +\| kmalloc \| kmalloc_nolock \| kfree /);
    expect(out.filter((line) => line.startsWith("### ")).map((line) => line.slice(4))).toEqual(Object.keys(HOOK_BITS));
  });
  test("points", async () => {
    expect(await sheaf("list points")).toEqual({ code: 0, out: POINT_NAMES.slice(1), err: [] });
  });
});
