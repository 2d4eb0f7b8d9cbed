/**
 * irq_work, property 2 (spec slub 7.3): the self-IPI comes on the same CPU as soon as IRQs are on, not before; several
 * works, one interrupt. Where the IPI may be late (globals.irqwork_mode), it may not have come by then.
 */
import { irqs_disabled, local_irq_disable, local_irq_enable } from "../../shared/cpu/context.ts";
import { IRQWORK_LATE, IRQWORK_PROMPT } from "../../shared/layout/globals.ts";
import { init_irq_work, irq_work_queue } from "../../shared/linux/kernel/irq_work.ts";
import { callbackId, get, result, resultOf, set, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const RUNS = 0;
const WORKS = [64, 80];
const program = (irqwork_mode: number): Omit<Scenario, "name"> => ({
  globals: { irqwork_mode },
  callbacks: [
    (cpu) => {
      set(cpu, RUNS, get(cpu, RUNS) + 1);
      if (cpu.id !== 0 || !irqs_disabled(cpu)) result(cpu, 0, 1);
    },
  ],
  setup: (cpu) => WORKS.forEach((work) => init_irq_work(cpu, at(cpu, work), callbackId(0))),
  cpus: [
    [
      (cpu) => {
        local_irq_disable(cpu);
        for (const work of WORKS) irq_work_queue(cpu, at(cpu, work));
        if (get(cpu, RUNS) !== 0) result(cpu, 0, 1);
        local_irq_enable(cpu);
        if (get(cpu, RUNS) !== WORKS.length) result(cpu, 0, 1);
      },
    ],
    [(cpu) => void get(cpu, RUNS)],
  ],
});

const litmus: Litmus = {
  title: "two works are queued with IRQs off: both run here, as soon as IRQs are on",
  outcome: "too early, too late, or elsewhere",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: "irq_work-self-ipi", ...program(IRQWORK_PROMPT) },
  vacuity: { name: "irq_work-self-ipi+late", ...program(IRQWORK_LATE) },
};
export default litmus;
