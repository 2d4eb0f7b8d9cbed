/** Failures that the explorer finds, recorded and described: is the race in what is printed? */
import { expect, test } from "vitest";
import { findScenarios } from "../../../src/main/explore/catalogue.ts";
import { Explorer } from "../../../src/main/explore/explore.ts";
import { get, set, type Scenario } from "../../../src/main/explore/scenario.ts";
import { asciiDiagram } from "../../../src/main/report/ascii_diagram.ts";
import { WIDTH } from "../../../src/main/report/columns.ts";
import { describeFailure } from "../../../src/main/report/interleaving.ts";
import { TraceRecorder } from "../../../src/main/report/trace_recorder.ts";
import { KB_NESTED_PRODUCER } from "../../../src/shared/layout/globals.ts";
import { POINT } from "../../../src/shared/layout/points.ts";
import { SLAB_NO_SHEAVES } from "../../../src/shared/layout/slab_flags.ts";
import { kvfree_rcu_barrier_on_cache } from "../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu_nolock } from "../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { expectInOrder } from "./in_order.ts";
import { twoConsumers } from "./two_consumers.ts";
import { cache, object, withObjects } from "../../shared/linux/mm/explore_mm.ts";
import { Thing } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

/** What the first failure of a bounded search prints, and its diagram. */
function explored(scenario: Scenario, bound: number): { readonly report: string; readonly diagram: string } {
  const explorer = new Explorer(scenario);
  const { failure } = explorer.explore({ random: 0, bound });
  if (failure === undefined) throw new Error("nothing was found");
  const { map, cpus } = explorer.engine;
  const programLengths = scenario.cpus.map((program) => program.length);
  const recorder = new TraceRecorder(map, cpus[0].mem.words, programLengths);
  expect(explorer.replay(failure.schedule, recorder)?.message).toBe(failure.message);
  const trace = recorder.trace();
  const report = describeFailure(failure, trace, { scenario: scenario.name });
  const diagram = asciiDiagram(trace);
  expect([...report, ...diagram].filter((line) => line.length > WIDTH)).toEqual([]);
  return { report: report.join("\n"), diagram: diagram.join("\n") };
}

test("llist_del_first() with two consumers: the ABA", () => {
  const { report, diagram } = explored(twoConsumers, 2);
  expect(diagram).toContain("read x40 = &x44");
  expect(diagram.endsWith("x32 &x40 -> &x44")).toBe(true);
  expect(report).toContain("(CPU 0 preempted)");
  expect(report).not.toContain("check()");
});

/** A scenario word, besides those of withObjects(). */
const RETURNED = 1;

test("an NMI between llist_add() and irq_work_queue(): names of objects, fields and functions", () => {
  const { report, diagram } = explored(
    {
      name: "nested producer",
      oracle: true,
      globals: { tiny: 1, kernel_behaviour: KB_NESTED_PRODUCER },
      setup: withObjects(2, SLAB_NO_SHEAVES),
      nmiPoints: [POINT.llist_added_before_queue],
      nmi: (cpu) => {
        if (cpu.id !== 0 || get(cpu, RETURNED) === 1) return;
        kfree_rcu_nolock(cpu, object(cpu, 1), Thing.offset.head);
        set(cpu, RETURNED, 1);
      },
      cpus: [
        [(cpu) => kfree_rcu_nolock(cpu, object(cpu, 0), Thing.offset.head)],
        [
          (cpu) => {
            if (get(cpu, RETURNED) === 1) kvfree_rcu_barrier_on_cache(cpu, cache(cpu));
          },
        ],
      ],
    },
    1,
  );
  expect(report).toMatch(/object things#1 \(0x[0-9a-f]+\): missed by\s+kvfree_rcu_barrier_on_cache\(\)/);
  expect(report).toContain("cpu0.dpw.objects_by_rcu: things#1+8, things#0+8");
  expect(report).toMatch(/The object's life:(?:\n {2}ticket .*)*in nmi: user -> deferred_rcu/);
  const story = [
    "kfree_rcu_nolock()",
    "cpu0.dpw.objects_by_rcu NULL -> things#0+8",
    "<NMI>",
    "things#0+8 -> things#1+8",
    "</NMI>",
    "kvfree_rcu_barrier_on_cache()",
    "read cpu0.dpw.work.flags = 0",
  ];
  expectInOrder(diagram, story);
});

test("a barrier that drains in the wrong order: where the object goes, and that nobody waits for it", async () => {
  const [{ scenario }] = await findScenarios(["full-sheaf-barrier-fdrk-late"]);
  const { report, diagram } = explored(scenario, 0);
  const story = [
    "flush_work() waits",
    "flush_rcu_sheaf()",
    "things.cpu0.rcu_free kmalloc-64#40 -> NULL",
    "irq_work_sync() waits",
    "<TICK>",
    "NULL -> things#3",
    "</TICK>",
    "read cpu0.dpw.work.flags = 0",
    "read cpu0.rcu_data.cblist.len = 0",
  ];
  for (const text of [report, diagram]) {
    expectInOrder(text, story);
    expect(text).not.toMatch(/wq_barrier_func|rcu_pending|cblist\.head/);
  }
  expect(diagram.split("\n").length).toBeLessThanOrEqual(32);
});
