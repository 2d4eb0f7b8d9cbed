/** The examples do what their comments say, under the explorer and, where they should, on real workers. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import brokenLock from "../../../examples/broken-lock.ts";
import fixedLock from "../../../examples/fixed-lock.ts";
import fixedRing, { Ring } from "../../../examples/fixed-ring-buffer.ts";
import peterson from "../../../examples/peterson-lock.ts";
import rings from "../../../examples/ring-buffer.ts";
import useAfterFree from "../../../examples/use-after-free.ts";
import { Explorer, type ExplorerOptions, type Scenario, sharedBuffer } from "../../../src/main/kit/index.ts";

const explore = (scenario: Scenario, options?: ExplorerOptions): ReturnType<Explorer["explore"]> =>
  new Explorer(scenario, options).explore({ bound: 2 });

test.each([
  { scenario: brokenLock, message: "two threads were inside: the counter is 1" },
  { scenario: rings[0], message: /^Error: took \d instead of \d$/ },
  { scenario: rings[1], message: /^Error: took \d instead of \d$/ },
  { scenario: rings[2], message: "two items were put, and the ring has 1" },
])("$scenario.name: the bug is found, and replays", ({ scenario, message }) => {
  const { failure } = explore(scenario);
  expect(failure?.message).toMatch(message);
  expect(new Explorer(scenario).replay(failure?.schedule ?? [])?.message).toBe(failure?.message);
});

test("a use after free is found by slub debugging", () => {
  expect(explore(useAfterFree).failure?.message).toBe("CPU 0: WARNING: BUG kmalloc-64: Object corrupt");
});

test.each([fixedLock, fixedRing])("$name: every schedule with two preemptions is clean", (scenario) => {
  expect(explore(scenario)).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("Peterson's lock needs its barrier where stores are buffered, and only there", () => {
  const [fenced, bare] = peterson;
  expect(explore(bare, { model: "tso" }).failure?.message).toBe("two threads were inside: the counter is 1");
  expect(explore(bare)).toMatchObject({ failure: undefined, exhausted: 2 });
  expect(explore(fenced, { model: "tso" })).toMatchObject({ failure: undefined, exhausted: 2 });
});

test("the fixed ring buffer moves its items between two real workers", async () => {
  const buffer = sharedBuffer(Ring);
  const file = new URL("../../../examples/ring-buffer-workers.ts", import.meta.url);
  const workers = ["producer", "consumer"].map((role) => new Worker(file, { workerData: { buffer, role } }));
  const timer = setTimeout(() => void Promise.all(workers.map((worker) => worker.terminate())), 30_000);
  // Rejects when a worker throws: the consumer does if it takes a wrong item.
  const codes = await Promise.all(workers.map((worker) => once(worker, "exit")));
  clearTimeout(timer);
  expect(codes).toEqual([[0], [0]]); // 1: terminated.
});
