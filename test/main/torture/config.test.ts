/** The parameters of a run: defaults, the machine's words, and that the repeat command means the same run. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../../src/main/errors.ts";
import { parseOptions } from "../../../src/main/options.ts";
import type { Settings } from "../../../src/main/settings.ts";
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
    words: [],
    settings: {},
    irqwork: "prompt",
    barrierOrder: "dfdrk",
    kernelBehaviour: [],
    bugs: [],
    variant: "merged",
    hooks: 0,
    head: "mixed",
  });
});

const LINES = [
  "--seed 1",
  "--cpus 2 --duration 1500ms --seed 4294967295 --scenario rcu,llist --nmi 20k:controller --irq 0",
  "--seed 3 --memory 8MiB --config tiny,quiet-memory,spurious=0.01,numa=2:memless --irqwork mixed --barrier-order fdrk",
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
    shape: { nodes: 2, memless: true },
    globals: { spurious: Math.round(0.01 * 2 ** 32), tiny: 1, irqwork_mode: 2, barrier_order: 2, poison_free: 1 },
  });
  expect(machineConfig(config("--kernel-behaviour K-1,nested-producer")).globals.kernel_behaviour).toBe(1 | 4);
  expect(machineConfig(config("--variant rfc --hooks kmemleak,kasan --head 8 --config cached=0,nohz"))).toMatchObject({
    globals: {
      nolock_variant: VARIANT_RFC,
      hooks: HOOK_KMEMLEAK | HOOK_KASAN,
      rcu_min_cached_objs: 0,
      nohz: 1,
    },
    headBytes: 8,
  });
  expect(machineConfig(config("--config unbatched"))).toMatchObject({ globals: { unbatched: 1 }, headBytes: 16 });
  expect(machineConfig(config("--seed 1"))).toMatchObject({ headBytes: 0, globals: { rcu_min_cached_objs: 5 } });
});

describe("--config random", () => {
  const drawn = Array.from({ length: 40 }, (_, seed) => config(`--config random --seed ${seed}`));
  test("the seed decides, and most seeds decide differently", () => {
    expect(config("--config random --seed 7")).toEqual(drawn[7]);
    expect(new Set(drawn.map(({ words }) => String(words))).size).toBeGreaterThan(20);
  });
  test("the parameters and the repeat command name what was drawn, and mean the same run", () => {
    for (const each of drawn) {
      expect(describeParameters(each)).not.toContain("random");
      const [, words] = repeatCommand(each).split(" torture ");
      expect(config(words.replaceAll("'", ""))).toEqual(each); // No shell is there to take the quotes away.
    }
  });
  test("nothing is drawn that the other options exclude", () => {
    for (let seed = 0; seed < 60; seed++) {
      expect(config(`--config random --seed ${seed} --scenario list_lru`).words).not.toContain("unbatched");
      expect(config(`--config random --seed ${seed} --head 8`).words).not.toContain("unbatched");
    }
    expect(drawn.some(({ words }) => words.includes("unbatched"))).toBe(true);
  });
  test("nothing is drawn that the program refuses; all else is drawn as ever", () => {
    const options = (seed: number) => parseOptions(["--config", "random", "--seed", String(seed)], TORTURE_OPTIONS, 0);
    const refuse = ({ globals }: Settings): void => {
      if (globals?.failslab !== undefined) throw new UsageError("no failslab");
    };
    for (const [seed, { words }] of drawn.entries()) {
      const others = words.filter((word) => !word.startsWith("failslab"));
      expect(parseTortureConfig(options(seed), refuse).words).toEqual(others);
    }
    expect(drawn.some(({ words }) => words.some((word) => word.startsWith("failslab")))).toBe(true);
    expect(() => parseTortureConfig(parseOptions(["--config", "failslab=1"], TORTURE_OPTIONS, 0), refuse)).toThrow(
      "no failslab",
    );
  });
  test("what is wrong besides is said", () => {
    expect(() => config("--config random --scenario nothing")).toThrow("each of --scenario must be");
  });
});
test("words from a file are named one by one", () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-"));
  const path = join(folder, "words");
  writeFileSync(path, "tiny # small\nnuma=2\n");
  const parsed = config(`--seed 1 --config @${path}`);
  rmSync(folder, { recursive: true });
  expect(parsed).toEqual(config("--seed 1 --config tiny,numa=2"));
  expect(describeParameters(parsed)).toContain("config=tiny,numa=2");
});
test("a repeat command is safe from the shell", () => {
  const text = repeatCommand(config("--config debug=F:kmalloc-*"));
  expect(text).toContain(" --config 'debug=F:kmalloc-*' ");
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
