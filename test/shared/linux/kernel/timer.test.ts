import { beforeEach, describe, expect, test } from "vitest";
import type { Scenario } from "../../../../src/main/explore/scenario.ts";
import { in_serving_softirq, irqs_disabled, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { TIMER_IRQSAFE, TimerList } from "../../../../src/shared/layout/timer.ts";
import {
  add_timer_on,
  jiffies,
  mod_timer,
  next_timer_expiry,
  time_after_eq,
  timer_delete,
  timer_delete_sync,
  timer_pending,
  timer_setup,
} from "../../../../src/shared/linux/kernel/timer.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, callbackOf, exploreLayer, inHardirq, inNmi, inSoftirq, room, tickAll } from "../layer.ts";

const { jiffies: JIFFIES } = Globals.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
let other: Cpu;
let log: string[];
const func = callbackOf(0, () => undefined);
const timer = (i: number): Ptr<"timer_list"> => room(cpu, i);
beforeEach(() => {
  cpus = boot();
  [cpu, other] = cpus as [Cpu, Cpu];
  log = [];
  callbackOf(0, (c, arg) => {
    expect(in_serving_softirq(c)).toBe(true);
    log.push(`${c.id}:${(arg - cpu.map.pages) / 256}@${jiffies(c)}`);
  });
  for (const i of [0, 1, 2, 3]) timer_setup(cpu, timer(i), func);
});
const tick = (n = 1): void => tickAll(cpus, n);

test("runs in softirq at its time, not before, once", () => {
  expect(mod_timer(cpu, timer(0), 3)).toBe(false);
  expect(timer_pending(cpu, timer(0))).toBe(true);
  tick(2);
  expect(log).toEqual([]);
  tick(3);
  expect(log).toEqual(["0:0@3"]);
  expect(timer_pending(cpu, timer(0))).toBe(false);
});
test("a time in the past means the next tick", () => {
  tick(5);
  mod_timer(cpu, timer(0), 2);
  tick();
  expect(log).toEqual(["0:0@6"]);
});
test("in order of time, then of arming; per CPU", () => {
  mod_timer(cpu, timer(0), 2);
  mod_timer(cpu, timer(1), 1);
  mod_timer(cpu, timer(2), 2);
  mod_timer(other, timer(3), 1);
  tick(2);
  expect(log).toEqual(["0:1@1", "1:3@1", "0:0@2", "0:2@2"]);
});
test("jiffies wrap", () => {
  expect(time_after_eq(0x80000000 | 0, 0x7fffffff)).toBe(true);
  cpu.mem.write_once(cpu.globals, JIFFIES, 0x7ffffffe);
  mod_timer(cpu, timer(1), 0x7ffffffe + 4);
  mod_timer(cpu, timer(0), 0x7ffffffe + 2);
  tick();
  expect(log).toEqual([]);
  tick(3);
  expect(log.map((l) => l.slice(0, 3))).toEqual(["0:0", "0:1"]);
});
test("mod_timer moves it in time and to another CPU", () => {
  mod_timer(cpu, timer(0), 2);
  expect(mod_timer(other, timer(0), 4)).toBe(true);
  expect(next_timer_expiry(cpu)).toBeUndefined();
  expect(next_timer_expiry(other)).toBe(4);
  tick(4);
  expect(log).toEqual(["1:0@4"]);
});
test("add_timer_on", () => {
  add_timer_on(cpu, timer(0), 1, 1);
  expect(() => add_timer_on(cpu, timer(0), 1, 1)).toThrow("was armed");
  [cpu, other] = (cpus = boot()) as [Cpu, Cpu];
  timer_setup(cpu, timer(0), func);
  add_timer_on(cpu, timer(0), 1, 1);
  tick();
  expect(log).toEqual(["1:0@1"]);
});
test("timer_delete", () => {
  mod_timer(cpu, timer(0), 1);
  expect(timer_delete(other, timer(0))).toBe(true);
  expect(timer_delete(cpu, timer(0))).toBe(false);
  tick(2);
  expect(log).toEqual([]);
  expect(timer_delete_sync(cpu, timer(0))).toBe(false);
});
test("the function may arm its timer anew, or free it", () => {
  callbackOf(0, (c, arg: Ptr<"timer_list">) => {
    log.push(String(jiffies(c)));
    if (arg === timer(0) && log.length < 3) mod_timer(c, arg, jiffies(c) + 2);
    else c.mem.fill(arg, TimerList.size, 0x6b);
  });
  mod_timer(cpu, timer(0), 1);
  tick(6);
  expect(log).toEqual(["1", "3", "5"]);
  expect(cpu.mem.load_word(timer(0))).toBe(0x6b6b6b6b);
});
test("a function that another CPU arms anew while it runs stays on its CPU", () => {
  callbackOf(0, (c, arg: Ptr<"timer_list">) => {
    log.push(`${c.id}@${jiffies(c)}`);
    if (log.length === 1) mod_timer(other, arg, 3);
  });
  mod_timer(cpu, timer(0), 1);
  tick(3);
  expect(log).toEqual(["0@1", "0@3"]);
});
test("TIMER_IRQSAFE: the function runs with IRQs off", () => {
  callbackOf(0, (c) => log.push(String(irqs_disabled(c))));
  mod_timer(cpu, timer(0), 1);
  timer_setup(cpu, timer(1), func, TIMER_IRQSAFE);
  mod_timer(cpu, timer(1), 1);
  tick();
  expect(log).toEqual(["false", "true"]);
  expect(irqs_disabled(cpu)).toBe(false);
});

describe("contexts", () => {
  test("mod_timer and timer_delete are legal in hardirq, not in NMI", () => {
    inHardirq(cpu, () => mod_timer(cpu, timer(0), 1));
    inHardirq(cpu, () => expect(timer_delete(cpu, timer(0))).toBe(true));
    expect(() => inNmi(cpu, () => mod_timer(cpu, timer(0), 1))).toThrow("in NMI");
    const [again] = boot(1) as [Cpu];
    expect(() => inNmi(again, () => timer_delete(again, timer(0)))).toThrow("in NMI");
  });
  test("timer_delete_sync needs IRQs on, and not the timer's own function", () => {
    inSoftirq(cpu, () => timer_delete_sync(cpu, timer(0)));
    expect(() => inHardirq(cpu, () => timer_delete_sync(cpu, timer(0)))).toThrow("timer_delete_sync() in");
    [cpu, other] = (cpus = boot()) as [Cpu, Cpu];
    timer_setup(cpu, timer(0), func);
    callbackOf(0, timer_delete_sync);
    mod_timer(cpu, timer(0), 1);
    expect(() => tick()).toThrow("waits for the function it is called from");
    [cpu] = boot(1) as [Cpu];
    local_irq_save(cpu);
    expect(() => timer_delete_sync(cpu, timer(0))).toThrow("timer_delete_sync() in");
  });
});

describe("interleaved", () => {
  test("after timer_delete_sync() the function does not run, and the timer may be freed", () => {
    const { failure } = exploreLayer(
      {
        name: "delete, free",
        setup: (c) => {
          callbackOf(0, (d, arg) => {
            if (d.mem.load_word(room(d, 1)) !== 0) d.mem.store_word(room(d, 2), 1);
            d.mem.store_word(arg + 100, d.mem.load_word(arg + 100) + 1);
          });
          timer_setup(c, room(c, 0), func);
          mod_timer(c, room(c, 0), 1);
        },
        cpus: [
          [(c): void => void mod_timer(c, room(c, 3), 1000)],
          [
            (c): void => {
              timer_delete_sync(c, room(c, 0));
              c.mem.store_word(room(c, 1), 1);
              c.mem.fill(room(c, 0), 128, 0x6b);
            },
          ],
        ],
        ticks: 2,
        check: (c) => {
          if (c.mem.load_word(room(c, 2)) !== 0) return "ran after timer_delete_sync()";
          return c.mem.load_word(room(c, 0) + 100) === 0x6b6b6b6b ? undefined : "touched after it was freed";
        },
      },
      { bound: 1, exhaustive: 4000 },
    );
    expect(failure).toBeUndefined();
  });
  test.each(["sc", "tso"] as const)("timer_delete_sync() that sleeps is woken (%s)", (model) => {
    const scenario: Scenario = {
      name: "delete",
      setup: (c) => {
        timer_setup(
          c,
          room(c, 0),
          callbackOf(0, () => undefined),
        );
        mod_timer(c, room(c, 0), 1);
      },
      cpus: [[(c): void => void jiffies(c)], [(c): void => void timer_delete_sync(c, room(c, 0))]],
      ticks: 1,
    };
    expect(exploreLayer(scenario, { bound: 1 }, { model })).toMatchObject({ failure: undefined, exhausted: 1 });
  });
  test("two CPUs arm the same timer while it expires: it is on one list, and runs at the last time at the latest", () => {
    const arm =
      (delay: number) =>
      (c: Cpu): void =>
        void mod_timer(c, room(c, 0), jiffies(c) + delay);
    const { failure } = exploreLayer(
      {
        name: "migration",
        setup: (c) => {
          callbackOf(0, (d) => d.mem.store_word(room(d, 2), d.mem.load_word(room(d, 2)) + 1));
          timer_setup(c, room(c, 0), func);
          mod_timer(c, room(c, 0), 1);
        },
        cpus: [[arm(1), arm(2)], [arm(1)]],
        ticks: 2,
        final: (c) => {
          timer_delete_sync(c, room(c, 0));
        },
        check: (c) => {
          if (c.mem.load_word(room(c, 2)) > 4) return "ran more often than it was armed";
          return next_timer_expiry(c) === undefined ? undefined : "still armed";
        },
      },
      { bound: 1, exhaustive: 4000 },
    );
    expect(failure).toBeUndefined();
  });
});
