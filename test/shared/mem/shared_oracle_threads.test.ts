/** SharedOracle between real threads: silent while they do everything right, and not when one mechanism is broken. */
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { O_FREELIST, O_NONE } from "../../../src/shared/mem/oracle.ts";
import { SharedOracle } from "../../../src/shared/mem/shared_oracle.ts";
import {
  CREW_WORDS,
  firstObject,
  MACHINE_BYTES,
  OBJECT_BYTES,
  OBJECTS,
  type CrewJob,
  type CrewResult,
  type Mutant,
} from "./oracle_crew_worker.ts";

const CPUS = 3;

async function runCrew(mutant: Mutant, ms: number): Promise<{ results: CrewResult[]; oracle: SharedOracle }> {
  const oracle = SharedOracle.create(MACHINE_BYTES, CPUS);
  for (let cpu = 0; cpu < CPUS; cpu++) oracle.slab(cpu, firstObject(cpu), OBJECT_BYTES, OBJECTS, O_NONE, O_FREELIST, 0);
  const words = new SharedArrayBuffer(CREW_WORDS * 4);
  const results = await Promise.all(
    Array.from({ length: CPUS }, async (_, cpu) => {
      const job: CrewJob = { oracle: oracle.buffer, words, cpu, cpus: CPUS, ms, mutant };
      const worker = new Worker(new URL("oracle_crew_worker.ts", import.meta.url), { workerData: job, execArgv: [] });
      return new Promise<CrewResult>((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
    }),
  );
  return { results, oracle };
}

test("no false alarm", async () => {
  const { results, oracle } = await runCrew("none", 1000);
  expect(results.map((r) => r.fault)).toEqual(results.map(() => undefined));
  for (const result of results) {
    expect(result.moves).toBeGreaterThan(1000);
    expect(result.gracePeriods).toBeGreaterThan(10);
    expect(result.barriers).toBeGreaterThan(10);
  }
  expect(oracle.readerAges()[2]).toBe(0);
});

describe("a broken mechanism is reported", () => {
  test.each([
    ["frees what it gave away", /^object 0x.*: CPU . moves it from/],
    ["grace period does not wait", /^grace period of 0x.*too short/],
    ["barrier does not wait", /missed by a barrier/],
  ] as const)("%s", async (mutant, text) => {
    const { results } = await runCrew(mutant, 3000);
    const faults = results.map((r) => r.fault).filter((f) => f !== undefined);
    expect(faults).not.toEqual([]);
    for (const fault of faults) expect(fault).toMatch(text);
  });
});
