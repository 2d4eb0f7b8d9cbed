/** Call stacks: each stored once, known by a handle, told in words; and what stands for a caller. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { per_cpu_ptr } from "../../../../src/shared/cpu/cpu.ts";
import { raw_stack, stack_frames, stack_trace_save } from "../../../../src/shared/cpu/stacktrace.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { StackDepotCpu } from "../../../../src/shared/layout/stackdepot.ts";
import {
  stack_depot_caller,
  stack_depot_fetch,
  stack_depot_save,
  stack_depot_save_here,
  symbol_name,
} from "../../../../src/shared/linux/lib/stackdepot.ts";
import { stack_depot_init } from "../../../../src/shared/linux/mm/slub/track.ts";
import { TestMachine } from "../mm/kvfree_rcu/machine.ts";

let m: TestMachine;
let cpus: readonly Cpu[];
beforeEach(() => {
  m = new TestMachine({ cpus: 2 });
  cpus = m.cpus;
  stack_depot_init(cpus[0]);
});
const used = (cpu: Cpu): number =>
  cpu.mem.peek(per_cpu_ptr(cpu, PerCpu.offset.stack_depot, cpu.id), StackDepotCpu.offset.used);
const dropped = (cpu: Cpu): number =>
  cpu.mem.peek(per_cpu_ptr(cpu, PerCpu.offset.stack_depot, cpu.id), StackDepotCpu.offset.dropped);

describe("the depot", () => {
  test("gives back what it was given, from any CPU", () => {
    const frames = ["inner a.ts:1", "outer b.ts:22", "outermost c.ts:333"];
    const handle = stack_depot_save(cpus[1], frames);
    expect(handle).not.toBe(0);
    expect(stack_depot_fetch(cpus[0], handle)).toEqual(frames);
    expect(symbol_name(cpus[0], stack_depot_caller(cpus[0], handle))).toBe("inner a.ts:1");
  });
  test("stores a stack once, and frames that stacks share once", () => {
    const [cpu] = cpus;
    const handle = stack_depot_save(cpu, ["a x.ts:1", "b x.ts:2"]);
    const before = used(cpu);
    expect(stack_depot_save(cpu, ["a x.ts:1", "b x.ts:2"])).toBe(handle);
    expect(used(cpu)).toBe(before);
    const other = stack_depot_save(cpu, ["b x.ts:2", "a x.ts:1"]);
    expect(other).not.toBe(handle);
    expect(used(cpu) - before).toBe(3 + 2);
  });
  test("gives 0 when it is full, and counts that; what it has stays", () => {
    const [cpu] = cpus;
    const first = stack_depot_save(cpu, ["first x.ts:1"]);
    let handle = first;
    for (let i = 0; handle !== 0; i++) handle = stack_depot_save(cpu, [`function_${i} some/file.ts:${i}`]);
    expect(dropped(cpu)).toBe(1);
    expect(stack_depot_save(cpu, ["first x.ts:1"])).toBe(first);
    expect(stack_depot_fetch(cpu, first)).toEqual(["first x.ts:1"]);
  });
  test("0 is no stack; nor is nonsense", () => {
    expect(stack_depot_fetch(cpus[0], 0)).toEqual([]);
    expect(stack_depot_caller(cpus[0], 0)).toBe(0);
    expect(symbol_name(cpus[0], 0)).toBe("");
    expect(stack_depot_fetch(cpus[0], (31 << 16) | 0x700)).toEqual([]);
    expect(stack_depot_save(cpus[0], [])).toBe(0);
  });
  test("without pools nothing is recorded", () => {
    const [cpu] = new TestMachine().cpus;
    expect(stack_depot_save(cpu, ["a x.ts:1"])).toBe(0);
    expect(stack_depot_save_here(cpu)).toBe(0);
  });
  test("the same place has the same handle each time, another place another one, in an NMI too", () => {
    const [cpu] = cpus;
    const here = (): number => stack_depot_save_here(cpu);
    const there = (): number => stack_depot_save_here(cpu);
    const handles = Array.from({ length: 3 }, here);
    expect(new Set(handles).size).toBe(1);
    const nmi: number[] = [there()];
    m.nmi(cpu, () => nmi.push(there()));
    expect(nmi[1]).not.toBe(0);
    expect(nmi[0]).not.toBe(handles[0]);
    expect(stack_depot_fetch(cpu, nmi[1])[0]).toMatch(/^there test\/shared\/linux\/lib\/stackdepot\.test\.ts:\d+$/);
  });
});

describe("what is put into words", () => {
  /** How often the engine has put a stack into words meanwhile. */
  function words(run: () => void): number {
    const prepare: unknown = Reflect.get(Error, "prepareStackTrace");
    let count = 0;
    Error.prepareStackTrace = (error, sites) => {
      count++;
      return `${error.name}\n    at ${sites.map(String).join("\n    at ")}`;
    };
    run();
    Reflect.set(Error, "prepareStackTrace", prepare);
    return count;
  }
  const often = (run: () => number): void => {
    for (let i = 0; i < 5; i++) run();
  };
  test("is each stack, once", () => {
    expect(words(() => often(() => stack_depot_save_here(cpus[0])))).toBe(1);
  });
  test("is none that another machine has had before", () => {
    const other = new TestMachine({ cpus: 2 });
    stack_depot_init(other.cpus[0]);
    const told: string[][] = [];
    const save = (cpu: Cpu): number => told.push(stack_depot_fetch(cpu, stack_depot_save_here(cpu)));
    expect(words(() => [cpus[0], other.cpus[0]].forEach((cpu) => save(cpu)))).toBe(1);
    expect(told[0].length).toBeGreaterThan(0);
    expect(told[1]).toEqual(told[0]);
  });
  test("is a stack without callers once, too", () => {
    const handles: number[] = [];
    const enter = { run_nmi: (run: () => number): number => run() };
    // All that is between the top and an interrupt's frame is left out.
    const handler = (): number => enter.run_nmi(save);
    function save(): number {
      return handles.push(stack_depot_save_here(cpus[0], save));
    }
    expect(words(() => often(handler))).toBe(1);
    expect(handles).toEqual([0, 0, 0, 0, 0]);
    expect(dropped(cpus[0])).toBe(0);
  });
  test("is none when there is no room for it; that is counted", () => {
    const [cpu] = cpus;
    for (let i = 0; stack_depot_save(cpu, [`function_${i} some/file.ts:${i}`]) !== 0; i++);
    expect(words(() => often(() => stack_depot_save_here(cpu)))).toBe(0);
    expect(dropped(cpu)).toBe(1 + 5);
  });
});

describe("callers", () => {
  function caller(): string[] {
    return stack_trace_save();
  }
  test("innermost first, with their places in the checkout", () => {
    const [first, second] = caller();
    expect(first).toMatch(/^caller test\/shared\/linux\/lib\/stackdepot\.test\.ts:\d+$/);
    expect(second).toMatch(/^\(anonymous\) test\/shared\/linux\/lib\/stackdepot\.test\.ts:\d+$/);
  });
  test("end where an interrupt came", () => {
    let frames: string[] = [];
    const handler = (): void => {
      frames = caller();
    };
    m.nmi(cpus[0], handler);
    expect(frames.map((frame) => frame.split(" ")[0])).toEqual(["caller", "handler", "(anonymous)"]);
  });
  test("what is left out, and where it ends", () => {
    const root = new URL("../../../../", import.meta.url).href;
    const at = (name: string, file: string): string => `    at ${name} (${root}${file}:7:3)`;
    const raw = [
      "Error",
      at("raw_stack", "src/shared/cpu/stacktrace.ts"),
      at("__slab_free", "src/shared/linux/mm/slub/free.ts"),
      at("kfree", "src/shared/linux/mm/slub/kmalloc.ts"),
      at("kvfree_rcu_bulk", "src/shared/linux/mm/kvfree_rcu/krc_bulk.ts"),
      at("invoke", "src/shared/cpu/callback_table.ts"),
      at("Object.run [as work]", "src/shared/linux/kernel/workqueue.ts"),
      `    at ${root}src/main/scenarios/rcu.ts:9:1`,
      at("kmem_cache_shrink", "src/shared/linux/mm/slub/shrink.ts"),
      at("Scheduler.step", "src/main/explore/engine/scheduler.ts"),
      at("other_cpu", "src/main/races/refill.ts"),
    ].join("\n");
    expect(stack_frames(raw)).toEqual([
      "kvfree_rcu_bulk src/shared/linux/mm/kvfree_rcu/krc_bulk.ts:7",
      "run src/shared/linux/kernel/workqueue.ts:7",
      "(anonymous) src/main/scenarios/rcu.ts:9",
      "kmem_cache_shrink src/shared/linux/mm/slub/shrink.ts:7",
    ]);
    expect(
      stack_frames(`${raw.split("\n").slice(0, 3).join("\n")}\n    at node:internal/x:1:1\n${at("a", "src/b.ts")}`),
    ).toEqual([]);
  });
  test("of an installed package are as good as those of a checkout, and other packages' are none", () => {
    const at = (name: string, file: string): string => `    at ${name} (file:///home/me/node_modules/${file}:7:3)`;
    const raw = ["Error", at("operation", "sheaf/dist/main/scenarios/rcu.js"), at("run", "tinypool/dist/pool.js")];
    expect(stack_frames(raw.join("\n"))).toEqual(["operation src/main/scenarios/rcu.js:7"]);
  });
  test("in a file of the user's that is called as the kernel of the built program", () => {
    expect(stack_frames("    at mine (file:///home/me/kernel.js:7:3)")).toEqual(["mine kernel.js:7"]);
  });
  test("the engine's own limit stays as it was", () => {
    const limit = Error.stackTraceLimit;
    raw_stack();
    expect(Error.stackTraceLimit).toBe(limit);
  });
});
