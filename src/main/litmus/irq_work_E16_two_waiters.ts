/**
 * E16: two CPUs wait in irq_work_sync() for the same work, where that sleeps: with PREEMPT_RT for what irq_work/N
 * runs. A work has room for one sleeper (struct rcuwait), so they must exclude each other (slub B25).
 */
import { KB_RCUWAIT_SHARED } from "../../shared/layout/globals.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { callbackId, get, result, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at, registers } from "./kit_words.ts";
import type { Forbidden } from "./litmus.ts";

const RAN = 0;
const WORK = 64;
const sync: Operation = (cpu) => {
  irq_work_sync(cpu, at(cpu, WORK));
  if (get(cpu, RAN) === 0) result(cpu, 0, 1);
};
const machine = (name: string, kernel_behaviour: number): Scenario => ({
  name,
  globals: { rt: 1, kernel_behaviour },
  callbacks: [(cpu) => set(cpu, RAN, 1)],
  setup: (cpu) => {
    init_irq_work(cpu, at(cpu, WORK), callbackId(0));
    irq_work_queue(cpu, at(cpu, WORK));
  },
  cpus: [[sync], [sync]],
});

const test: Forbidden = {
  title: "two irq_work_sync() of one work with PREEMPT_RT",
  outcome: "one waits for ever, or returns before the work has run",
  observed: registers(1),
  reported: /deadlock/,
  bound: 0,
  verdict: "F",
  scenario: machine("E16", 0),
  vacuity: machine("E16+shared", KB_RCUWAIT_SHARED),
};
export default test;
