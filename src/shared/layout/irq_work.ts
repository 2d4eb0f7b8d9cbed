/** struct irq_work and the per-CPU lists it is raised on. kernel/irq_work.c; spec slub 7. */
import { aligned, atomic32, callback, struct } from "../mem/struct.ts";
import { LlistHead, LlistNode, Rcuwait } from "./types.ts";

export const IRQ_WORK_PENDING = 1;
export const IRQ_WORK_BUSY = 2;
export const IRQ_WORK_LAZY = 4;
export const IRQ_WORK_HARD_IRQ = 8;
export const IRQ_WORK_CLAIMED = IRQ_WORK_PENDING | IRQ_WORK_BUSY;
export const CSD_TYPE_IRQ_WORK = 0x20;

/** struct irq_work: a callback to run in hardirq context. */
export const IrqWork = struct("irq_work", {
  node: LlistNode, // links into one CPU's raised_list or lazy_list
  flags: atomic32,
  irqwait: Rcuwait,
  func: callback,
});

export const IrqWorkCpu = struct("irq_work_cpu", {
  raised_list: aligned(64, LlistHead),
  /** With PREEMPT_RT also what is not for hardirq: the thread irq_work/N runs it. */
  lazy_list: LlistHead,
  /** Wakes that thread on behalf of other CPUs: irq_work_wakeup. */
  wakeup: IrqWork,
});
