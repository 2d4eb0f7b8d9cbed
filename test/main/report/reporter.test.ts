/** The report of a run that failed, of one that proved nothing, and the progress lines. */
import { describe, expect, test } from "vitest";
import type { Output } from "../../../src/main/command.ts";
import { parseOptions } from "../../../src/main/options.ts";
import { Reporter } from "../../../src/main/report/reporter.ts";
import { type Summary, summarise } from "../../../src/main/report/summary.ts";
import { missedPoints } from "../../../src/main/report/table.ts";
import { parseTortureConfig, TORTURE_OPTIONS } from "../../../src/main/torture/config.ts";
import type { TortureResult } from "../../../src/main/torture/run.ts";
import { RCU_TORTURE_PIPE_LEN, TortureCpu } from "../../../src/shared/layout/torture.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { BareMemory } from "../../../src/shared/mem/bare_memory.ts";
import { SharedOracle } from "../../../src/shared/mem/shared_oracle.ts";
import { element, embedded } from "../../../src/shared/mem/struct.ts";
import { MachineMap } from "../../../src/shared/layout/map.ts";
import { Control } from "../../../src/workers/control.ts";

const { torture: TORTURE } = PerCpu.offset;
const { ops: OPS, reader_age: READER_AGE } = TortureCpu.offset;
const SHAPE = { bytes: 4 << 20, cpus: 2, nodes: 1 };

/** The summary of a machine that has never run, with some numbers put in. */
function summaryOf(write: (mem: BareMemory, map: MachineMap) => void = () => undefined): Summary {
  const map = new MachineMap(SHAPE);
  const mem = new BareMemory(new SharedArrayBuffer(SHAPE.bytes), 0);
  write(mem, map);
  return summarise(mem, map, Control.create(1), SharedOracle.create(SHAPE.bytes, SHAPE.cpus));
}
const config = parseTortureConfig(parseOptions(["--seed", "77", "--cpus", "2"], TORTURE_OPTIONS, 0));
const result: TortureResult = {
  config,
  verdict: "SUCCESS",
  interrupted: false,
  elapsedMs: 1000,
  summary: summaryOf(),
  failures: [],
  cpus: [],
  log: [],
};
function report(given: TortureResult, quiet = false): string[] {
  const out: string[] = [];
  const output: Output = { out: (line) => out.push(line), err: () => undefined, progress: undefined };
  new Reporter(config, output, quiet).end(given);
  return out;
}

describe("Reporter", () => {
  test("prints what the machine has printed, when quiet only after a failure", () => {
    const log = ["[    1] CPU 0 nmi: BUG kmalloc-64"];
    expect(report({ ...result, log })).toContain(log[0]);
    expect(report({ ...result, log }, true)).not.toContain(log[0]);
    expect(report({ ...result, log, verdict: "FAILURE", failures: ["x"] }, true)).toContain(log[0]);
  });
  test("tells how many reports of slub debugging there were, if any", () => {
    const row = /^slub reports +3$/m;
    expect(report(result).join("\n")).not.toMatch(/slub reports/);
    expect(report({ ...result, summary: { ...result.summary, slabReports: 3 } }).join("\n")).toMatch(row);
  });
  test("a failure shows what, where every CPU stands, the seed, and how to repeat it", () => {
    const out = report({ ...result, verdict: "FAILURE", failures: ["first", "second"], cpus: ["CPU 0: task"] }, true);
    expect(out.slice(0, 4)).toEqual([
      "!!! FAILURE: first",
      "!!! FAILURE: second",
      "CPU 0: task",
      "seed 77. The same choices again, in another interleaving of the threads:",
    ]);
    expect(out[4]).toContain("torture --cpus 2 --duration 10s --seed 77 --scenario nolock");
    expect(out.at(-1)).toMatch(/^sheaf-torture:--- End of test: FAILURE: cpus=2 /);
  });
  test("progress comes every ten seconds where there is no terminal, and replaces a line where there is one", () => {
    const out: string[] = [];
    const lines: string[] = [];
    const output: Output = { out: (line) => out.push(line), err: () => undefined, progress: undefined };
    const plain = new Reporter(config, output, false);
    const terminal = new Reporter(config, { ...output, progress: (line) => lines.push(line) }, false);
    for (let ms = 250; ms <= 25_000; ms += 250) {
      plain.progress(result.summary, ms);
      terminal.progress(result.summary, ms);
    }
    expect(out).toHaveLength(2);
    expect(out[0]).toMatch(/^sheaf-torture: 10 s: 0 operations/);
    expect(lines).toHaveLength(100);
  });
});

describe("summarise", () => {
  test("adds up the CPUs, and takes counts for unsigned", () => {
    const { ops } = summaryOf((mem, map) => {
      mem.poke(embedded(map.section(0), TORTURE), OPS, -1);
      mem.poke(embedded(map.section(1), TORTURE), OPS, 2);
    });
    expect(ops).toBe(2 ** 32 + 1);
  });
  test("takes the readers' ages from scenario rcu if it ran, else from the oracle", () => {
    expect(summaryOf().readerAge).toEqual([0, 0, 0]);
    const { readerAge } = summaryOf((mem, map) => {
      mem.poke(embedded(map.section(1), TORTURE), element(READER_AGE, 1), 5);
    });
    expect(readerAge).toHaveLength(RCU_TORTURE_PIPE_LEN + 1);
    expect(readerAge[1]).toBe(5);
  });
  test("a machine whose list of caches is broken can be summarised", () => {
    expect(summaryOf().slab.ALLOC_FASTPATH).toBe(0); // All zeroes: the list leads to address 0.
  });
  test("a point is missed if it was visited and no NMI came to it", () => {
    const points = {
      never: { visited: 0, controller: 0, local: 0 },
      missed: { visited: 1, controller: 0, local: 0 },
      hit: { visited: 1, controller: 1, local: 0 },
    };
    expect(missedPoints({ ...result.summary, points })).toEqual(["missed"]);
  });
});
