/** What a CPU that goes offline hands over: its hrtimers, works and softirqs. */
import { beforeEach, describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";

import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { P_HRTIMER, P_KICK, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { hrtimer_setup, hrtimer_start, hrtimers_cpu_dying } from "../../../../src/shared/linux/kernel/hrtimer.ts";
import {
  local_softirq_pending,
  raise_softirq,
  takeover_softirqs,
  TIMER_SOFTIRQ,
} from "../../../../src/shared/linux/kernel/softirq.ts";
import { jiffies, schedule_timeout } from "../../../../src/shared/linux/kernel/timer.ts";
import {
  init_work,
  queue_work_on,
  run_work_items,
  workqueue_offline_cpu,
  workqueue_online_cpu,
} from "../../../../src/shared/linux/kernel/worker_pool.ts";
import { POOL_DISASSOCIATED, WorkerPool } from "../../../../src/shared/layout/workqueue.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { embedded } from "../../../../src/shared/mem/struct.ts";
import { bug } from "../../../../src/shared/cpu/bug.ts";
import { callbackId, get, set } from "../../../../src/main/explore/scenario.ts";
import { boot, callbackOf, exploreLayer, room } from "../layer.ts";

let cpu: Cpu;
let outgoing: Cpu;
let ran: string[];
const func = callbackOf(0, () => undefined);
beforeEach(() => {
  [cpu, outgoing] = boot() as [Cpu, Cpu];
  cpu.mem.poke(cpu.globals, Globals.offset.hotplug, 1);
  ran = [];
  callbackOf(0, (c, arg) => ran.push(`${c.id}:${(arg - c.map.pages) / 256}@${jiffies(c)}`));
});

test("hrtimers: the due ones come at once, the others at their time", () => {
  const flags = local_irq_save(outgoing);
  for (const [i, delay] of [0, 2].entries()) {
    hrtimer_setup(outgoing, room(cpu, i), func);
    hrtimer_start(outgoing, room(cpu, i), delay);
  }
  outgoing.mem.take_pending(P_HRTIMER);
  hrtimers_cpu_dying(outgoing, 0);
  local_irq_restore(outgoing, flags);
  expect(cpu.mem.take_pending(P_HRTIMER)).toBe(P_HRTIMER);
  run_interrupt(cpu, P_HRTIMER);
  expect(ran).toEqual(["0:0@0"]);
  cpu.mem.fetch_add(cpu.globals, Globals.offset.jiffies, 2);
  run_interrupt(cpu, P_TICK);
  expect(ran).toEqual(["0:0@0", "0:1@2"]);
  hrtimer_start(outgoing, room(cpu, 0), 1); // From a CPU that is back: it is on that CPU again.
  cpu.mem.fetch_add(cpu.globals, Globals.offset.jiffies, 1);
  run_interrupt(outgoing, P_TICK);
  expect(ran.at(-1)).toBe("1:0@3");
});

describe("works", () => {
  beforeEach(() => {
    for (const i of [0, 1]) init_work(cpu, room(cpu, i), func);
  });
  test("of a CPU that is offline are run by CPU 0, whenever they were queued", () => {
    queue_work_on(cpu, 1, room(cpu, 0));
    workqueue_offline_cpu(outgoing);
    cpu.mem.take_pending(P_KICK);
    queue_work_on(outgoing, 1, room(cpu, 1));
    expect(cpu.mem.take_pending(P_KICK)).toBe(P_KICK);
    expect(run_work_items(outgoing)).toBe(false);
    expect(run_work_items(cpu)).toBe(true);
    expect(ran).toEqual(["0:0@0", "0:1@0"]);
    expect(run_work_items(cpu)).toBe(false);
  });
  test("are its own again when it is back", () => {
    workqueue_offline_cpu(outgoing);
    queue_work_on(cpu, 1, room(cpu, 0));
    workqueue_online_cpu(outgoing);
    expect(run_work_items(cpu)).toBe(false);
    expect(run_work_items(outgoing)).toBe(true);
    expect(ran).toEqual(["1:0@0"]);
  });
  test("never run on two CPUs at once, whenever it comes back", () => {
    const run = exploreLayer(
      {
        name: "rebind",
        globals: { hotplug: 1 },
        setup: (c) => {
          for (const i of [0, 1]) init_work(c, room(c, i), callbackId(0));
          c.mem.write(embedded(c.map.section(1), PerCpu.offset.workers), WorkerPool.offset.flags, POOL_DISASSOCIATED);
        },
        cpus: [
          [(c) => void run_work_items(c)],
          [workqueue_online_cpu],
          [0, 1].map((i) => (c) => void queue_work_on(c, 1, room(c, i))),
        ],
        callbacks: [
          (c) => {
            if (get(c, 0) !== 0) bug(c, "two works of a pool at once");
            set(c, 0, 1);
            set(c, 1, get(c, 1) + 1);
            set(c, 0, 0);
          },
        ],
        final: (c) => {
          while (get(c, 1) < 2) schedule_timeout(c, 1);
        },
        check: (c) => (get(c, 1) === 2 ? undefined : `${get(c, 1)} works have run`),
      },
      { bound: 1 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
});

test("softirqs that were pending run on the CPU that takes over", () => {
  raise_softirq(outgoing, TIMER_SOFTIRQ);
  takeover_softirqs(cpu, outgoing.id);
  expect([local_softirq_pending(outgoing), local_softirq_pending(cpu)]).toEqual([0, 1 << TIMER_SOFTIRQ]);
});
