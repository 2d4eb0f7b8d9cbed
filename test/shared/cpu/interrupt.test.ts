/** Delivery rules: what interrupts what, in which context handlers run, and that nothing pending is lost. */
import { beforeEach, expect, test } from "vitest";
import { MachineStopped } from "../../../src/shared/base/verdict.ts";
import { bind_callback } from "../../../src/shared/cpu/callback_table.ts";
import {
  describe_context,
  in_hardirq,
  in_nmi,
  irqs_disabled,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
} from "../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { arch_irq_work_raise, deliver_pending } from "../../../src/shared/cpu/interrupt.ts";
import { rcu_is_watching } from "../../../src/shared/cpu/context_tracking.ts";
import { schedule } from "../../../src/shared/cpu/sched.ts";
import { point } from "../../../src/shared/cpu/trace.ts";
import { CB, FIRST_FREE_CALLBACK } from "../../../src/shared/layout/callbacks.ts";
import {
  CONTEXT_NAMES,
  CpuCounters,
  P_IPI_CALL,
  P_IRQ,
  P_HRTIMER,
  P_IRQ_WORK,
  P_IRQ_WORK_LATE,
  P_KICK,
  P_NMI,
  P_NMI_LOCAL,
  P_STOP,
  P_TICK,
} from "../../../src/shared/layout/cpu.ts";
import { Globals, IRQWORK_LATE, IRQWORK_MIXED } from "../../../src/shared/layout/globals.ts";
import { POINT } from "../../../src/shared/layout/points.ts";
import { element, type CallbackId } from "../../../src/shared/mem/struct.ts";
import { BARE_KERNEL } from "../../../src/main/explore/kernel.ts";
import { sequentialMachine } from "../../machine.ts";

const { nmi_handler: NMI_HANDLER, irq_handler: IRQ_HANDLER, irqwork_mode: MODE } = Globals.offset;
const NMI_CB = FIRST_FREE_CALLBACK as CallbackId;
const IRQ_CB = (FIRST_FREE_CALLBACK + 1) as CallbackId;
let cpu: Cpu;
let log: string[];
const raise = (bits: number): void => cpu.mem.raise(cpu.pending, bits);
const note = (what: string) => (c: Cpu) => {
  log.push(`${what}: ${describe_context(c)}`);
};

beforeEach(() => {
  BARE_KERNEL.bind();
  cpu = sequentialMachine({ cpus: 1 }).cpus[0];
  cpu.mem.poke(cpu.globals, NMI_HANDLER, NMI_CB);
  cpu.mem.poke(cpu.globals, IRQ_HANDLER, IRQ_CB);
  log = [];
  bind_callback(NMI_CB, note("nmi"));
  bind_callback(IRQ_CB, note("irq"));
  bind_callback(CB.tick, note("tick"));
  bind_callback(CB.irq_work_run, note("irq_work"));
  bind_callback(CB.hrtimer_interrupt, note("hrtimer"));
});

test("an NMI interrupts IRQ-off code; an IRQ waits until IRQs are on, then comes at once", () => {
  const flags = local_irq_save(cpu);
  raise(P_NMI | P_IRQ);
  cpu.mem.poll(0);
  expect(log).toEqual(["nmi: task > nmi, IRQs off, preempt 0, readers 0"]);
  local_irq_restore(cpu, flags);
  expect(log[1]).toBe("irq: task > hardirq, IRQs off, preempt 0, readers 0");
  expect([in_nmi(cpu), in_hardirq(cpu), irqs_disabled(cpu)]).toEqual([false, false, false]);
});

test("no NMI in an NMI, no IRQ in an IRQ: they follow each other; an NMI does nest in an IRQ", () => {
  let depth = 0;
  bind_callback(NMI_CB, (c) => {
    log.push(`nmi depth ${depth++}`);
    if (log.length === 1) raise(P_NMI);
    c.mem.poll(0);
    depth--;
  });
  raise(P_NMI_LOCAL);
  cpu.mem.poll(0);
  expect(log).toEqual(["nmi depth 0", "nmi depth 0"]);
  log = [];
  bind_callback(NMI_CB, note("nmi"));
  bind_callback(IRQ_CB, (c) => {
    if (log.length === 0) {
      log.push("irq begins");
      raise(P_IRQ | P_NMI);
      c.mem.poll(0);
    }
    log.push("irq ends");
  });
  raise(P_IRQ);
  cpu.mem.poll(0);
  expect(log).toEqual([
    "irq begins",
    "nmi: task > hardirq > nmi, IRQs off, preempt 0, readers 0",
    "irq ends",
    "irq ends",
  ]);
});

test("vectors go by priority: call before device, tick, irq_work (rcu spec 2.8) and hrtimers", () => {
  raise(P_HRTIMER | P_IRQ_WORK | P_TICK | P_IRQ | P_IPI_CALL | P_NMI);
  cpu.mem.poll(0);
  expect(log.map((l) => l.split(":")[0])).toEqual(["nmi", "irq", "tick", "irq_work", "hrtimer"]);
  expect(cpu.mem.peek(cpu.counters, CpuCounters.offset.call_ipis)).toBe(1);
});

test("RCU watches in a handler that came out of idle, and no longer afterwards", () => {
  const seen: boolean[] = [];
  bind_callback(NMI_CB, (c) => void seen.push(rcu_is_watching(c)));
  bind_callback(IRQ_CB, (c) => {
    seen.push(rcu_is_watching(c));
    raise(P_NMI);
    c.mem.poll(0);
    seen.push(rcu_is_watching(c));
  });
  raise(P_IRQ | P_NMI_LOCAL);
  const before = cpu.mem.peek(cpu.counters, element(CpuCounters.offset.nmis_by_context, CONTEXT_NAMES.indexOf("idle")));
  schedule(cpu);
  expect(seen).toEqual([true, true, true, true]);
  expect(rcu_is_watching(cpu)).toBe(true);
  const idle = CONTEXT_NAMES.indexOf("idle");
  expect(cpu.mem.peek(cpu.counters, element(CpuCounters.offset.nmis_by_context, idle))).toBe(before + 1);
});

test("a KICK ends a wait and runs nothing; a STOP leaves kernel code", () => {
  raise(P_KICK);
  schedule(cpu);
  expect(log).toEqual([]);
  raise(P_STOP);
  expect(() => deliver_pending(cpu)).toThrow(MachineStopped);
});

test("prompt irq_work comes as soon as IRQs are on; late comes within its countdown, mixed draws", () => {
  const flags = local_irq_save(cpu);
  arch_irq_work_raise(cpu);
  cpu.mem.poll(0);
  expect(log).toEqual([]);
  local_irq_restore(cpu, flags);
  expect(log.length).toBe(1);
  cpu.mem.poke(cpu.globals, MODE, IRQWORK_LATE);
  const delays = new Set<number>();
  for (let i = 0; i < 200; i++) {
    log = [];
    arch_irq_work_raise(cpu);
    expect(cpu.mem.pending()).toBe(P_IRQ_WORK_LATE);
    let steps = 0;
    for (; log.length === 0; steps++) cpu.mem.poll(0);
    delays.add(steps);
    expect(cpu.mem.pending()).toBe(0);
  }
  expect(Math.max(...delays)).toBeGreaterThan(256);
  expect(Math.min(...delays)).toBe(1);
  cpu.mem.poke(cpu.globals, MODE, IRQWORK_MIXED);
  const drawn = new Set<number>();
  for (let i = 0; i < 50; i++) {
    arch_irq_work_raise(cpu);
    drawn.add(cpu.mem.take_pending(-1));
  }
  expect([...drawn].toSorted((a, b) => a - b)).toEqual([P_IRQ_WORK, P_IRQ_WORK_LATE]);
});

test("a late irq_work never comes with IRQs off", () => {
  cpu.mem.poke(cpu.globals, MODE, IRQWORK_LATE);
  const flags = local_irq_save(cpu);
  arch_irq_work_raise(cpu);
  for (let i = 0; i < 5000; i++) cpu.mem.poll(0);
  expect(log).toEqual([]);
  local_irq_restore(cpu, flags);
  cpu.mem.poll(0);
  expect(log.length).toBe(1);
});

test("interrupts are counted by source, by the context and by the point that they hit", () => {
  const C = CpuCounters.offset;
  raise(P_NMI);
  point(cpu, POINT.irq_work_claimed);
  raise(P_NMI_LOCAL);
  point(cpu, POINT.irq_work_claimed);
  raise(P_NMI);
  cpu.mem.poll(0);
  const count = (f: Parameters<typeof element>[0], i: number): number => cpu.mem.peek(cpu.counters, element(f, i));
  expect([count(C.nmis, 0), count(C.nmis, 1)]).toEqual([2, 1]);
  expect(count(C.points_hit_controller, POINT.irq_work_claimed)).toBe(1);
  expect(count(C.points_hit_local, POINT.irq_work_claimed)).toBe(1);
  expect(count(C.points_visited, POINT.irq_work_claimed)).toBe(2);
  expect(count(C.nmis_by_context, 0)).toBe(3);
});

test("a handler may not turn IRQs on", () => {
  bind_callback(IRQ_CB, (c) => local_irq_enable(c));
  raise(P_IRQ);
  expect(() => cpu.mem.poll(0)).toThrow("local_irq_enable() in an interrupt handler");
});
