/** hrtimers: when, where and in which context the function is called; and interleaved, that no start is lost. */
import { beforeEach, describe, expect, test } from "vitest";
import { callbackId, get, set, type Scenario } from "../../../../src/main/explore/scenario.ts";
import { bug } from "../../../../src/shared/cpu/bug.ts";
import { in_hardirq, irqs_disabled, local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import { per_cpu_ptr, type Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { CpuCounters, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { Hrtimer } from "../../../../src/shared/layout/timer.ts";
import { hrtimer_interrupt, hrtimer_setup, hrtimer_start } from "../../../../src/shared/linux/kernel/hrtimer.ts";
import { get_next_timer_interrupt } from "../../../../src/shared/linux/kernel/tick.ts";
import { jiffies, mod_timer, timer_setup } from "../../../../src/shared/linux/kernel/timer.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { raw_spin_lock, raw_spin_unlock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, callbackOf, exploreLayer, inHardirq, inNmi, room, tickAll } from "../layer.ts";

const { jiffies: JIFFIES } = Globals.offset;
const { pending: PENDING } = PerCpu.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
let other: Cpu;
let log: string[];
const func = callbackOf(0, () => undefined);
const timer = (i: number): Ptr<"hrtimer"> => room(cpu, i);
const runs = (): number => cpu.mem.peek(cpu.counters, CpuCounters.offset.hrtimer_irqs);
beforeEach(() => {
  cpus = boot();
  [cpu, other] = cpus as [Cpu, Cpu];
  log = [];
  callbackOf(0, (c, arg) => {
    expect([in_hardirq(c), irqs_disabled(c)]).toEqual([true, true]);
    log.push(`${c.id}:${(arg - cpu.map.pages) / 256}@${jiffies(c)}`);
  });
  for (const i of [0, 1, 2, 3]) hrtimer_setup(cpu, timer(i), func);
});
const tick = (n = 1): void => tickAll(cpus, n);

describe("without a delay", () => {
  test("runs at once, in hardirq, on the CPU that started it", () => {
    hrtimer_start(cpu, timer(0));
    hrtimer_start(other, timer(1));
    expect(log).toEqual(["0:0@0", "1:1@0"]);
    expect(runs()).toBe(1);
    tick();
    expect(log).toHaveLength(2);
  });
  test("with IRQs off it runs when they come on; with several started, in order, by one interrupt", () => {
    const flags = local_irq_save(cpu);
    for (const i of [2, 0, 1]) hrtimer_start(cpu, timer(i));
    cpu.mem.poll(0);
    expect(log).toEqual([]);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["0:2@0", "0:0@0", "0:1@0"]);
    expect(runs()).toBe(1);
  });
  test("under a raw lock, whichever: nothing is taken that could wait for it", () => {
    const locks = Object.entries(LC).filter(([name]) => /^(?:krc|timer_base|workqueue_pool|test_inner)$/.test(name));
    expect(locks).toHaveLength(4);
    for (const [i, [, cls]] of locks.entries()) spin_lock_init(cpu, room(cpu, 10 + i), cls);
    const flags = local_irq_save(cpu);
    for (let i = 0; i < 4; i++) raw_spin_lock(cpu, room(cpu, 10 + i));
    hrtimer_start(cpu, timer(0));
    for (let i = 3; i >= 0; i--) raw_spin_unlock(cpu, room(cpu, 10 + i));
    expect(log).toEqual([]);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["0:0@0"]);
  });
  test("in an interrupt it runs after that", () => {
    inHardirq(cpu, (c) => {
      hrtimer_start(c, timer(0));
      c.mem.poll(0);
      expect(log).toEqual([]);
    });
    expect(log).toEqual(["0:0@0"]);
  });
  test("a tick that comes first runs it; the interrupt finds nothing more to do", () => {
    const flags = local_irq_save(cpu);
    hrtimer_start(cpu, timer(0));
    cpu.mem.raise(per_cpu_ptr(cpu, PENDING, 0), P_TICK);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["0:0@0"]);
    expect(runs()).toBe(1);
  });
});

describe("with a delay", () => {
  test("runs in the tick of its time, once; in order of time, then of start; per CPU", () => {
    hrtimer_start(cpu, timer(0), 2);
    hrtimer_start(cpu, timer(1), 1);
    hrtimer_start(cpu, timer(2), 2);
    hrtimer_start(other, timer(3), 1);
    tick(4);
    expect(log).toEqual(["0:1@1", "1:3@1", "0:0@2", "0:2@2"]);
    expect(runs()).toBe(0);
  });
  test("jiffies wrap", () => {
    cpu.mem.write_once(cpu.globals, JIFFIES, 0x7ffffffe);
    hrtimer_start(cpu, timer(1), 4);
    hrtimer_start(cpu, timer(0), 2);
    tick();
    expect(log).toEqual([]);
    tick(3);
    expect(log.map((line) => line.slice(0, 3))).toEqual(["0:0", "0:1"]);
  });
  test("started again, it keeps the new time only; and goes to the CPU that starts it", () => {
    hrtimer_start(cpu, timer(0), 1);
    hrtimer_start(cpu, timer(0), 3);
    hrtimer_start(cpu, timer(1), 1);
    hrtimer_start(other, timer(1), 2);
    expect(get_next_timer_interrupt(cpu)).toBe(3);
    tick(4);
    expect(log).toEqual(["1:1@2", "0:0@3"]);
    hrtimer_start(cpu, timer(0), 5);
    hrtimer_start(cpu, timer(0));
    tick(6);
    expect(log).toEqual(["1:1@2", "0:0@3", "0:0@4"]);
  });
  test("get_next_timer_interrupt() names the sooner one of both kinds", () => {
    expect(get_next_timer_interrupt(cpu)).toBeUndefined();
    hrtimer_start(cpu, timer(0), 7);
    expect(get_next_timer_interrupt(cpu)).toBe(7);
    timer_setup(cpu, room(cpu, 8), func);
    mod_timer(cpu, room(cpu, 8), 9);
    expect(get_next_timer_interrupt(cpu)).toBe(7);
    mod_timer(cpu, room(cpu, 8), 5);
    expect(get_next_timer_interrupt(cpu)).toBe(5);
  });
});

describe("the function", () => {
  test("may start its timer again, or free it", () => {
    callbackOf(0, (c, arg: Ptr<"hrtimer">) => {
      log.push(String(jiffies(c)));
      if (log.length < 3) hrtimer_start(c, arg);
      else if (log.length < 5) hrtimer_start(c, arg, 2);
      else c.mem.fill(arg, Hrtimer.size, 0x6b);
    });
    hrtimer_start(cpu, timer(0));
    tick(6);
    expect(log).toEqual(["0", "0", "0", "2", "4"]);
    expect(runs()).toBe(1); // What is started while the first call lasts is found by the same interrupt.
    expect(cpu.mem.load_word(timer(0))).toBe(0x6b6b6b6b);
  });
  test("is not called on a second CPU while it runs: who starts the timer there leaves it where it is", () => {
    callbackOf(0, (c, arg: Ptr<"hrtimer">) => {
      log.push(`${c.id}`);
      if (log.length === 1) hrtimer_start(other, arg);
      other.mem.poll(0);
    });
    hrtimer_start(cpu, timer(0));
    expect(log).toEqual(["0", "0"]);
  });
  test("must not return with a lock", () => {
    spin_lock_init(cpu, room(cpu, 8), LC.test);
    callbackOf(0, (c) => raw_spin_lock(c, room(c, 8)));
    expect(() => hrtimer_start(cpu, timer(0))).toThrow(/hrtimer function returns: holds test/);
  });
});

test("neither in NMI, nor is its interrupt anything but an interrupt", () => {
  expect(() => hrtimer_interrupt(cpu)).toThrow("hrtimer_interrupt() in task");
  expect(() => inNmi(cpu, (c) => hrtimer_start(c, timer(0)))).toThrow("hrtimer_start() in task > nmi");
});

describe("interleaved", () => {
  const FUNC = callbackId(0);
  const RUNNING = 8;
  /** Word `i` has been seen by a call. */
  const SEEN = 10;
  /** Says so in word `i`, then starts the timer: a call that begins after that has to see it. */
  const start =
    (i: number, delay: number) =>
    (c: Cpu): void => {
      set(c, i, 1);
      hrtimer_start(c, room(c, 0), delay);
    };
  const collect = (c: Cpu): void => {
    if (get(c, RUNNING) !== 0) bug(c, "the function runs on two CPUs at once");
    set(c, RUNNING, 1);
    for (let i = 0; i < 3; i++) if (get(c, i) !== 0) set(c, SEEN + i, 1);
    set(c, RUNNING, 0);
  };
  const scenario: Scenario = {
    name: "hrtimer",
    callbacks: [collect],
    setup: (c) => hrtimer_setup(c, room(c, 0), FUNC),
    cpus: [],
    final: (c) => {
      for (let i = 0; i < 3; i++) while (get(c, i) !== get(c, SEEN + i)) c.mem.relax();
    },
  };
  test("two CPUs start the same timer: each start is followed by a call, and the calls by each other", () => {
    const cpusOf = { cpus: [[start(0, 0), start(1, 0)], [start(2, 0)]] };
    const run = exploreLayer({ ...scenario, ...cpusOf }, { random: 300, bound: 1, exhaustive: 6000 });
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("the same with delays, and ticks at any moment", () => {
    const cpusOf = { cpus: [[start(0, 1), start(1, 0)], [start(2, 2)]], ticks: 2 };
    expect(exploreLayer({ ...scenario, ...cpusOf }, { random: 400, bound: 1, exhaustive: 6000 }).failure).toBe(
      undefined,
    );
  });
  test.each([
    ["before", 1],
    ["after", 0],
  ])("the interrupt may come %s the next step of its CPU", (_, calls) => {
    const looks = (c: Cpu): void => {
      if (get(c, SEEN) === calls) bug(c, `called ${calls} times`);
    };
    const cpusOf = { cpus: [[start(0, 0), looks], [(c: Cpu): void => void get(c, SEEN)]] };
    expect(exploreLayer({ ...scenario, ...cpusOf }).failure?.message).toContain(`called ${calls} times`);
  });
});
