/** Readers of every kind, and what a tick makes of them: spec rcu 4.2, I-RCU-9, I-RCU-12. */
import { beforeEach, describe, expect, test } from "vitest";
import {
  local_bh_disable,
  local_bh_enable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
} from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { schedule } from "../../../../src/shared/cpu/sched.ts";
import { CB } from "../../../../src/shared/layout/callbacks.ts";
import { CpuSlot } from "../../../../src/shared/layout/cpu.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../../../../src/shared/linux/sync/spinlock.ts";
import { bind_callback } from "../../../../src/shared/cpu/callback_table.ts";
import { do_softirq, raise_softirq, TIMER_SOFTIRQ } from "../../../../src/shared/linux/kernel/softirq.ts";
import { call_rcu_hurry } from "../../../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_lock_held, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import type { Oracle } from "../../../../src/shared/mem/oracle.ts";
import { NULL_ORACLE } from "../../../../src/shared/mem/oracle.ts";
import {
  bootRcu,
  drive,
  gpsBetween,
  gpSeq,
  head,
  idleEnter,
  idleExit,
  inHardirq,
  inNmi,
  recordingCallback,
  room,
  settle,
  tick,
} from "./rcu_machine.ts";

let cpus: readonly Cpu[];
let cpu: Cpu;
let other: Cpu;
let seen: string[];

beforeEach(() => {
  seen = [];
  const oracle: Oracle = {
    ...NULL_ORACLE,
    active: true,
    reader_enter: (id) => void seen.push(`enter ${id}`),
    reader_exit: (id) => void seen.push(`exit ${id}`),
  };
  cpus = bootRcu(2, oracle);
  [cpu, other] = cpus;
});

/** Starts a grace period that waits for `cpu` alone: `other` asks for it and goes idle. */
function startGracePeriod(): void {
  call_rcu_hurry(other, head(other, 40), recordingCallback(7).id);
  drive(other);
  settle([other], 3);
  idleEnter(other);
}
/** Grace periods that end while `cpu` takes ticks. */
function endsDuringTicks(n = 3): boolean {
  const from = gpSeq(cpu);
  for (let i = 0; i < n; i++) tick(cpu);
  return gpsBetween(from, gpSeq(cpu)) > 0;
}

describe("rcu_read_lock", () => {
  test("nests; only the outermost is a reader to the oracle", () => {
    rcu_read_lock(cpu);
    rcu_read_lock(cpu);
    expect(seen).toEqual(["enter 0"]);
    rcu_read_unlock(cpu);
    expect(rcu_read_lock_held(cpu)).toBe(true);
    expect(seen).toEqual(["enter 0"]);
    rcu_read_unlock(cpu);
    expect(rcu_read_lock_held(cpu)).toBe(false);
    expect(seen).toEqual(["enter 0", "exit 0"]);
  });
  test("a section of an NMI inside a task's section does not end it", () => {
    rcu_read_lock(cpu);
    inNmi(cpu, (c) => {
      rcu_read_lock(c);
      rcu_read_unlock(c);
    });
    expect(rcu_read_lock_held(cpu)).toBe(true);
    expect(seen).toEqual(["enter 0"]);
    rcu_read_unlock(cpu);
  });
  test("an unlock too many is a bug", () => {
    expect(() => rcu_read_unlock(cpu)).toThrow(/without rcu_read_lock/);
  });
  test("I-RCU-9: in idle it is a bug; in an interrupt out of idle it is not", () => {
    idleEnter(cpu);
    inNmi(cpu, (c) => {
      rcu_read_lock(c);
      rcu_read_unlock(c);
    });
    inHardirq(cpu, (c) => {
      rcu_read_lock(c);
      rcu_read_unlock(c);
    });
    expect(() => rcu_read_lock(cpu)).toThrow(/does not watch/);
  });
  test("sleeping in a section is a bug", () => {
    rcu_read_lock(cpu);
    expect(() => schedule(cpu)).toThrow(/atomic context/);
  });
});

describe("what a tick interrupted", () => {
  test("a task outside readers is quiescent: the grace period ends", () => {
    startGracePeriod();
    expect(endsDuringTicks()).toBe(true);
  });
  test("so is idle", () => {
    startGracePeriod();
    idleEnter(cpu);
    expect(endsDuringTicks()).toBe(true);
  });

  const regions: [string, (c: Cpu) => void, (c: Cpu) => void][] = [
    ["rcu_read_lock", rcu_read_lock, rcu_read_unlock],
    ["preemption off", preempt_disable, preempt_enable],
    ["softirqs off", local_bh_disable, local_bh_enable],
    ["a spinlock held", (c) => spin_lock(c, room(c, 50)), (c) => spin_unlock(c, room(c, 50))],
  ];
  test.each(regions)("%s is a reader: the grace period waits until it is over", (_, enter, leave) => {
    spin_lock_init(cpu, room<"spinlock">(cpu, 50), LC.test);
    enter(cpu);
    startGracePeriod();
    expect(endsDuringTicks()).toBe(false);
    leave(cpu);
    expect(endsDuringTicks()).toBe(true);
  });

  test("a softirq is a reader, whatever it interrupted", () => {
    startGracePeriod();
    let ended: boolean | undefined;
    bind_callback(CB.run_timer_softirq, (c) => {
      if (c === cpu) ended = endsDuringTicks();
    });
    raise_softirq(cpu, TIMER_SOFTIRQ);
    do_softirq(cpu);
    expect(ended).toBe(false);
    expect(endsDuringTicks()).toBe(true);
  });
  test("IRQs off: no tick comes, and other CPUs do not report for it", () => {
    const flags = local_irq_save(cpu);
    startGracePeriod();
    const from = gpSeq(cpu);
    idleExit(other);
    for (let i = 0; i < 5; i++) tick(other);
    expect(gpSeq(cpu)).toBe(from);
    local_irq_restore(cpu, flags);
    expect(endsDuringTicks()).toBe(true);
  });
  test("quiescent states from before the grace period do not count", () => {
    tick(cpu); // A quiescent state, but of nothing.
    rcu_read_lock(cpu);
    startGracePeriod();
    expect(endsDuringTicks()).toBe(false);
    rcu_read_unlock(cpu);
    expect(endsDuringTicks()).toBe(true);
  });
});

test("rcu_read_lock takes no step that others could see", () => {
  const { words } = cpu.mem;
  const before = Int32Array.from(words);
  rcu_read_lock(cpu);
  rcu_read_unlock(cpu);
  const changed = [...words.keys()].filter((i) => words[i] !== before[i]);
  const slot = cpu.slot >> 2;
  expect(changed.filter((i) => i < slot || i >= slot + CpuSlot.size / 4)).toEqual([]);
});
