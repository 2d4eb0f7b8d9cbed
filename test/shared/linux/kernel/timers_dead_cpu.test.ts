import { beforeEach, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { TimerBase } from "../../../../src/shared/layout/timer.ts";
import { ListHead } from "../../../../src/shared/layout/types.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import {
  jiffies,
  mod_timer,
  next_timer_expiry,
  timer_delete,
  timer_setup,
} from "../../../../src/shared/linux/kernel/timer.ts";
import { timers_dead_cpu } from "../../../../src/shared/linux/kernel/timers_dead_cpu.ts";
import { embedded, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, callbackOf, exploreLayer, room } from "../layer.ts";

const { jiffies: JIFFIES } = Globals.offset;
const timer = (cpu: Cpu, i: number): Ptr<"timer_list"> => room(cpu, i);
const func = callbackOf(0, () => undefined);

let cpu: Cpu;
let dead: Cpu;
let ran: string[];
beforeEach(() => {
  [cpu, dead] = boot() as [Cpu, Cpu];
  ran = [];
  callbackOf(0, (c, arg) => ran.push(`${c.id}:${(arg - c.map.pages) / 256}@${jiffies(c)}`));
  for (const i of [0, 1, 2]) timer_setup(cpu, timer(cpu, i), func);
});

test("timers keep their times and their order, and run on the CPU that took them over", () => {
  mod_timer(dead, timer(cpu, 0), 3);
  mod_timer(cpu, timer(cpu, 1), 2);
  mod_timer(dead, timer(cpu, 2), 1);
  timers_dead_cpu(cpu, dead.id);
  expect([next_timer_expiry(dead), next_timer_expiry(cpu)]).toEqual([undefined, 1]);
  for (let i = 0; i < 4; i++) {
    cpu.mem.fetch_add(cpu.globals, JIFFIES, 1);
    run_interrupt(cpu, P_TICK);
  }
  expect(ran).toEqual(["0:2@1", "0:1@2", "0:0@3"]);
});
test("they are ordinary timers afterwards", () => {
  mod_timer(dead, timer(cpu, 0), 3);
  timers_dead_cpu(cpu, dead.id);
  expect(timer_delete(cpu, timer(cpu, 0))).toBe(true);
  expect(next_timer_expiry(cpu)).toBeUndefined();
});
test("a CPU does not die in the function of a timer", () => {
  cpu.mem.poke(embedded(dead.section, PerCpu.offset.timers), TimerBase.offset.running, timer(cpu, 0));
  expect(() => timers_dead_cpu(cpu, dead.id)).toThrow("died in the function");
});
test("against who changes or deletes one of them meanwhile", () => {
  const run = exploreLayer(
    {
      name: "timers of a dead CPU",
      setup: (c) => {
        for (const i of [0, 1]) timer_setup(c, timer(c, i), func);
        for (const i of [0, 1]) mod_timer(c, timer(c, i), 100 + i);
      },
      cpus: [
        [],
        [(c) => timers_dead_cpu(c, 0)],
        [(c) => void timer_delete(c, timer(c, 0)), (c) => void mod_timer(c, timer(c, 1), 50)],
      ],
      check: (c) => {
        const ids = [0, 1, 2].filter((id) => {
          const base = embedded(c.map.section(id), PerCpu.offset.timers);
          const timers = embedded(base, TimerBase.offset.timers);
          return c.mem.peek(timers, ListHead.offset.next) !== timers;
        });
        return ids.join() === "2" ? undefined : `timers are armed on CPUs ${ids.join()}`;
      },
    },
    { bound: 1 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
});
