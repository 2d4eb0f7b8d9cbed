import { beforeEach, describe, expect, test } from "vitest";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import {
  in_hardirq,
  local_irq_disable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
} from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { run_interrupt } from "../../../../src/shared/cpu/interrupt.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { CpuCounters, P_IRQ_WORK, P_IRQ_WORK_LATE, P_TICK } from "../../../../src/shared/layout/cpu.ts";
import { Globals, IRQWORK_LATE, KB_RCUWAIT_SHARED } from "../../../../src/shared/layout/globals.ts";
import { IRQ_WORK_BUSY, IRQ_WORK_CLAIMED, IRQ_WORK_LAZY, IrqWork } from "../../../../src/shared/layout/irq_work.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import {
  init_irq_work,
  irq_work_is_busy,
  irq_work_is_pending,
  irq_work_needs_cpu,
  irq_work_queue,
  irq_work_queue_on,
  irq_work_run,
  irq_work_sync,
} from "../../../../src/shared/linux/kernel/irq_work.ts";
import { llist_add, llist_del_all, llist_empty } from "../../../../src/shared/linux/lib/llist.ts";
import { spin_lock, spin_lock_init } from "../../../../src/shared/linux/sync/spinlock.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { element, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, callbackOf, exploreLayer, inHardirq, inNmi, room } from "../layer.ts";

const { flags: FLAGS } = IrqWork.offset;
const { irqwork_mode: MODE } = Globals.offset;

let cpu: Cpu;
let other: Cpu;
let work: Ptr<"irq_work">;
let second: Ptr<"irq_work">;
let log: string[];
const func = callbackOf(0, (c, arg) => {
  log.push(`${c.id}:${arg === work ? "work" : "second"}:${in_hardirq(c)}`);
});
beforeEach(() => {
  [cpu, other] = boot() as [Cpu, Cpu];
  work = room(cpu, 0);
  second = room(cpu, 1);
  log = [];
  callbackOf(0, (c, arg) => {
    log.push(`${c.id}:${arg === work ? "work" : "second"}:${in_hardirq(c)}`);
  });
  init_irq_work(cpu, work, func);
  init_irq_work(cpu, second, func);
});
const pendingOf = (c: Cpu): number => c.mem.pending();

describe("irq_work_queue", () => {
  test("claims, raises the self-IPI, and the function runs in hardirq", () => {
    const flags = local_irq_save(cpu);
    expect(irq_work_queue(cpu, work)).toBe(true);
    expect(cpu.mem.read_once(work, FLAGS) & IRQ_WORK_CLAIMED).toBe(IRQ_WORK_CLAIMED);
    expect(pendingOf(cpu) & P_IRQ_WORK).toBe(P_IRQ_WORK);
    expect(log).toEqual([]);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["0:work:true"]);
    expect(irq_work_is_pending(cpu, work) || irq_work_is_busy(cpu, work)).toBe(false);
  });
  test("a pending work is not queued again", () => {
    const flags = local_irq_save(cpu);
    expect(irq_work_queue(cpu, work)).toBe(true);
    expect(irq_work_queue(cpu, work)).toBe(false);
    local_irq_restore(cpu, flags);
    expect(log).toHaveLength(1);
  });
  test("only who makes the list non-empty raises", () => {
    const flags = local_irq_save(cpu);
    irq_work_queue(cpu, work);
    cpu.mem.take_pending(P_IRQ_WORK);
    irq_work_queue(cpu, second);
    expect(pendingOf(cpu)).toBe(0);
    irq_work_run(cpu);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["0:second:false", "0:work:false"]); // Newest first.
  });
  test("in NMI: runs once the NMI is over", () => {
    inNmi(cpu, () => {
      irq_work_queue(cpu, work);
      cpu.mem.poll(0);
      expect(log).toEqual([]);
    });
    cpu.mem.poll(0);
    expect(log).toEqual(["0:work:true"]);
  });
  test("in its own function: runs again, and stays busy in between", () => {
    let runs = 0;
    callbackOf(0, (c, arg: Ptr<"irq_work">) => {
      expect(c.mem.read_once(arg, FLAGS) & IRQ_WORK_CLAIMED).toBe(IRQ_WORK_BUSY);
      if (++runs === 1) expect(irq_work_queue(c, arg)).toBe(true);
    });
    irq_work_queue(cpu, work);
    cpu.mem.poll(0);
    expect(runs).toBe(2);
    expect(irq_work_is_busy(cpu, work)).toBe(false);
  });
  test("the next work is read before one runs: it may queue itself on", () => {
    callbackOf(0, (c, arg: Ptr<"irq_work">) => {
      log.push(arg === work ? "work" : "second");
      if (log.length === 1) irq_work_queue_on(c, arg, 1); // Its link now belongs to another list.
    });
    const flags = local_irq_save(cpu);
    irq_work_queue(cpu, work);
    irq_work_queue(cpu, second);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["second", "work"]);
  });
  test("a work that was freed by its owner while others ran is not touched", () => {
    const flags = local_irq_save(cpu);
    irq_work_queue(cpu, second);
    irq_work_queue(cpu, work);
    callbackOf(0, (c, arg) => {
      log.push(arg === work ? "work" : "second");
      if (arg === second) c.mem.fill(work, IrqWork.size, 0x6b); // Idle since it has run.
    });
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["work", "second"]);
    expect(cpu.mem.load_word(work + FLAGS)).toBe(0x6b6b6b6b);
  });
});

describe("irq_work_queue_on", () => {
  test("runs on the other CPU", () => {
    expect(irq_work_queue_on(cpu, work, 1)).toBe(true);
    expect(irq_work_queue_on(other, work, 0)).toBe(false);
    expect(pendingOf(other) & P_IRQ_WORK).toBe(P_IRQ_WORK);
    other.mem.poll(0);
    expect(log).toEqual(["1:work:true"]);
  });
  test("its own CPU, also in NMI", () => {
    inNmi(cpu, () => expect(irq_work_queue_on(cpu, work, 0)).toBe(true));
    cpu.mem.poll(0);
    expect(log).toEqual(["0:work:true"]);
  });
  test("another CPU in NMI, or one that is offline, draws a warning and goes on", () => {
    expect(() => inNmi(cpu, () => irq_work_queue_on(cpu, work, 1))).toThrow("WARNING: irq_work_queue_on()");
    [cpu, other] = boot() as [Cpu, Cpu];
    cpu.mem.poke(cpu.globals, Globals.offset.panic_on_warn, 0);
    init_irq_work(cpu, work, func);
    cpu.mem.fetch_and(cpu.globals, Globals.offset.online, ~2);
    expect(irq_work_queue_on(cpu, work, 1)).toBe(true);
    expect(cpu.mem.peek(cpu.counters, CpuCounters.offset.warnings)).toBe(1);
    other.mem.poll(0);
    expect(log).toEqual(["1:work:true"]);
  });
  test("late mode: the bit says late, and the target counts the delay", () => {
    cpu.mem.poke(cpu.globals, MODE, IRQWORK_LATE);
    irq_work_queue_on(cpu, work, 1);
    expect(pendingOf(other)).toBe(P_IRQ_WORK_LATE);
    for (let i = 0; i < 5000 && log.length === 0; i++) other.mem.poll(0);
    expect(log).toEqual(["1:work:true"]);
    expect(pendingOf(other)).toBe(0);
  });
});

describe("late mode", () => {
  beforeEach(() => cpu.mem.poke(cpu.globals, MODE, IRQWORK_LATE));
  test("a tick runs what the IPI has not", () => {
    const flags = local_irq_save(cpu);
    irq_work_queue(cpu, work);
    expect(irq_work_needs_cpu(cpu)).toBe(true);
    run_interrupt(cpu, P_TICK);
    expect(log).toEqual(["0:work:true"]);
    expect(irq_work_needs_cpu(cpu)).toBe(false);
    local_irq_restore(cpu, flags);
  });
  test("masked: it becomes deliverable and waits for IRQs", () => {
    const flags = local_irq_save(cpu);
    irq_work_queue(cpu, work);
    for (let i = 0; i < 5000; i++) cpu.mem.poll(0);
    expect(log).toEqual([]);
    local_irq_restore(cpu, flags);
    expect(log).toEqual(["0:work:true"]);
  });
});

describe("IRQ_WORK_LAZY", () => {
  beforeEach(() => init_irq_work(cpu, work, func, IRQ_WORK_LAZY));
  test("raises nothing; the tick runs it", () => {
    irq_work_queue(cpu, work);
    expect(pendingOf(cpu)).toBe(0);
    expect(irq_work_needs_cpu(cpu)).toBe(true);
    run_interrupt(cpu, P_TICK);
    expect(log).toEqual(["0:work:true"]);
    expect(cpu.mem.read_once(work, FLAGS) & (IRQ_WORK_LAZY | IRQ_WORK_CLAIMED)).toBe(IRQ_WORK_LAZY);
  });
  test("an IPI that came for another runs it too", () => {
    irq_work_queue(cpu, work);
    irq_work_queue(cpu, second);
    cpu.mem.poll(0);
    expect(log).toEqual(["0:second:true", "0:work:true"]);
  });
});

test("the tick leaves the raised list to the IPI in prompt mode", () => {
  const flags = local_irq_save(cpu);
  irq_work_queue(cpu, work);
  expect(irq_work_needs_cpu(cpu)).toBe(false);
  cpu.mem.take_pending(P_IRQ_WORK);
  run_interrupt(cpu, P_TICK);
  expect(log).toEqual([]);
  local_irq_disable(cpu);
  irq_work_run(cpu);
  local_irq_restore(cpu, flags);
  expect(log).toHaveLength(1);
});
test("irq_work_run with IRQs on is a bug", () => {
  irq_work_queue_on(other, work, 0);
  expect(() => irq_work_run(cpu)).toThrow("IRQs on");
});
test("a function that returns with a lock or a changed preempt_count is a bug", () => {
  spin_lock_init(cpu, room(cpu, 2), LC.test);
  callbackOf(0, (c) => spin_lock(c, room(c, 2)));
  irq_work_queue(cpu, work);
  expect(() => cpu.mem.poll(0)).toThrow(/irq_work function returns: holds test/);
  [cpu] = boot() as [Cpu];
  callbackOf(0, preempt_disable);
  init_irq_work(cpu, work, func);
  irq_work_queue(cpu, work);
  expect(() => cpu.mem.poll(0)).toThrow("changed preempt_count");
});
test("the windows are named points", () => {
  irq_work_queue(cpu, work);
  cpu.mem.poll(0);
  for (const p of [POINT.irq_work_claimed, POINT.irq_work_pending_cleared, POINT.irq_work_func_done]) {
    expect(cpu.mem.peek(cpu.counters, element(CpuCounters.offset.points_visited, p))).toBe(1);
  }
});

describe("irq_work_sync", () => {
  test("of an idle work returns at once; where it sleeps, a grace period follows", () => {
    let synchronized = 0;
    bind_callback(CB.synchronize_rcu, () => synchronized++);
    irq_work_sync(cpu, work);
    expect(synchronized).toBe(0);
    cpu.mem.poke(cpu.globals, MODE, IRQWORK_LATE);
    irq_work_sync(cpu, work);
    expect(synchronized).toBe(1);
  });
  test.each([
    ["IRQs off", (fn: () => void): void => (local_irq_save(cpu), fn())],
    ["preemption off", (fn: () => void): void => (preempt_disable(cpu), fn())],
    ["hardirq", (fn: () => void): void => inHardirq(cpu, fn)],
    ["NMI", (fn: () => void): void => inNmi(cpu, fn)],
  ])("in %s is a bug", (_, run) => {
    expect(() => run(() => irq_work_sync(cpu, work))).toThrow("sleeps in atomic context");
  });
});

describe("interleaved", () => {
  const HEAD = 8;
  const DONE = 9;
  const drain = callbackOf(1, () => undefined);
  const setup = (c: Cpu): void => {
    callbackOf(1, (d) => {
      for (let n = llist_del_all(d, room(d, HEAD)); n !== 0; n = d.mem.load_word(n) as Ptr<"llist_node">) {
        const done = room(d, DONE) + 4 * d.id; // The function may run on both CPUs at once.
        d.mem.store_word(done, d.mem.load_word(done) + 1);
      }
    });
    init_irq_work(c, room(c, 0), drain);
  };
  const publish =
    (i: number) =>
    (c: Cpu): void => {
      llist_add(c, room(c, 10 + i), room(c, HEAD));
      irq_work_queue(c, room(c, 0));
    };
  const sync = (c: Cpu): void => {
    publish(c.id)(c);
    irq_work_sync(c, room(c, 0));
    if (!llist_empty(c, room(c, HEAD))) c.mem.store_word(room(c, 20), 1);
  };

  // Both CPUs publish, so a node that is still on the list may be the other's: only a lone publisher may judge.
  test.each([
    ["prompt", 0],
    ["late", IRQWORK_LATE],
  ])("what was published before irq_work_sync() has been handled (%s)", (_, mode) => {
    const { failure } = exploreLayer(
      {
        name: "publish, sync",
        setup,
        globals: { irqwork_mode: mode },
        cpus: [[sync], [(c) => irq_work_sync(c, room(c, 0))]],
        nmi: (c) => irq_work_queue(c, room(c, 0)),
        nmis: 1,
        check: (c) => (c.mem.load_word(room(c, 20)) === 0 ? undefined : "not handled"),
      },
      { bound: 1, exhaustive: 3000 },
    );
    expect(failure).toBeUndefined();
  });
  test("nothing is left on the list with no work pending", () => {
    const { failure } = exploreLayer(
      {
        name: "publish on two CPUs",
        setup,
        cpus: [[publish(0)], [publish(1)]],
        final: (c) => irq_work_sync(c, room(c, 0)),
        check: (c) => {
          const done = room(c, DONE);
          return c.mem.load_word(done) + c.mem.load_word(done + 4) === 2 ? undefined : "a node was left behind";
        },
      },
      { bound: 2, exhaustive: 4000 },
    );
    expect(failure).toBeUndefined();
  });
  const twoSyncs = (kernel_behaviour: number): ReturnType<typeof exploreLayer> =>
    exploreLayer(
      {
        name: "two sleepers",
        setup,
        globals: { irqwork_mode: IRQWORK_LATE, kernel_behaviour },
        cpus: [[publish(0)], [(c) => irq_work_sync(c, room(c, 0))], [(c) => irq_work_sync(c, room(c, 0))]],
      },
      { bound: 1, exhaustive: 3000 },
    );
  test("E16: two sleeping irq_work_sync() both wake up", () => {
    expect(twoSyncs(0).failure).toBeUndefined();
  });
  test("E16: as the kernel does it, one may sleep for ever", () => {
    expect(twoSyncs(KB_RCUWAIT_SHARED).failure?.message).toContain("deadlock");
  });
  test("once irq_work_sync() has returned the work may be freed: prompt mode touches it no more", () => {
    const { failure } = exploreLayer(
      {
        name: "free after sync",
        setup,
        cpus: [
          [
            (c): void => {
              publish(0)(c);
              c.mem.store_word(room(c, 21), 1);
            },
          ],
          [
            (c): void => {
              while (c.mem.load_word(room(c, 21)) === 0) c.mem.relax();
              irq_work_sync(c, room(c, 0));
              c.mem.fill(room(c, 0), IrqWork.size, 0x6b);
            },
          ],
        ],
        check: (c) => (c.mem.load_word(room(c, 0) + FLAGS) === 0x6b6b6b6b ? undefined : "touched after it was freed"),
      },
      { bound: 2, exhaustive: 4000 },
    );
    expect(failure).toBeUndefined();
  });
});
