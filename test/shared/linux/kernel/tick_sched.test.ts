/** Stopped ticks: when an idle CPU does without, who may make it tick again, and that nobody waits for ever. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Scenario } from "../../../../src/main/explore/scenario.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { local_irq_disable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { schedule, schedule_until_woken, tick_nohz_tick_stopped } from "../../../../src/shared/cpu/sched.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { CpuSlot, P_IRQ_WORK, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals, IRQWORK_LATE } from "../../../../src/shared/layout/globals.ts";
import { IRQ_WORK_LAZY } from "../../../../src/shared/layout/irq_work.ts";
import { init_irq_work, irq_work_queue } from "../../../../src/shared/linux/kernel/irq_work.ts";
import { do_softirq, raise_softirq_irqoff, TIMER_SOFTIRQ } from "../../../../src/shared/linux/kernel/softirq.ts";
import {
  tick_fires,
  tick_nohz_idle_restart_tick,
  tick_nohz_idle_stop_tick,
  ticks_until_now,
} from "../../../../src/shared/linux/kernel/tick_sched.ts";
import {
  add_timer_on,
  jiffies,
  mod_timer,
  next_timer_expiry,
  schedule_timeout,
  timer_setup,
} from "../../../../src/shared/linux/kernel/timer.ts";
import { boot, callbackOf, exploreLayer, inHardirq, room } from "../layer.ts";

const { nohz: NOHZ, jiffies: JIFFIES, irqwork_mode: MODE } = Globals.offset;
const { ticks: TICKS } = CpuSlot.offset;

let cpu: Cpu;
let other: Cpu;
const nothing = callbackOf(0, () => undefined);
beforeEach(() => {
  [cpu, other] = boot() as [Cpu, Cpu];
  cpu.mem.poke(cpu.globals, NOHZ, 1);
});
const setJiffies = (n: number): void => cpu.mem.poke(cpu.globals, JIFFIES, n);
const fires = (): boolean => tick_fires(cpu.mem, cpu.globals, cpu.slot);
/** Would CPU 0 stop its tick now? It does not sleep. */
function stops(): boolean {
  tick_nohz_idle_stop_tick(cpu);
  const stopped = tick_nohz_tick_stopped(cpu);
  tick_nohz_idle_restart_tick(cpu);
  return stopped;
}

describe("an idle CPU", () => {
  test("stops its tick if nobody needs it, and has it back when it is idle no more", () => {
    tick_nohz_idle_stop_tick(cpu);
    expect([tick_nohz_tick_stopped(cpu), tick_nohz_tick_stopped(other), fires()]).toEqual([true, false, false]);
    tick_nohz_idle_restart_tick(cpu);
    expect([tick_nohz_tick_stopped(cpu), fires()]).toEqual([false, true]);
  });
  test("ticks for the first timer", () => {
    timer_setup(cpu, room(cpu, 0), nothing);
    mod_timer(cpu, room(cpu, 0), 7);
    tick_nohz_idle_stop_tick(cpu);
    setJiffies(6);
    expect(fires()).toBe(false);
    setJiffies(7);
    expect(fires()).toBe(true);
  });
  test("ticks on if the first timer is due with the next tick", () => {
    timer_setup(cpu, room(cpu, 0), nothing);
    mod_timer(cpu, room(cpu, 0), 1);
    expect(stops()).toBe(false);
  });
  test("ticks on for lazy irq_work, in late mode for all irq_work", () => {
    init_irq_work(cpu, room(cpu, 0), nothing, IRQ_WORK_LAZY);
    irq_work_queue(cpu, room(cpu, 0));
    expect(stops()).toBe(false);
    run_interrupt(cpu, P_TICK);
    expect(stops()).toBe(true);
    cpu.mem.poke(cpu.globals, MODE, IRQWORK_LATE);
    init_irq_work(cpu, room(cpu, 1), nothing);
    irq_work_queue(cpu, room(cpu, 1));
    expect(stops()).toBe(false);
  });
  test("ticks on for softirqs and for RCU", () => {
    local_irq_disable(cpu);
    raise_softirq_irqoff(cpu, TIMER_SOFTIRQ);
    expect(stops()).toBe(false);
    do_softirq(cpu);
    expect(stops()).toBe(true);
    bind_callback(CB.rcu_needs_cpu, () => true);
    expect(stops()).toBe(false);
  });
  test("looks anew when an interrupt returns to it", () => {
    timer_setup(cpu, room(cpu, 0), nothing);
    tick_nohz_idle_stop_tick(cpu);
    inHardirq(cpu, () => void mod_timer(cpu, room(cpu, 0), 5));
    setJiffies(5);
    expect(fires()).toBe(true);
    inHardirq(cpu, () => raise_softirq_irqoff(cpu, TIMER_SOFTIRQ)); // Served on the way out: the timer is gone.
    setJiffies(6);
    expect(fires()).toBe(false);
  });
  test("is told of a timer that another CPU arms on it", () => {
    timer_setup(other, room(cpu, 0), nothing);
    add_timer_on(other, room(cpu, 0), 100, 0);
    expect(cpu.mem.pending()).not.toBe(0);
  });
});

test("ticks that were slept through count", () => {
  const before = cpu.mem.peek(cpu.slot, TICKS);
  const counted = (): number => ticks_until_now(cpu.mem, cpu.globals, cpu.slot) - before;
  timer_setup(cpu, room(cpu, 0), nothing);
  mod_timer(cpu, room(cpu, 0), 5);
  tick_nohz_idle_stop_tick(cpu);
  setJiffies(3);
  expect(counted()).toBe(3);
  setJiffies(5);
  run_interrupt(cpu, P_TICK); // The timer's. Once is enough: jiffies say how often.
  expect(counted()).toBe(5);
  setJiffies(9);
  expect(counted()).toBe(9);
  tick_nohz_idle_restart_tick(cpu);
  expect([counted(), cpu.mem.peek(cpu.slot, TICKS) - before]).toEqual([9, 9]);
});

test("without globals.nohz nobody stops a tick", () => {
  cpu.mem.poke(cpu.globals, NOHZ, 0);
  let stopped = false;
  bind_callback(CB.tick_nohz_idle_stop_tick, () => (stopped = true));
  cpu.mem.raise(cpu.pending, P_TICK); // Ends the sleep at once.
  schedule_until_woken(cpu);
  expect(stopped).toBe(false);
});

test("schedule_timeout() that returns early leaves no timer armed", () => {
  cpu.mem.raise(cpu.pending, P_TICK); // Ends the sleep at once.
  schedule_timeout(cpu, 100);
  expect(next_timer_expiry(cpu)).toBeUndefined();
});

describe("interleaved", () => {
  const RUNS = 1;
  const count = callbackOf(1, () => undefined);
  const runs = (c: Cpu): number => c.mem.load_word(room(c, RUNS));
  const SINCE = 3;
  /** From now on it has to run, within so many ticks. */
  const begin = (c: Cpu): void => c.mem.store_word(room(c, SINCE), jiffies(c) + 1);
  const ENOUGH = 10;
  /** CPU 0 goes idle; CPU 1 waits. */
  const sleeper: Omit<Scenario, "name"> = {
    globals: { nohz: 1 },
    setup: (c) => {
      callbackOf(1, (d) => d.mem.store_word(room(d, RUNS), runs(d) + 1));
      init_irq_work(c, room(c, 0), count, IRQ_WORK_LAZY);
      timer_setup(c, room(c, 2), count);
    },
    cpus: [
      [], // Falls asleep.
      [
        (c): void => {
          for (const until = jiffies(c) + 2 * ENOUGH; jiffies(c) < until;) schedule_timeout(c, until - jiffies(c));
        },
      ],
    ],
  };
  const nmiOnSleeper = (handler: (c: Cpu) => void): Pick<Scenario, "nmi" | "nmis"> => ({
    nmi: (c) => {
      if (c.id !== 0 || c.mem.load_word(room(c, SINCE)) !== 0) return;
      begin(c);
      handler(c);
    },
    nmis: 1,
  });
  const check = (c: Cpu): string | undefined => {
    const since = c.mem.load_word(room(c, SINCE));
    const hadTime = since !== 0 && jiffies(c) - since >= ENOUGH;
    return hadTime && runs(c) === 0 ? "it never ran, and its CPU sleeps without ticks" : undefined;
  };
  const queue = (c: Cpu): void => void irq_work_queue(c, room(c, 0));

  test.each([
    ["prompt", 0],
    ["late", IRQWORK_LATE],
  ])("lazy irq_work that an NMI queues while its CPU falls asleep is run (%s)", (_, irqwork_mode) => {
    const scenario = { name: "lazy", ...sleeper, ...nmiOnSleeper(queue), check };
    const globals = { ...sleeper.globals, irqwork_mode };
    expect(exploreLayer({ ...scenario, globals }, { bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("but not if nobody raises the interrupt", () => {
    const lost = nmiOnSleeper((c) => {
      queue(c);
      c.mem.take_pending(P_IRQ_WORK);
    });
    const { failure } = exploreLayer({ name: "lost", ...sleeper, ...lost, check }, { bound: 1 });
    expect(failure?.message).toContain("it never ran");
  });
  test("a timer that an interrupt arms there is called", () => {
    const armed: Scenario = {
      name: "armed",
      ...sleeper,
      ...nmiOnSleeper((c) => irq_work_queue(c, room(c, 0))),
      setup: (c) => {
        sleeper.setup?.(c);
        callbackOf(2, (d) => void mod_timer(d, room(d, 2), jiffies(d) + 4));
        init_irq_work(
          c,
          room(c, 0),
          callbackOf(2, (d) => void mod_timer(d, room(d, 2), jiffies(d) + 4)),
        );
      },
      check,
    };
    expect(exploreLayer(armed, { bound: 1 })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("so is one that another CPU arms there", () => {
    const [, [sleep]] = sleeper.cpus as [unknown, [(c: Cpu) => void]];
    const armed: Scenario = {
      name: "remote",
      ...sleeper,
      cpus: [
        [],
        [
          (c) => {
            begin(c);
            add_timer_on(c, room(c, 2), jiffies(c) + 4, 0);
          },
          sleep,
        ],
      ],
      check,
    };
    expect(exploreLayer(armed, { bound: 2 })).toMatchObject({ failure: undefined, exhausted: 2 });
  });
  test("schedule() comes back with the next tick, whatever", () => {
    const poll: Scenario = {
      name: "poll",
      ...sleeper,
      cpus: [
        [
          (c): void => {
            while (jiffies(c) < 3) schedule(c);
          },
        ],
      ],
    };
    expect(exploreLayer(poll, { bound: 1 }).failure).toBeUndefined();
  });
});
