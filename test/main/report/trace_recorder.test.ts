/** What the recorder keeps of the steps that an engine tells it. */
import { beforeEach, expect, test } from "vitest";
import { LOAD, RMW } from "../../../src/main/explore/engine/log.ts";
import { IDLE } from "../../../src/main/report/trace.ts";
import { TraceRecorder } from "../../../src/main/report/trace_recorder.ts";
import { P_NMI_LOCAL, P_TICK } from "../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { DeferredPercpuWork } from "../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { element, embedded, offsetof } from "../../../src/shared/mem/struct.ts";
import { sequentialMachine, type SequentialMachine } from "../../machine.ts";

let machine: SequentialMachine;
let recorder: TraceRecorder;

beforeEach(() => {
  machine = sequentialMachine();
  recorder = new TraceRecorder(machine.map, machine.cpus[0].mem.words, [2, 1]);
});
const x0 = (): number => machine.map.globals + offsetof(element(Globals.offset.scenario, 0));
function llist_add(lane: number, address: number, before: number, after: number): void {
  machine.cpus[0].mem.words[address >> 2] = after;
  recorder.access({ lane, kind: RMW, address, before, after, visible: true });
}
function llist_empty(lane: number, address: number, found: number): void {
  recorder.access({ lane, kind: LOAD, address, before: found, after: found, visible: true });
}

test("steps with function, word and values, in the frames of operations and interrupts", () => {
  const list = embedded(
    embedded(machine.map.section(1), PerCpu.offset.deferred_percpu_work),
    DeferredPercpuWork.offset.objects,
  );
  recorder.operation(1, 0);
  llist_add(1, list, 0, x0());
  recorder.interrupt(1, P_NMI_LOCAL, true);
  llist_empty(1, list, x0());
  recorder.interruptEnd(1);
  llist_empty(1, x0(), 5);
  recorder.operationEnd(1);
  recorder.operation(1, 1);
  const { events } = recorder.trace();
  const word = "cpu1.deferred_percpu_work.objects";
  expect(events).toMatchObject([
    { what: "begin", frame: { cpu: 1, level: 0, name: "op 1" } },
    { what: "step", path: ["llist_add"], word, field: "llist_head.first", writes: true, before: "NULL", after: "&x0" },
    { what: "begin", frame: { level: 2, name: "NMI", outer: { name: "op 1" } }, chosen: true },
    { what: "step", path: ["llist_empty"], frame: { name: "NMI" }, word, writes: false, after: "&x0" },
    { what: "end", frame: { name: "NMI" } },
    { what: "step", frame: { name: "op 1" }, word: "x0", after: "5" },
    { what: "end", frame: { name: "op 1" } },
    { what: "begin", frame: { name: "final" } },
  ]);
});

test("names are those of the moment, values too", () => {
  recorder.operation(0, 0);
  const pending = embedded(machine.map.section(1), PerCpu.offset.pending);
  llist_add(0, pending, 0, P_TICK);
  expect(recorder.trace().events[1]).toMatchObject({ word: "cpu1.pending", before: "0", after: "TICK" });
});

test("an idle turn is a frame of its own, and the check is none of the story", () => {
  const check = (): void => llist_empty(0, x0(), 1);
  const schedule = (): void => llist_empty(0, x0(), 1);
  check();
  schedule();
  recorder.switched(0, 1, true);
  recorder.interrupt(0, P_NMI_LOCAL, true);
  const [begin, step, end, change, ...nmi] = recorder.trace().events;
  expect([begin, step, end]).toMatchObject([
    { what: "begin", frame: { name: IDLE } },
    { path: ["schedule", "llist_empty"] },
    { what: "end", frame: { name: IDLE } },
  ]);
  expect(change.what).toBe("switch");
  expect(nmi).toMatchObject([{ frame: { name: IDLE } }, { frame: { name: "NMI", outer: { name: IDLE } } }]);
});

test("switches, ticks and drained stores are kept in order", () => {
  recorder.switched(0, 1, true);
  recorder.tick(3, true);
  recorder.drained(0, x0(), 0, 1);
  expect(recorder.trace().events).toEqual([
    { what: "switch", from: 0, to: 1, blocked: true },
    { what: "tick", jiffies: 3, forced: true },
    { what: "drain", cpu: 0, word: "x0", before: "0", after: "1" },
  ]);
});

test("the end shows contexts, where an operation stands, and what is not zero", () => {
  recorder.operation(0, 0);
  llist_add(0, x0(), 0, 7);
  recorder.operation(1, 0);
  llist_empty(1, x0(), 7);
  recorder.operationEnd(1);
  expect(recorder.trace().finalState).toEqual([
    "CPU 0: task, IRQs on, preempt 0, readers 0",
    "  in llist_add()",
    "CPU 1: task, IRQs on, preempt 0, readers 0",
    "scenario: x0 = 7",
  ]);
});
