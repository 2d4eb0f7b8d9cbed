import { beforeEach, describe, expect, test } from "vitest";
import { in_item, in_task, local_irq_save, preempt_disable } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { cond_resched, run_items } from "../../../../src/shared/cpu/sched.ts";
import { CpuPending, P_IRQ, P_KICK } from "../../../../src/shared/layout/cpu.ts";
import { DelayedWork, WorkStruct } from "../../../../src/shared/layout/workqueue.ts";
import {
  cancel_delayed_work_sync,
  cancel_work_sync,
  flush_delayed_work,
  flush_work,
  init_delayed_work,
  init_work,
  mod_delayed_work,
  queue_delayed_work,
  queue_delayed_work_on,
  queue_work,
  queue_work_on,
  work_pending,
} from "../../../../src/shared/linux/kernel/workqueue.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import { embedded, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, callbackOf, exploreLayer, inHardirq, inNmi, inSoftirq, room, tickAll } from "../layer.ts";

const { work: WORK } = DelayedWork.offset;

let cpus: readonly Cpu[];
let cpu: Cpu;
let other: Cpu;
let log: string[];
const func = callbackOf(0, () => undefined);
const work = (i: number): Ptr<"work_struct"> => room(cpu, i);
const dwork = (i: number): Ptr<"delayed_work"> => room(cpu, i);
beforeEach(() => {
  cpus = boot();
  [cpu, other] = cpus as [Cpu, Cpu];
  log = [];
  callbackOf(0, (c, arg) => {
    expect(in_task(c) && in_item(c)).toBe(true);
    log.push(`${c.id}:${(arg - cpu.map.pages) / 256}`);
  });
  for (const i of [0, 1, 2]) init_work(cpu, work(i), func);
  for (const i of [5, 6]) init_delayed_work(cpu, dwork(i), func);
});
const tick = (n = 1): void => tickAll(cpus, n);

describe("queue_work_on", () => {
  test("runs on the given CPU, in order, as an item; kicks it", () => {
    expect(queue_work_on(cpu, 1, work(0))).toBe(true);
    expect(queue_work_on(cpu, 1, work(1))).toBe(true);
    expect(queue_work(cpu, work(2))).toBe(true);
    expect(other.mem.pending() & P_KICK).toBe(P_KICK);
    expect(run_items(cpu)).toBe(true);
    expect(run_items(cpu)).toBe(false);
    expect(log).toEqual(["0:2"]);
    cond_resched(other);
    expect(log).toEqual(["0:2", "1:0", "1:1"]);
  });
  test("a pending work is not queued again, wherever", () => {
    queue_work(cpu, work(0));
    expect(work_pending(other, work(0))).toBe(true);
    expect(queue_work_on(other, 1, work(0))).toBe(false);
    run_items(other);
    expect(log).toEqual([]);
    run_items(cpu);
    expect(log).toEqual(["0:0"]);
    expect(work_pending(cpu, work(0))).toBe(false);
  });
  test("the function may queue its work again, or free it", () => {
    callbackOf(0, (c, arg: Ptr<"work_struct">) => {
      log.push("run");
      if (log.length === 1) expect(queue_work(c, arg)).toBe(true);
      else c.mem.fill(arg, WorkStruct.size, 0x6b);
    });
    queue_work(cpu, work(0));
    run_items(cpu);
    expect(log).toEqual(["run", "run"]);
    expect(cpu.mem.load_word(work(0))).toBe(0x6b6b6b6b);
  });
  test("while it runs it is queued where it runs", () => {
    callbackOf(0, (c, arg: Ptr<"work_struct">) => {
      log.push(String(c.id));
      if (log.length === 1) queue_work_on(other, 1, arg);
    });
    queue_work(cpu, work(0));
    run_items(cpu);
    run_items(other);
    expect(log).toEqual(["0", "0"]);
  });
  test("later runs may be elsewhere", () => {
    queue_work(cpu, work(0));
    run_items(cpu);
    queue_work_on(cpu, 1, work(0));
    run_items(other);
    expect(log).toEqual(["0:0", "1:0"]);
  });
  test("a work that queues itself for ever does not keep run_items() for itself", () => {
    let runs = 0;
    callbackOf(0, (c, arg: Ptr<"work_struct">) => {
      runs++;
      queue_work(c, arg);
    });
    queue_work(cpu, work(0));
    expect(run_items(cpu)).toBe(true);
    expect(runs).toBeGreaterThan(0);
    expect(work_pending(cpu, work(0))).toBe(true);
  });
  test("contexts", () => {
    inHardirq(cpu, () => queue_work(cpu, work(0)));
    inSoftirq(cpu, () => queue_work(cpu, work(1)));
    run_items(cpu);
    expect(log).toEqual(["0:0", "0:1"]);
    expect(() => inNmi(cpu, () => queue_work(cpu, work(0)))).toThrow("queue_work() in NMI");
  });
  test("an item that returns with a lock, or not as it came, is a bug", () => {
    spin_lock_init(cpu, room(cpu, 10), LC.test);
    callbackOf(0, (c) => spin_lock(c, room(c, 10)));
    queue_work(cpu, work(0));
    expect(() => run_items(cpu)).toThrow(/work item returns in atomic context: holds test/);
    for (const wrong of [preempt_disable, local_irq_save]) {
      const [fresh] = boot(1) as [Cpu];
      callbackOf(0, (c) => wrong(c));
      init_work(fresh, work(0), func);
      queue_work(fresh, work(0));
      expect(() => run_items(fresh)).toThrow("work item returns in");
    }
  });
});

describe("flush_work", () => {
  test("of an idle work returns false", () => {
    expect(flush_work(cpu, work(0))).toBe(false);
    queue_work(cpu, work(0));
    run_items(cpu);
    expect(flush_work(cpu, work(0))).toBe(false);
  });
  test("runs what is queued on this CPU up to it", () => {
    for (const i of [0, 1, 2]) queue_work(cpu, work(i));
    expect(flush_work(cpu, work(1))).toBe(true);
    expect(log.slice(0, 2)).toEqual(["0:0", "0:1"]);
  });
  test("does not wait for a later queueing", () => {
    let runs = 0;
    callbackOf(0, (c, arg: Ptr<"work_struct">) => {
      runs++;
      queue_work(c, arg); // For ever.
    });
    queue_work(cpu, work(0));
    expect(flush_work(cpu, work(0))).toBe(true);
    expect(runs).toBeGreaterThan(0);
  });
  test("from an item, an interrupt or with preemption off is a bug", () => {
    callbackOf(0, (c) => flush_work(c, work(1)));
    queue_work(cpu, work(0));
    expect(() => run_items(cpu)).toThrow(/flush_work\(\) in task > item/);
    const [fresh] = boot(1) as [Cpu];
    preempt_disable(fresh);
    expect(() => flush_work(fresh, work(1))).toThrow("flush_work() in");
  });
});

describe("cancel_work_sync", () => {
  test("unqueues", () => {
    queue_work(cpu, work(0));
    queue_work(cpu, work(1));
    expect(cancel_work_sync(other, work(0))).toBe(true);
    expect(cancel_work_sync(other, work(0))).toBe(false);
    run_items(cpu);
    expect(log).toEqual(["0:1"]);
    expect(queue_work(cpu, work(0))).toBe(true);
    run_items(cpu);
    expect(log).toEqual(["0:1", "0:0"]);
  });
});

describe("delayed work", () => {
  const id = (i: number): string => `${i}`;
  test("runs after its delay on the given CPU", () => {
    expect(queue_delayed_work_on(cpu, 1, dwork(5), 2)).toBe(true);
    expect(queue_delayed_work(cpu, dwork(5), 1)).toBe(false);
    tick();
    run_items(other);
    expect(log).toEqual([]);
    tick();
    run_items(other);
    expect(log).toEqual(["1:5"]);
  });
  test("no delay: queued at once", () => {
    queue_delayed_work(cpu, dwork(5), 0);
    run_items(cpu);
    expect(log).toEqual(["0:5"]);
  });
  test("mod_delayed_work changes the delay, and queues if need be", () => {
    expect(mod_delayed_work(cpu, dwork(5), 5)).toBe(false);
    expect(mod_delayed_work(cpu, dwork(5), 1)).toBe(true);
    tick();
    run_items(cpu);
    expect(log).toEqual([`0:${id(5)}`]);
    queue_delayed_work(cpu, dwork(5), 0); // On the worklist: taken off, armed again.
    expect(mod_delayed_work(cpu, dwork(5), 1)).toBe(true);
    run_items(cpu);
    expect(log).toHaveLength(1);
    tick();
    run_items(cpu);
    expect(log).toHaveLength(2);
  });
  test("flush_delayed_work runs it now", () => {
    queue_delayed_work(cpu, dwork(5), 100);
    expect(flush_delayed_work(cpu, dwork(5))).toBe(true);
    expect(log).toEqual(["0:5"]);
    expect(flush_delayed_work(cpu, dwork(5))).toBe(false);
  });
  test("cancel_delayed_work_sync: armed, queued, idle", () => {
    queue_delayed_work(cpu, dwork(5), 3);
    queue_delayed_work(cpu, dwork(6), 0);
    expect(cancel_delayed_work_sync(cpu, dwork(5))).toBe(true);
    expect(cancel_delayed_work_sync(other, dwork(6))).toBe(true);
    expect(cancel_delayed_work_sync(cpu, dwork(5))).toBe(false);
    tick(4);
    run_items(cpu);
    expect(log).toEqual([]);
    expect(work_pending(cpu, embedded(dwork(5), WORK))).toBe(false);
    expect(queue_delayed_work(cpu, dwork(5), 1)).toBe(true);
  });
  test("contexts", () => {
    inHardirq(cpu, () => mod_delayed_work(cpu, dwork(5), 1));
    expect(() => inNmi(cpu, () => mod_delayed_work(cpu, dwork(5), 1))).toThrow("in NMI");
    [cpu] = boot(1) as [Cpu];
    expect(() => inNmi(cpu, () => queue_delayed_work(cpu, dwork(5), 1))).toThrow("in NMI");
    [cpu] = boot(1) as [Cpu];
    expect(() => inHardirq(cpu, () => cancel_delayed_work_sync(cpu, dwork(5)))).toThrow("cancel_work_sync() in");
  });
});

describe("interleaved", () => {
  const RUNNING = 10;
  const RUNS = 11;
  const SEEN = 12;
  const POSTED = 13;
  const body = callbackOf(1, () => undefined);
  const bindBody = (): void => {
    callbackOf(1, (c) => {
      const { mem } = c;
      if (mem.load_word(room(c, RUNNING)) !== 0) mem.store_word(room(c, 20), 1);
      mem.store_word(room(c, RUNNING), 1);
      mem.store_word(room(c, SEEN), mem.load_word(room(c, POSTED)));
      mem.store_word(room(c, RUNS), mem.load_word(room(c, RUNS)) + 1);
      mem.store_word(room(c, RUNNING), 0);
    });
  };
  const wrong = (c: Cpu): string | undefined => {
    const what = c.mem.load_word(room(c, 20));
    return what === 0 ? undefined : ["", "ran on two CPUs at once", "flush returned early", "ran after cancel"][what];
  };
  test("one work queued by two CPUs for two CPUs never runs twice at once; what was posted before is seen", () => {
    const post =
      (target: number) =>
      (c: Cpu): boolean => {
        c.mem.store_word(room(c, POSTED), 1);
        return queue_work_on(c, target, room(c, 0));
      };
    const flushed = (c: Cpu): void => {
      if (!post(1)(c)) return; // Perhaps CPU 1 is about to queue it: no queueing that came before.
      flush_work(c, room(c, 0));
      if (c.mem.load_word(room(c, SEEN)) !== 1) c.mem.store_word(room(c, 20), 2);
    };
    const { failure } = exploreLayer(
      {
        name: "queue, queue, flush",
        setup: (c) => {
          bindBody();
          init_work(c, room(c, 0), body);
        },
        cpus: [[flushed], [(c): void => void post(0)(c)], []],
        final: (c) => void flush_work(c, room(c, 0)),
        check: wrong,
      },
      { bound: 1, exhaustive: 4000 },
    );
    expect(failure).toBeUndefined();
  });
  test("after cancel_delayed_work_sync() it does not run, whatever the timer was doing", () => {
    const { failure } = exploreLayer(
      {
        name: "cancel",
        setup: (c) => {
          bindBody();
          init_delayed_work(c, room(c, 0), body);
          queue_delayed_work(c, room(c, 0), 1);
        },
        cpus: [
          [cond_resched, cond_resched],
          [
            (c): void => {
              cancel_delayed_work_sync(c, room(c, 0));
              const { mem } = c;
              const runs = mem.load_word(room(c, RUNS));
              if (mem.load_word(room(c, RUNNING)) !== 0) mem.store_word(room(c, 20), 3);
              mem.store_word(room(c, 14), runs + 1);
            },
          ],
        ],
        ticks: 2,
        final: (c) => void flush_work(c, room(c, 0)),
        check: (c) =>
          wrong(c) ?? (c.mem.load_word(room(c, RUNS)) + 1 === c.mem.load_word(room(c, 14)) ? undefined : "ran later"),
      },
      { bound: 1, exhaustive: 4000 },
    );
    expect(failure).toBeUndefined();
  });
  test("an interrupt that finds a cancellation in progress does not queue, and does not wait for it", () => {
    const { failure } = exploreLayer({
      name: "cancel, modify in an interrupt",
      setup: (c) => {
        bindBody();
        init_delayed_work(c, room(c, 0), body);
        queue_delayed_work_on(c, 1, room(c, 0), 0);
        c.mem.poke(c.pending, CpuPending.offset.bits, P_IRQ);
      },
      cpus: [[(c) => void cancel_delayed_work_sync(c, room(c, 0))], [cond_resched]],
      irq: (c) => void mod_delayed_work(c, room(c, 0), 1),
      final: (c) => void cancel_delayed_work_sync(c, room(c, 0)),
      check: wrong,
    });
    expect(failure).toBeUndefined();
  });
  test("two cancellations and a modification from an interrupt meet", () => {
    const cancel = (c: Cpu): void => void cancel_delayed_work_sync(c, room(c, 0));
    const { failure } = exploreLayer({
      name: "cancel, cancel, modify",
      setup: (c) => {
        bindBody();
        init_delayed_work(c, room(c, 0), body);
        queue_delayed_work(c, room(c, 0), 1);
      },
      cpus: [[cancel, (c) => void mod_delayed_work(c, room(c, 0), 0)], [cancel], [cond_resched]],
      ticks: 2,
      final: (c) => {
        cancel(c);
        if (work_pending(c, room(c, 0))) c.mem.store_word(room(c, 20), 3);
      },
      check: wrong,
    });
    expect(failure).toBeUndefined();
  });
});
