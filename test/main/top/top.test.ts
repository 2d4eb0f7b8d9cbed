/** `sheaf torture --top`: what is seen of a machine, how it is shown, and that the terminal is given back. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Output, Terminal } from "../../../src/main/command.ts";
import { cacheViews } from "../../../src/main/top/caches.ts";
import { ContextSampler } from "../../../src/main/top/contexts.ts";
import { viewLine, viewScreen } from "../../../src/main/top/text.ts";
import { Top } from "../../../src/main/top/top.ts";
import { type Looked, Viewer } from "../../../src/main/top/view.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { DeferredPercpuWork } from "../../../src/shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../src/shared/layout/points.ts";
import { RcuState } from "../../../src/shared/layout/rcu.ts";
import { TortureCpu } from "../../../src/shared/layout/torture.ts";
import { LlistHead } from "../../../src/shared/layout/types.ts";
import { point } from "../../../src/shared/cpu/trace.ts";
import { kmalloc, llist_add } from "../../../src/shared/linux/api.ts";
import { kmem_cache_create } from "../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../src/shared/linux/mm/slub/kmalloc.ts";
import { BareMemory } from "../../../src/shared/mem/bare_memory.ts";
import { embedded, type Ptr } from "../../../src/shared/mem/struct.ts";
import { Control } from "../../../src/workers/control.ts";
import { setSheafState } from "../../shared/linux/mm/slub/sheaf_state.ts";
import { TestMachine } from "../../shared/linux/mm/kvfree_rcu/machine.ts";
import { type Captured, run } from "../captured.ts";

const LAUNCHER = fileURLToPath(new URL("../../../bin/sheaf.js", import.meta.url));
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";

let machine: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  machine = new TestMachine({ cpus: 2 });
  [cpu] = machine.cpus;
});

/** As the host sees it. */
function looked(): Looked {
  const mem = new BareMemory((cpu.mem as BareMemory).words.buffer as SharedArrayBuffer, 0);
  return { mem, map: cpu.map, control: Control.create(4), oracle: machine.oracle };
}

const deferredList = (): Ptr<"llist_head"> =>
  embedded(embedded(cpu.section, PerCpu.offset.deferred_percpu_work), DeferredPercpuWork.offset.objects);
/** Puts `n` nodes on CPU 0's list of deferred objects, and queues no work for them. */
function defer(n: number): void {
  for (let i = 0; i < n; i++) llist_add(cpu, kmalloc(cpu, 64, GFP_KERNEL) as Ptr as Ptr<"llist_node">, deferredList());
}

describe("what is seen", () => {
  test("of each CPU: the share of samples in each context", () => {
    const sampler = new ContextSampler(cpu);
    for (let i = 0; i < 6; i++) sampler.sample();
    machine.irq(cpu, () => {
      sampler.sample();
      machine.nmi(cpu, () => sampler.sample());
    });
    const [first, second] = sampler.take();
    expect(first).toEqual({ task: 0.75, item: 0, softirq: 0, hardirq: 0.125, nmi: 0.125, idle: 0 });
    expect(second["task"]).toBe(1);
    expect(sampler.take()[0]["task"]).toBe(0);
  });
  test("of a cache: objects in sheaves, sheaves in barns, allocations", () => {
    const s = kmem_cache_create(cpu, "things", 64);
    kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
    setSheafState(cpu, s, { main: 7, spare: 3, full: 2, empty: 1 });
    const view = cacheViews(cpu).find(({ name }) => name === "things");
    expect(view).toMatchObject({ cached: 10, capacity: 3 * 60, rcuFree: 0, full: 2, empty: 1 });
    expect(view?.allocations).toBeGreaterThan(0);
    expect(cacheViews(cpu).find(({ name }) => name === "kmem_cache")).toMatchObject({ cached: 0, capacity: 0 });
  });
  test("rates since the last look, deferred lists, the grace period, points without NMIs", () => {
    const viewer = new Viewer(looked());
    viewer.view(1000);
    const ops = embedded(cpu.section, PerCpu.offset.torture);
    cpu.mem.poke(ops, TortureCpu.offset.ops, 300);
    machine.nmi(cpu, () => undefined);
    kmem_cache_alloc(cpu, kmem_cache_create(cpu, "things", 64), GFP_KERNEL);
    point(cpu, POINT.krc_lock_held);
    const state = embedded(cpu.globals, Globals.offset.rcu_state);
    cpu.mem.poke(state, RcuState.offset.gp_seq, 5);
    cpu.mem.poke(state, RcuState.offset.gp_start, cpu.mem.peek(cpu.globals, Globals.offset.jiffies) - 7);
    defer(3);
    const view = viewer.view(3000);
    expect(view).toMatchObject({ elapsedMs: 3000, perSecond: { ops: 150 }, gracePeriodAge: 7 });
    expect(view.perSecond.nmis).toBeGreaterThan(0);
    expect(view.cpus[0]).toMatchObject({ opsPerSecond: 150, deferred: { objects: 3, objectsByRcu: 0, rcuSheaves: 0 } });
    expect(view.missedPoints).toContain("krc_lock_held");
    expect(view.caches.find(({ name }) => name === "things")?.allocationsPerSecond).toBe(0.5);
    cpu.mem.poke(state, RcuState.offset.gp_seq, 8);
    expect(viewer.view(4000).gracePeriodAge).toBeUndefined();
  });
  test("a list that goes round in circles, or nowhere, has an end", () => {
    const list = deferredList();
    const head = list as Ptr as Ptr<"llist_node">;
    const lengthWith = (first: number): number => {
      cpu.mem.poke(list, LlistHead.offset.first, first as Ptr<"llist_node">);
      return new Viewer(looked()).view(1).cpus[0].deferred.objects;
    };
    expect([lengthWith(head), lengthWith(0x7ffffff0), lengthWith(5), lengthWith(0)]).toEqual([1000, 0, 0, 0]);
  });
});

describe("how it is shown", () => {
  const screen = (width: number, height: number): readonly string[] =>
    viewScreen(new Viewer(looked()).view(1000), "title", width, height);

  test("CPUs and caches, the largest first; cut to the terminal", () => {
    kmem_cache_create(cpu, "things", 64);
    const lines = screen(200, 200);
    expect(lines[0]).toMatch(/^title: 1 s {3}operations \d+\/s/);
    const cpus = lines.findIndex((line) => line.startsWith("   CPU"));
    expect(lines[cpus]).toMatch(
      / task +item +softirq +hardirq +nmi +idle +objects +by_rcu +rcu_sheaves +callbacks +ops\/s$/,
    );
    expect(lines.slice(cpus + 1, cpus + 3).map((line) => line.trim().split(/ +/)[0])).toEqual(["0", "1"]);
    const caches = lines.findIndex((line) => line.endsWith("NAME"));
    const sizes = lines
      .slice(caches + 1)
      .map((line) => Number(/(\d+)K +\S+ +\d+ +(?:-|\d+f \d+e) +\S+ {2}\S+$/.exec(line)?.[1]));
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    expect(lines.find((line) => line.endsWith("  things"))).toMatch(
      /^ +0 +0 +0% +0\.06K +0 +64 +0K +0\/120 +0 +0f 0e +0 {2}things$/,
    );
    machine.set("online", 1);
    expect(screen(200, 200)[cpus + 2].trim()).toMatch(/^1 off /);
    const small = screen(20, 5);
    expect(small).toHaveLength(5);
    expect(Math.max(...small.map((line) => line.length))).toBe(20);
  });
  test("in one line", () => {
    expect(viewLine(new Viewer(looked()).view(2000))).toMatch(
      /^2 s: \d+ operations\/s, \d+ NMIs\/s, \d+ grace periods\/s \(none in progress\), task 0\.0% .* objects \d+ \/ \d+ \(\d+%\) in \d+ caches, deferred 0, points not hit \d+$/,
    );
  });
});

describe("on a terminal", () => {
  afterEach(() => void vi.useRealTimers());
  class FakeTerminal implements Terminal {
    text = "";
    listener: ((key: string) => void) | undefined;
    columns = (): number => 80;
    rows = (): number => 24;
    write(text: string): void {
      this.text += text;
    }
    onKey(listener: (key: string) => void): () => void {
      this.listener = listener;
      return () => (this.listener = undefined);
    }
  }
  const NO_KEYS = { end: () => undefined, interrupt: () => undefined };
  const outputTo = (terminal: Terminal | undefined, out: string[] = []): Output => ({
    out: (line) => out.push(line),
    err: () => undefined,
    progress: undefined,
    terminal,
  });

  test("redraws on the alternate screen, q and Ctrl-C end the run, and all is given back", () => {
    vi.useFakeTimers();
    const terminal = new FakeTerminal();
    const keys = { end: vi.fn<() => void>(), interrupt: vi.fn<() => void>() };
    const top = new Top("title", outputTo(terminal), keys);
    top.watch(looked());
    expect(terminal.text).toBe("");
    top.start();
    expect(terminal.text).toBe(ENTER);
    vi.advanceTimersByTime(2500);
    expect(terminal.text.split("\u001b[H")).toHaveLength(3);
    expect(terminal.text).toContain("Grace periods");
    terminal.listener?.("x");
    expect(keys.end).not.toHaveBeenCalled();
    terminal.listener?.("q");
    expect(keys.end).toHaveBeenCalledOnce();
    expect(keys.interrupt).not.toHaveBeenCalled();
    terminal.listener?.("\u0003");
    expect(keys.interrupt).toHaveBeenCalledOnce();
    top.stop();
    expect(terminal.text.endsWith(LEAVE)).toBe(true);
    expect(terminal.listener).toBeUndefined();
    const { length } = terminal.text;
    top.stop();
    vi.advanceTimersByTime(5000);
    expect(terminal.text).toHaveLength(length);
  });
  test("who ends the process meanwhile gives the terminal back, too", () => {
    const others = process.listeners("exit");
    const ours = (): readonly NodeJS.ExitListener[] =>
      process.listeners("exit").filter((listener) => !others.includes(listener));
    const terminal = new FakeTerminal();
    const top = new Top("title", outputTo(terminal), NO_KEYS);
    top.start();
    expect(ours()).toHaveLength(1);
    ours()[0](0);
    expect(terminal.text.endsWith(LEAVE)).toBe(true);
    expect(ours()).toHaveLength(0);
    top.start();
    top.stop();
    expect(ours()).toHaveLength(0);
  });
  test("without one: a line per refresh", () => {
    vi.useFakeTimers();
    const out: string[] = [];
    const top = new Top("title", outputTo(undefined, out), NO_KEYS);
    top.watch(looked());
    top.start();
    vi.advanceTimersByTime(3100);
    top.stop();
    expect(out).toHaveLength(3);
    expect(out[0]).toMatch(/^title: \d+ s: /);
  });
});

describe("sheaf torture --top", () => {
  const torture = (line: string): Promise<Captured> => run(["torture", "--top", ...line.split(" ")]);
  test("lines while it runs, and the normal summary at the end", async () => {
    const { code, out } = await torture("--cpus 2 --duration 2500ms --memory 8MiB --seed 1");
    expect(code).toBe(0);
    const shown = out.filter((line) => line.startsWith("sheaf-torture: nolock on 2 CPUs: "));
    expect(shown.length).toBeGreaterThanOrEqual(1);
    expect(out.some((line) => line.startsWith("operations"))).toBe(true);
    expect(out.at(-1)).toMatch(/^sheaf-torture:--- End of test: SUCCESS/);
  });
  // Such a machine takes longer to end than two signals must be apart. `script` gives it a terminal. Every Debian has it.
  test.runIf(existsSync("/usr/bin/script"))("q held down is one q: a summary, and the terminal as it was", async () => {
    const options = "--cpus 6 --scenario nolock,prefill --config debug=FZPU --memory 32MiB --seed 1";
    const command = `${process.execPath} ${LAUNCHER} torture --top ${options}`;
    const child = spawn("/usr/bin/script", ["-qec", command, "/dev/null"]);
    const closed = once(child, "close");
    child.stdin.on("error", () => undefined); // It may have ended before the last q.
    let text = "";
    let holding: NodeJS.Timeout | undefined;
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (holding === undefined && text.includes(`${ENTER}\u001b[H`))
        holding = setInterval(() => child.stdin.write("q"), 50);
    });
    const [code] = (await closed) as [number];
    clearInterval(holding);
    expect(text.split(ENTER)).toHaveLength(2);
    expect(text.split(LEAVE)).toHaveLength(2);
    expect(text.slice(text.indexOf(LEAVE))).toMatch(/End of test: .*SUCCESS.* \(interrupted after /);
    expect(code).toBe(130);
  });
  test.each(["json", "quiet"])("not together with --%s", async (option) => {
    expect(await torture(`--${option}`)).toEqual({
      code: 2,
      out: [],
      err: [`sheaf: --top shows what --${option} leaves out`],
    });
  });
});
