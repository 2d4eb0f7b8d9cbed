/** The parameters of a run: defaults, the machine's words, and that the repeat command means the same run. */
import { expect, test } from "vitest";
import { parseOptions } from "../../../src/main/options.ts";
import {
  describeParameters,
  machineConfig,
  nmiShares,
  parseTortureConfig,
  repeatCommand,
  TORTURE_OPTIONS,
  type TortureConfig,
} from "../../../src/main/torture/config.ts";
import { HZ } from "../../../src/shared/base/limits.ts";
import { HOOK_KASAN, HOOK_KMEMLEAK } from "../../../src/shared/layout/debug.ts";
import { VARIANT_RFC } from "../../../src/shared/layout/globals.ts";

function config(line: string): TortureConfig {
  return parseTortureConfig(parseOptions(line.split(" ").filter(Boolean), TORTURE_OPTIONS, 0));
}

test("defaults", () => {
  expect(config("--seed 1")).toEqual({
    shape: { bytes: 64 << 20, cpus: 4, nodes: 1 },
    durationMs: 10_000,
    seed: 1,
    scenarios: ["nolock"],
    nmiRate: 100_000,
    nmiSource: undefined,
    irqRate: 4000,
    tiny: false,
    spurious: 0,
    noise: true,
    irqwork: "prompt",
    barrierOrder: "dfdrk",
    kernelBehaviour: [],
    variant: "merged",
    hooks: 0,
    head: "mixed",
    unbatched: false,
    cached: 5,
    nohz: false,
  });
});

const LINES = [
  "--seed 1",
  "--cpus 2 --duration 1500ms --seed 4294967295 --scenario rcu,llist --nmi 20k:controller --irq 0",
  "--seed 3 --memory 8MiB --config tiny,quiet-memory,spurious=0.01,nodes=2 --irqwork mixed --barrier-order fdrk",
  "--seed 5 --variant rfc --hooks kmemleak,kasan --head 8 --config cached=0,nohz",
  "--seed 6 --variant v3 --hooks all --head 16 --config unbatched",
  "--seed 4 --kernel-behaviour K-1,nested-producer --irqwork late --nmi 0 --cpus 31",
];
test.each(LINES)("the repeat command of '%s' is the same run", (line) => {
  const first = config(line);
  const [, words] = repeatCommand(first).split(" torture ");
  expect(config(words)).toEqual(first);
});
test.each(LINES)("the parameters of '%s' are all named", (line) => {
  const text = describeParameters(config(line));
  const given = line.split("--").filter(Boolean);
  for (const option of given) expect(text).toContain(option.trim().replace(" ", "="));
});

test("the machine's words", () => {
  expect(machineConfig(config(LINES[2]))).toMatchObject({
    seed: 3,
    spurious: 0.01,
    tiny: true,
    irqwork: 2,
    barrierOrder: 2,
  });
  expect(machineConfig(config("--kernel-behaviour K-1,nested-producer")).kernelBehaviour).toBe(1 | 4);
  expect(machineConfig(config("--variant rfc --hooks kmemleak,kasan --head 8 --config cached=0,nohz"))).toMatchObject({
    nolockVariant: VARIANT_RFC,
    hooks: HOOK_KMEMLEAK | HOOK_KASAN,
    headBytes: 8,
    rcuMinCachedObjs: 0,
    nohz: true,
    unbatched: false,
  });
  expect(machineConfig(config("--config unbatched"))).toMatchObject({ unbatched: true, headBytes: 16 });
  expect(machineConfig(config("--seed 1"))).toMatchObject({ headBytes: 0, rcuMinCachedObjs: 5 });
});

test("NMIs are shared out between the sources", () => {
  const perSecond = (line: string) => {
    const parsed = config(line);
    const { controller, perTick } = nmiShares(parsed);
    return [controller, Math.round(perTick * HZ * parsed.shape.cpus)];
  };
  expect(perSecond("--nmi 0")).toEqual([0, 0]);
  expect(perSecond("--nmi 20k:controller")).toEqual([20_000, 0]);
  expect(perSecond("--nmi 20k:local")).toEqual([0, 20_000]);
  const [controller, local] = perSecond("--nmi 100k");
  expect(controller + local).toBe(100_000);
  expect(controller).toBeGreaterThan(0);
  expect(local).toBeGreaterThan(50_000);
});
