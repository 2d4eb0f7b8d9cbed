/** The parameters of rcuscale: defaults, the machine's words, what is refused, and how a run is named. */
import { describe, expect, test } from "vitest";
import { parseOptions } from "../../../src/main/options.ts";
import {
  describeParameters,
  interruptsOf,
  machineConfig,
  objectSize,
  parseScaleConfig,
  SCALE_OPTIONS,
  type ScaleConfig,
  workOf,
} from "../../../src/main/rcuscale/config.ts";
import { KB_UNPOLLED, VARIANT_RFC } from "../../../src/shared/layout/globals.ts";

function config(line: string): ScaleConfig {
  return parseScaleConfig(parseOptions(line.split(" ").filter(Boolean), SCALE_OPTIONS, 0));
}

test("defaults", () => {
  expect(config("--seed 1 --cpus 3")).toEqual({
    shape: { bytes: 64 << 20, cpus: 3, nodes: 1 },
    seed: 1,
    by: "kfree_rcu",
    loops: 100,
    allocNum: 8000,
    nthreads: 3,
    mult: 1,
    head: 16,
    variant: "merged",
    holdoff: 0,
    remote: false,
    unbatched: false,
    unpolled: false,
    noSheaves: false,
    cached: 5,
    extraCaches: 0,
    nmiRate: 0,
  });
});
test("the machine's words", () => {
  const parsed = config("--config unbatched,unpolled,cached=0,nodes=2 --variant rfc --seed 7 --cpus 2");
  expect(machineConfig(parsed)).toMatchObject({
    seed: 7,
    shape: { nodes: 2 },
    globals: {
      unbatched: 1,
      kernel_behaviour: KB_UNPOLLED,
      rcu_min_cached_objs: 0,
      nolock_variant: VARIANT_RFC,
    },
  });
  expect(machineConfig(config("--seed 1"))).toMatchObject({
    globals: { unbatched: 0, kernel_behaviour: 0, rcu_min_cached_objs: 5 },
  });
});
test("the work", () => {
  const line =
    "--cpus 3 --nthreads 2 --loops 5 --alloc-num 6 --mult 7 --head 8 --holdoff 9 --remote --config caches=3,no-sheaves";
  expect(workOf(config(line))).toEqual({
    by: "kfree_rcu",
    loops: 5,
    allocNum: 6,
    nthreads: 2,
    size: 7 * 16,
    holdoff: 9,
    remote: true,
    noSheaves: true,
    extraCaches: 3,
  });
});
test("an object is 8 bytes and a head, some times over", () => {
  expect(objectSize(config("--head 16"))).toBe(24);
  expect(objectSize(config("--head 8"))).toBe(16);
  expect(objectSize(config("--mult 341"))).toBe(341 * 24);
});
test("NMIs are shared out over ticks and CPUs; nothing else disturbs", () => {
  expect(interruptsOf(config("--cpus 2 --nmi 20k"))).toEqual({
    watched: false,
    noise: false,
    nmisPerTick: 100,
    nmiRate: 0,
    irqRate: 0,
  });
});
test("every parameter is named", () => {
  const line =
    "--by kfree_rcu_nolock --loops 2 --alloc-num 3 --mult 4 --head 8 --holdoff 1 --nthreads 1 --variant v3 --remote " +
    "--cpus 2 --memory 8MiB --config unpolled,cached=4,caches=9,nodes=2 --nmi 1k --seed 5";
  const named = line.split("--").slice(1);
  expect(describeParameters(config(line))).toBe(named.map((each) => each.trim().replace(" ", "=")).join(" "));
});

describe("what is refused, with one line", () => {
  test.each([
    ["--by free", /^--by must be kfree, call_rcu, .* or kvfree_rcu_mightsleep, not 'free'$/],
    ["--loops 0", /^--loops must be an integer from 1 to/],
    ["--alloc-num x", /^--alloc-num must be an integer from 1 to/],
    ["--mult 342", /^--mult must be an integer from 1 to 341, not '342'$/],
    ["--head 8 --mult 513", /^--mult must be an integer from 1 to 512/],
    ["--head 12", /^--head must be 8 or 16, not '12'$/],
    ["--cpus 2 --nthreads 3", /^--nthreads must be an integer from 1 to 2/],
    ["--variant v2", /^--variant must be merged, v3 or rfc, not 'v2'$/],
    ["--config fast", /^--config must be unbatched, .* or nodes=N, separated by commas, not 'fast'$/],
    ["--config cached", /^--config must be .* not 'cached'$/],
    ["--config no-sheaves=1", /^--config must be .* not 'no-sheaves=1'$/],
    ["--config caches=1=2", /^--config must be .* not 'caches=1=2'$/],
    ["--config unbatched,unbatched", /^--config names 'unbatched' twice/],
    ["--config nodes=9", /^nodes must be an integer from 1 to 4/],
    ["--head 8 --by call_rcu", /^--by call_rcu needs a struct rcu_head in each object: --head 16$/],
    ["--head 8 --config unbatched", /^--config unbatched needs a struct rcu_head/],
    ["--config no-sheaves --by kfree_rcu_nolock", /kmalloc_nolock\(\): --config no-sheaves is not for it$/],
  ])("%s", (line, message) => {
    expect(() => config(line)).toThrow(message);
  });
});
