/** Stall warnings: spec rcu 4.11, I-RCU-11. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { cond_resched } from "../../../../src/shared/cpu/sched.ts";
import { MachineBug } from "../../../../src/shared/base/verdict.ts";
import { CpuSlot } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { RcuData, RcuState } from "../../../../src/shared/layout/rcu.ts";
import { per_rcu_data, rcu_state } from "../../../../src/shared/linux/rcu/rcu_node.ts";
import { call_rcu_hurry } from "../../../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../src/shared/linux/rcu/update.ts";
import { bootRcu, drive, head, idleEnter, recordingCallback, settle, tick } from "./rcu_machine.ts";

const S = RcuState.offset;
const { panic_on_warn: PANIC_ON_WARN, jiffies: JIFFIES } = Globals.offset;
const { warnings: WARNINGS } = CpuSlot.offset;
const TIMEOUT = 10;

let cpus: readonly Cpu[];
let cpu: Cpu;
let stuck: Cpu;
beforeEach(() => {
  cpus = bootRcu(3);
  [cpu, stuck] = cpus;
  cpu.mem.poke(rcu_state(cpu), S.stall_timeout, TIMEOUT);
  idleEnter(cpus[2]);
  rcu_read_lock(stuck);
  call_rcu_hurry(cpu, head(cpu, 0), recordingCallback().id);
  drive(cpu);
  settle([cpu], 3);
});
/** What the machine stops with during `n` ticks of the CPUs. */
function report(n: number, ...who: Cpu[]): string | undefined {
  try {
    for (let i = 0; i < n; i++) for (const c of who) tick(c);
    return undefined;
  } catch (e) {
    if (e instanceof MachineBug) return e.message;
    throw e;
  }
}

test("a CPU that took a full timeout of ticks in a reader stalls, and says so itself", () => {
  expect(report(TIMEOUT - 1, stuck)).toBeUndefined();
  const text = report(1, stuck) ?? "";
  const [warning, line, trailer, context] = text.split("\n");
  expect(warning).toBe("WARNING: rcu: rcu_sched self-detected stall on CPU");
  expect(line).toMatch(
    /^rcu: {3}1-\.\.\.[.!]: \(\d+ ticks this GP\) idle=[0-9a-f]{4}\/1\/0x2 softirq=\d+\/\d+ fqs=\d+$/,
  );
  expect(trailer).toMatch(/^rcu: {3}\(t=10 jiffies, g=-\d+, q=1 ncpus=3\)$/);
  expect(context).toBe("CPU 1: task > hardirq, IRQs off, preempt 0, readers 1");
});
test("another CPU names it, with its context stack", () => {
  // The ticks that CPU 1 took, without its own looks.
  stuck.mem.poke(stuck.slot, CpuSlot.offset.ticks, TIMEOUT);
  const lines = (report(TIMEOUT, cpu) ?? "").split("\n");
  expect(lines[0]).toBe("WARNING: rcu: rcu_sched detected stalls on CPUs:");
  expect(lines[1]).toContain("  1-");
  expect(lines[2]).toContain("(detected by 0, t=10 jiffies");
  expect(lines[3]).toBe("CPU 1: task, IRQs on, preempt 0, readers 1");
});
test("time alone is no stall: the CPU must have taken the ticks itself", () => {
  expect(report(10 * TIMEOUT, cpu)).toBeUndefined();
  expect(report(TIMEOUT - 1, stuck)).toBeUndefined();
  rcu_read_unlock(stuck);
  settle(cpus.slice(0, 2));
  expect(report(10 * TIMEOUT, cpu, stuck)).toBeUndefined();
});
test("a CPU that is slow but gets on does not stall", () => {
  for (let i = 0; i < 5; i++) {
    expect(report(TIMEOUT - 2, stuck)).toBeUndefined();
    rcu_read_unlock(stuck);
    settle(cpus.slice(0, 2));
    rcu_read_lock(stuck);
    call_rcu_hurry(cpu, head(cpu, 0), recordingCallback().id);
    drive(cpu);
    settle([cpu], 3);
  }
});
test("half-way, an irq_work asks whether the CPU takes interrupts; the report shows that it did not", () => {
  report(TIMEOUT / 2 + 1, cpu);
  expect(cpu.mem.peek(per_rcu_data(cpu, 1), RcuData.offset.rcu_iw_pending)).toBe(1);
  tick(stuck); // Its irq_work comes with it.
  stuck.mem.poll(0);
  expect(cpu.mem.peek(per_rcu_data(cpu, 1), RcuData.offset.rcu_iw_pending)).toBe(0);
});
test("without panic it only counts, and again after three times as long", () => {
  cpu.mem.poke(cpu.globals, PANIC_ON_WARN, 0);
  report(3 * TIMEOUT, stuck);
  expect(stuck.mem.peek(stuck.slot, WARNINGS)).toBe(1);
  report(2 * TIMEOUT, stuck);
  expect(stuck.mem.peek(stuck.slot, WARNINGS)).toBe(2);
});
test("0 turns it off", () => {
  cpu.mem.poke(rcu_state(cpu), S.stall_timeout, 0);
  expect(report(5 * TIMEOUT, stuck)).toBeUndefined();
});

describe("the engine starves", () => {
  test("a leader that takes ticks but does not get on", () => {
    rcu_read_unlock(stuck);
    cpu.mem.poke(rcu_state(cpu), S.gp_leader, stuck.id + 1);
    cpu.mem.poke(rcu_state(cpu), S.gp_leader_ticks, 0);
    cond_resched(stuck);
    const text = report(TIMEOUT, stuck) ?? "";
    expect(text).toMatch(/engine starved for \d+ jiffies! g-\d+ f0x2 RCU_GP_WAIT_FQS\(5\) ->cpu=1/);
    expect(text).toMatch(/CPU 1: task/);
  });
  test("not one that the host does not run", () => {
    rcu_read_unlock(stuck);
    cpu.mem.poke(rcu_state(cpu), S.gp_leader, stuck.id + 1);
    cpu.mem.fetch_add(cpu.globals, JIFFIES, 5 * TIMEOUT);
    expect(report(TIMEOUT, cpu)).toBeUndefined();
  });
});
