/** `sheaf torture` as its user sees it: lines, JSON, exit codes, Ctrl-C. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Captured, run } from "../captured.ts";

const LAUNCHER = fileURLToPath(new URL("../../../bin/sheaf.js", import.meta.url));

const torture = (line: string): Promise<Captured> => run(["torture", ...line.split(" ")]);

describe("sheaf torture", () => {
  test("first and last line name every parameter; the table is between them", async () => {
    const { code, out, err } = await torture("--cpus 2 --duration 500ms --seed 1 --memory 8MiB");
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const parameters =
      "cpus=2 duration=500ms seed=1 scenario=nolock nmi=100k irq=4k memory=8MiB " +
      "irqwork=prompt barrier-order=dfdrk variant=merged head=mixed";
    expect(out[0]).toBe(`sheaf-torture:--- Start of test: ${parameters}`);
    expect(out.at(-1)).toBe(`sheaf-torture:--- End of test: SUCCESS: ${parameters}`);
    for (const row of [
      "operations",
      "allocations",
      "kmalloc_nolock",
      "frees",
      "kfree_nolock",
      "kfree_rcu",
      "kfree_rcu_nolock",
      "NMIs delivered",
      "by source",
      "IRQs delivered",
      "grace periods",
      "callbacks",
      "irq_work runs",
      "barriers",
      "reader age",
      "local_trylock_acquired",
    ]) {
      expect(out.join("\n")).toContain(`\n${row.startsWith("by") ? "  " : ""}${row}`);
    }
  });
  test("the variant of February 2026 says what it did besides", async () => {
    const { code, out } = await torture(
      "--cpus 2 --duration 1s --seed 4 --memory 8MiB --variant rfc --config tiny,nohz",
    );
    expect(code).toBe(0);
    const table = out.join("\n");
    expect(table).toMatch(/\n {2}onto krc->head +linked [1-9][\d,]*, lock held [\d,]+, sheaf would be full [1-9]/);
    expect(table).toMatch(/\n {2}lazy irq_work +[1-9][\d,]*: armed [\d,]+, needless [\d,]+, krc empty [\d,]+; queued/);
  });
  test("a machine without batching gives every object to call_rcu()", async () => {
    const { code, out } = await torture("--cpus 2 --duration 500ms --seed 5 --memory 8MiB --config unbatched --json");
    expect(code).toBe(0);
    const { kfree_rcu, kfree_rcu_nolock } = JSON.parse(out[0]) as Record<string, Record<string, number>>;
    expect(kfree_rcu).toMatchObject({ sheaf: 0, krc: 0 });
    expect(kfree_rcu["call_rcu"]).toBeGreaterThan(0);
    expect(kfree_rcu_nolock).toMatchObject({ sheaf: 0, rcu_sheaves: 0, objects_by_rcu: kfree_rcu_nolock["calls"] });
  });
  test("allocations that are made to fail are counted, and nothing is lost", async () => {
    const { code, out } = await torture(
      "--cpus 2 --duration 1s --seed 6 --memory 8MiB --config tiny,lowmem=0.3,failslab=0.05",
    );
    expect(code).toBe(0);
    const table = out.join("\n");
    expect(table).toMatch(/\nmade to fail +allocations of pages [1-9][\d,]*, objects [1-9][\d,]*\n/);
    expect(table).toMatch(/\n {2}led to +smaller slabs [1-9][\d,]*, sheaves filled in part [\d,]+\n/);
  });
  test("--quiet prints the last line only", async () => {
    const { code, out } = await torture("--cpus 1 --duration 200ms --seed 2 --memory 8MiB --quiet");
    expect(code).toBe(0);
    expect(out).toHaveLength(1);
    expect(out[0]).toMatch(/^sheaf-torture:--- End of test: SUCCESS: cpus=1 /);
  });
  test("--json prints one object with the keys that scripts rely on", async () => {
    const { code, out } = await torture("--cpus 2 --duration 500ms --seed 3 --memory 8MiB --irqwork mixed --json");
    expect(code).toBe(0);
    expect(out).toHaveLength(1);
    const report = JSON.parse(out[0]) as Record<string, unknown>;
    const keys = [
      "verdict",
      "seed",
      "cpus",
      "duration_ms",
      "irqwork",
      "variant",
      "hooks",
      "head",
      "config",
      "ops",
      "nmis",
      "irqs",
      "nmis_by_context",
      "nmis_by_source",
      "grace_periods",
      "rcu_barriers",
      "irq_work_runs",
      "kfree_rcu",
      "bnodes",
      "kfree_rcu_nolock",
      "nolock_rfc",
      "kmalloc_nolock",
      "kfree_nolock",
      "reader_age",
      "faults",
      "failures",
    ];
    expect(Object.keys(report)).toEqual(expect.arrayContaining(keys));
    expect(report).toMatchObject({
      verdict: "SUCCESS",
      seed: 3,
      cpus: 2,
      irqwork: "mixed",
      nmis_by_context: { task: expect.any(Number) as number, nmi: 0 },
      nmis_by_source: { controller: expect.any(Number) as number, local: expect.any(Number) as number },
      kmalloc_nolock: { ok: expect.any(Number) as number, failed: expect.any(Number) as number },
      kfree_nolock: { sheaf: expect.any(Number) as number, deferred: expect.any(Number) as number },
      failures: [],
    });
    expect(Object.keys(report["kfree_rcu_nolock"] as object)).toEqual([
      "calls",
      "sheaf",
      "objects_by_rcu",
      "rcu_sheaves",
    ]);
    expect(report["duration_ms"]).toBeGreaterThanOrEqual(500);
  });
  test("Ctrl-C ends it in order, with what there is so far: 130", async () => {
    const child = spawn(process.execPath, [LAUNCHER, "torture", "--cpus", "2", "--duration", "60s", "--seed", "4"]);
    let text = "";
    let interrupted = false;
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (interrupted || !text.includes("booted")) return;
      interrupted = true;
      setTimeout(() => child.kill("SIGINT"), 300);
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(text).toMatch(/\noperations +[1-9]/);
    expect(text).toMatch(/End of test: SUCCESS \(interrupted after \d+\.\d s\): cpus=2 /);
  });
});
