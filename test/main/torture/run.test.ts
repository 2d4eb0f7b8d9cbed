/** A torture run: what goes wrong on a CPU, or with its thread, becomes a verdict that names it; never a hang. */
import { describe, expect, test } from "vitest";
import { parseOptions } from "../../../src/main/options.ts";
import type { ScenarioName } from "../../../src/main/scenarios/catalogue.ts";
import { parseTortureConfig, TORTURE_OPTIONS } from "../../../src/main/torture/config.ts";
import { runTorture, type TortureHooks, type TortureResult } from "../../../src/main/torture/run.ts";
import { Watchdog } from "../../../src/main/torture/watchdog.ts";
import type { Fault } from "../broken_cpu.ts";

const BROKEN_CPU = new URL("../broken_cpu.ts", import.meta.url);

function configOf(line: string) {
  return parseTortureConfig(parseOptions(line.split(" ").filter(Boolean), TORTURE_OPTIONS, 0));
}
/** Two CPUs, CPU 1 of which goes wrong after 100 operations. */
async function runBroken(
  fault: Fault,
  hooks: TortureHooks = {},
  when: string[] = [],
  options = "",
): Promise<TortureResult> {
  const config = configOf(`--cpus 2 --duration 60s --seed 1 --nmi 2k --irq 200 --memory 8MiB ${options}`);
  const scenarios = [fault, ...when] as readonly string[] as readonly ScenarioName[];
  return runTorture(
    { ...config, scenarios, ...(fault === "none" || fault === "leak" ? { durationMs: 300 } : {}) },
    {
      cpuModule: BROKEN_CPU,
      ...hooks,
    },
  );
}
const text = ({ failures, cpus }: TortureResult): string => [...failures, ...cpus].join("\n");

describe("a CPU that goes wrong", () => {
  test("not at all: SUCCESS", async () => {
    const result = await runBroken("none");
    expect(result.failures).toEqual([]);
    expect(result).toMatchObject({ verdict: "SUCCESS", interrupted: false, cpus: [] });
  });
  test("by a bug: FAILURE with the message, its callers, and where every CPU stands", async () => {
    const result = await runBroken("bug under a lock");
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures).toHaveLength(1);
    expect(result.failures[0]).toMatch(/^CPU 1: a planted bug\n {2}at bug/);
    expect(text(result)).toMatch(/CPU 0: task/);
    expect(text(result)).toMatch(/CPU 1: task, IRQs off/);
    expect(text(result)).toMatch(/holds test /);
    expect(text(result)).toMatch(/\d+: alloc 0x/);
  });
  test("by an exception: FAILURE, crashed", async () => {
    const result = await runBroken("throw");
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 1 crashed: a planted exception/);
  });
  test("by leaving the process: FAILURE, lost", async () => {
    const result = await runBroken("exit");
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 1 is lost: its thread ended/);
  });
  test("by leaving the process before it has booted: FAILURE, lost", async () => {
    const result = await runBroken("exit", {}, ["in boot"]);
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 1 is lost: its thread ended/);
  });
  test("by a bug in the set-up: FAILURE, and nobody says that it has booted", async () => {
    let booted = false;
    const result = await runBroken("bug", { onBoot: () => (booted = true) }, ["in set-up"]);
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 0: a planted bug/);
    expect(booted).toBe(false);
  });
  test("for lack of memory that comes after boot: FAILURE", async () => {
    const result = await runBroken("no memory");
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 1: no memory for what is needed later/);
  });
  test("for lack of memory in the set-up: none of them, but a line", async () => {
    await expect(runBroken("no memory", {}, ["in set-up"])).rejects.toThrow(
      "--memory 8MiB is too small for --cpus 2: no memory for what is needed later: give a larger --memory",
    );
  });
  test("by keeping an object: FAILURE, at quiescence", async () => {
    const result = await runBroken("leak");
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 0: at quiescence: cache kmalloc-128: \d+ objects in use, \d+ after boot/);
  });
  test("by never ending an operation: FAILURE, locked up by its own ticks", async () => {
    const result = await runBroken("endless loop of steps", { watchdog: new Watchdog(50) });
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^lockup: CPU 1 took \d+ ticks and finished no operation/);
  });
  test("by never turning IRQs on again: FAILURE, hard lockup", async () => {
    const result = await runBroken("endless loop of steps, IRQs off", { watchdog: new Watchdog(50) });
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^hard lockup: CPU 1 takes NMIs, but took no tick/);
  });
  test("by taking no step any more: its thread is given up", async () => {
    const result = await runBroken("endless loop without steps", { watchdog: new Watchdog(1e9, 1000) });
    expect(result.verdict).toBe("FAILURE");
    expect(text(result)).toContain("CPU 1 has finished no operation");
    expect(text(result)).toContain("CPU 1 is lost: its thread does not return: it takes no step");
  });
});

describe("with PREEMPT_RT a CPU has two threads", () => {
  const rt = (fault: Fault): Promise<TortureResult> => runBroken(fault, {}, [], "--config rt");
  test("and all come to an end", async () => {
    expect(await rt("none")).toMatchObject({ verdict: "SUCCESS", failures: [], cpus: [] });
  });
  test("also if one of them finds a bug", async () => {
    const result = await rt("bug");
    expect(result.verdict).toBe("FAILURE");
    expect(result.failures[0]).toMatch(/^CPU 1: a planted bug/);
    expect(result.elapsedMs).toBeLessThan(30_000);
  });
  test("of which the second one may die", async () => {
    const result = await rt("irq_work/N exits");
    expect(result.verdict).toBe("FAILURE");
    expect(text(result)).toMatch(/CPU 1 is lost: its thread ended/);
  });
  test("at most 16 CPUs have numbers for them", () => {
    const machine = runTorture(configOf("--cpus 17 --config rt --duration 1s --memory 64MiB"));
    return expect(machine).rejects.toThrow("with rt a machine has 16 CPUs at most");
  });
});

test("a killed thread is a FAILURE that names its CPU", async () => {
  const result = await runTorture(configOf("--cpus 2 --duration 60s --seed 2 --memory 8MiB"), {
    onMachine: (machine) => {
      void machine.booted.then(() => setTimeout(() => void machine.threads[0].terminate(), 300));
    },
  });
  expect(result.verdict).toBe("FAILURE");
  // Which thread runs what is piscina's choice.
  expect(text(result)).toMatch(/CPU \d is lost: its thread ended|the controller's thread ended/);
  expect(result.elapsedMs).toBeLessThan(30_000);
});

test("a run that is told to stop comes to rest and keeps its verdict", async () => {
  const controller = new AbortController();
  const result = await runTorture(configOf("--cpus 2 --duration 60s --seed 3 --memory 16MiB"), {
    signal: controller.signal,
    onBoot: () => setTimeout(() => controller.abort(), 300),
  });
  expect(result.failures).toEqual([]);
  expect(result).toMatchObject({ verdict: "SUCCESS", interrupted: true });
  expect(result.elapsedMs).toBeLessThan(30_000);
});

describe("short runs of the scenarios find nothing, and do what they are for", () => {
  const short = (line: string): Promise<TortureResult> => runTorture(configOf(`--duration 1s --memory 16MiB ${line}`));

  test.each([
    "--scenario nolock --cpus 4 --irqwork prompt --seed 11",
    "--scenario nolock --cpus 3 --irqwork mixed --seed 12 --config tiny,spurious=0.01",
    "--scenario barriers --cpus 3 --irqwork late --seed 13",
    "--scenario kunit --cpus 2 --seed 14",
    "--scenario nolock,rcu --cpus 2 --seed 18 --config rt",
    "--scenario nolock,barriers --cpus 3 --seed 19 --config hotplug,migrate,tiny",
    "--scenario llist,rcu --cpus 3 --irqwork mixed --seed 15",
  ])("%s", async (line) => {
    const { verdict, failures, summary } = await short(line);
    expect(failures).toEqual([]);
    expect(verdict).toBe("SUCCESS");
    expect(summary.ops).toBeGreaterThan(0);
    expect(summary.nmis.local).toBeGreaterThan(0);
    expect(summary.nmis.controller).toBeGreaterThan(0);
    expect(summary.gracePeriods).toBeGreaterThan(0);
  });
  test("without NMIs and IRQs there are none", async () => {
    const { verdict, summary } = await short("--scenario nolock --cpus 2 --seed 16 --nmi 0 --irq 0");
    expect(verdict).toBe("SUCCESS");
    expect([summary.nmis, summary.irqs]).toEqual([{ controller: 0, local: 0 }, 0]);
  });
  test("readers of scenario rcu are of age 0 or 1", async () => {
    const { summary } = await short("--scenario rcu --cpus 3 --seed 17");
    expect(summary.readerAge).toHaveLength(11);
    expect(summary.readerAge[0]).toBeGreaterThan(0);
    expect(summary.readerAge.slice(2)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});
