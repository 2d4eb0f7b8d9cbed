/**
 * Grace periods and the heap's readers, under the explorer: an updater unlinks an object, waits for a grace period and
 * overwrites it, while another thread reads. CPU 2 stands for the readers: it is in a kernel reader all the time, so only
 * report_readers() can report for it.
 */
import { describe, expect, test } from "vitest";
import { Explorer, get, KERNEL, race, set, type Scenario } from "../../../src/main/kit/index.ts";
import { HeapGlobals, HeapSlot } from "../../../src/main/heap/layout.ts";
import {
  is_holdout,
  reader_enter,
  reader_leave,
  type ReaderMap,
  report_readers,
} from "../../../src/main/heap/readers.ts";
import { settle } from "../../../src/main/heap/settle.ts";
import { bug } from "../../../src/shared/cpu/bug.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import { ct_idle_enter, ct_idle_exit } from "../../../src/shared/cpu/context_tracking.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { kick, park, wait_event, wake_up } from "../../../src/shared/cpu/sched.ts";
import { CB } from "../../../src/shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../src/shared/layout/globals.ts";
import { RcuNode } from "../../../src/shared/layout/rcu.ts";
import { WaitQueue } from "../../../src/shared/layout/types.ts";
import { kzalloc } from "../../../src/shared/linux/api.ts";
import { run_leftover_softirqs } from "../../../src/shared/linux/kernel/softirq.ts";
import { per_rcu_data, rcu_mynode } from "../../../src/shared/linux/rcu/rcu_node.ts";
import { rcu_seq_state } from "../../../src/shared/linux/rcu/rcu_seq.ts";
import { rcu_core } from "../../../src/shared/linux/rcu/tree.ts";
import { rcu_gp_step } from "../../../src/shared/linux/rcu/tree_gp.ts";
import { poll_state_synchronize_rcu, start_poll_synchronize_rcu } from "../../../src/shared/linux/rcu/poll.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../src/shared/linux/rcu/update.ts";
import { atomic32, element, embedded, NULL, type Ptr, struct } from "../../../src/shared/mem/struct.ts";

/** Scenario words. */
const HEAP = 0;
const ROOT = 1;
const COOKIE = 2;
const DONE = 3;
const QUEUE = 4;

const { snap_seq: SNAP_SEQ } = HeapGlobals.offset;
const { gp_seq: GP_SEQ } = RcuNode.offset;
const READERS_CPU = 2;
const GOOD = 7;
const BAD = 9;

const queue = (cpu: Cpu): Ptr<"wait_queue"> =>
  (cpu.globals + element(Globals.offset.scenario, QUEUE)) as Ptr<"wait_queue">;
const mapOf = (cpu: Cpu): ReaderMap => {
  const globals = cpu.mem.peek(cpu.globals, element(Globals.offset.scenario, HEAP)) as Ptr<"heap_globals">;
  const slot = (i: number): Ptr<"heap_slot"> => (globals + HeapGlobals.size + i * HeapSlot.size) as Ptr<"heap_slot">;
  return { globals, slots: 2, slot, readersCpu: READERS_CPU };
};

const isOver = (cpu: Cpu): boolean => {
  settle(cpu, mapOf(cpu));
  cpu.mem.fetch_or(queue(cpu), WaitQueue.offset.cpus, 1 << cpu.id); // Kicks up to here have been taken by settle().
  return poll_state_synchronize_rcu(cpu, get(cpu, COOKIE));
};
const update = (cpu: Cpu): void => {
  const object = get(cpu, ROOT);
  set(cpu, ROOT, NULL);
  set(cpu, COOKIE, start_poll_synchronize_rcu(cpu));
  wait_event(cpu, queue(cpu), isOver, NULL);
  cpu.mem.store_word(object, BAD);
};
const finish = (cpu: Cpu): void => {
  set(cpu, DONE, 1);
  kick(cpu, READERS_CPU);
};
const isDone = (cpu: Cpu): boolean => get(cpu, DONE) !== 0;
const standForReaders = (cpu: Cpu): void => {
  rcu_read_lock(cpu);
  park(cpu, isDone, NULL);
  rcu_read_unlock(cpu);
};
/** A thread of the heap runs while the CPU of its slot is idle: RCU does not wait for that. */
const read =
  (leave: typeof reader_leave) =>
  (cpu: Cpu): void => {
    ct_idle_enter(cpu);
    const slot = mapOf(cpu).slot(1);
    reader_enter(cpu.mem, slot);
    const object = get(cpu, ROOT);
    if (object !== NULL && cpu.mem.load_word(object) !== GOOD) bug(cpu, "a reader looks at freed memory");
    const wanted = leave(cpu.mem, slot);
    ct_idle_exit(cpu);
    if (!wanted) return;
    settle(cpu, mapOf(cpu));
    wake_up(cpu, queue(cpu));
  };
/**
 * Idle CPUs and ticks drive the engine, too; in a heap only settle() does. So they do as it does: take the first look at
 * the readers. All later looks are up to readers who leave.
 */
const afterDriving = (cpu: Cpu): void => {
  const map = mapOf(cpu);
  const leaf = rcu_mynode(cpu, per_rcu_data(cpu, READERS_CPU));
  const snapped = cpu.mem.data_race_read(map.globals, SNAP_SEQ);
  const gp_seq = cpu.mem.read_once(leaf, GP_SEQ);
  if (rcu_seq_state(gp_seq) === 0) wake_up(cpu, queue(cpu));
  else if (snapped !== gp_seq) report_readers(cpu, map);
};
const kernel = {
  ...KERNEL,
  bind: () => {
    KERNEL.bind();
    bind_callback(CB.rcu_core, (cpu) => {
      rcu_core(cpu);
      afterDriving(cpu);
    });
    bind_callback(CB.run_items, (cpu) => {
      const softirqs = run_leftover_softirqs(cpu);
      const gp = rcu_gp_step(cpu);
      if (gp) afterDriving(cpu);
      return gp || softirqs;
    });
  },
};
const setup = (cpu: Cpu): void => {
  set(cpu, HEAP, kzalloc(cpu, HeapGlobals.size + 2 * HeapSlot.size, GFP_KERNEL));
  // As if there had been a grace period: what it found out about readers must not be used again.
  cpu.mem.poke(mapOf(cpu).globals, SNAP_SEQ, cpu.mem.peek(rcu_mynode(cpu, per_rcu_data(cpu, READERS_CPU)), GP_SEQ));
  const object = kzalloc(cpu, 8, GFP_KERNEL);
  cpu.mem.store_word(object, GOOD);
  set(cpu, ROOT, object);
};
const scenario = (leave = reader_leave): Scenario => ({
  name: "heap-readers",
  kernel,
  setup,
  steps: 20_000,
  cpus: [[read(leave), read(leave)], [update, finish], [standForReaders]],
});

describe("a grace period", () => {
  test("waits for the readers that were there before it, and ends", () => {
    const { failure, incomplete } = new Explorer(scenario()).explore({ random: 50, bound: 1 });
    expect({ failure, incomplete }).toEqual({ failure: undefined, incomplete: false });
  });
  test("would not end if readers that leave did not drive it on", () => {
    const mute: typeof reader_leave = (mem, slot) => {
      reader_leave(mem, slot);
      return false;
    };
    const { failure } = new Explorer(scenario(mute)).explore({ random: 50, bound: 1 });
    expect(failure?.message).toContain("deadlock");
  });
  test("would end too early if it did not look at them", () => {
    const blind: Scenario = {
      ...scenario(),
      cpus: [[read(reader_leave)], [update, finish], []], // An idle CPU stands for the readers: RCU waits for none.
    };
    const { failure } = new Explorer(blind).explore({ random: 50, bound: 1 });
    expect(failure?.message).toContain("freed memory");
  });
});

test("a reader that leaves just when it is looked at has left, or knows that somebody waits", () => {
  const Box = struct("box", { slot: HeapSlot, told: atomic32, holdout: atomic32 });
  const { slot: SLOT, told: TOLD, holdout: HOLDOUT } = Box.offset;
  const leaving = race({
    name: "leaving",
    shared: Box,
    setup: (mem, box) => {
      reader_enter(mem, embedded(box, SLOT));
      mem.write(embedded(box, SLOT), HeapSlot.offset.reader_snap, 1);
    },
    threads: [
      (mem, box) => {
        if (reader_leave(mem, embedded(box, SLOT))) mem.write_once(box, TOLD, 1);
      },
      (mem, box) => mem.write_once(box, HOLDOUT, is_holdout(mem, embedded(box, SLOT)) ? 1 : 0),
    ],
    check: (mem, box) =>
      mem.read_once(box, HOLDOUT) === mem.read_once(box, TOLD) ? undefined : "nobody drives the grace period on",
  });
  expect(new Explorer(leaving).explore({ bound: 3 })).toMatchObject({ failure: undefined, exhausted: 3 });
});

test("report_readers() does nothing while no grace period waits", () => {
  const nothing: Scenario = {
    name: "heap-no-readers",
    setup,
    cpus: [[(cpu) => report_readers(cpu, mapOf(cpu))], [], []],
    check: (cpu) => {
      const leaf = rcu_mynode(cpu, per_rcu_data(cpu, READERS_CPU));
      return cpu.mem.peek(mapOf(cpu).globals, SNAP_SEQ) === cpu.mem.peek(leaf, GP_SEQ) ? undefined : "it did";
    },
  };
  expect(new Explorer(nothing).explore({ bound: 0 }).failure).toBeUndefined();
});
