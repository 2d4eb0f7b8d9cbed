/** irq_work, property 3 (spec slub 7.3): what an NMI queues runs after the NMI, when IRQs are on, and is not lost. */
import { in_nmi, local_irq_disable, local_irq_enable } from "../../shared/cpu/context.ts";
import { init_irq_work, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { callbackId, get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const QUEUED = 0;
const RAN = 1;
const IRQS_OFF = 2;
const WORK = 64;
const run: Operation = (cpu) => {
  set(cpu, RAN, 1);
  if (in_nmi(cpu) || get(cpu, IRQS_OFF) === 1) result(cpu, 0, 1);
};
const program = (request: Operation): Omit<Scenario, "name"> => ({
  callbacks: [run],
  setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
  cpus: [
    [
      (cpu) => {
        local_irq_disable(cpu);
        set(cpu, IRQS_OFF, 1);
        set(cpu, IRQS_OFF, 0);
        local_irq_enable(cpu);
      },
    ],
  ],
  nmi: (cpu) => {
    request(cpu);
    set(cpu, QUEUED, 1);
  },
  nmis: 1,
  final: (cpu) => {
    if (get(cpu, QUEUED) === 0) return; // It may come only now.
    irq_work_sync(cpu, at(cpu, WORK));
    if (get(cpu, RAN) === 0) result(cpu, 0, 1);
  },
});

const litmus: Litmus = {
  title: "an NMI queues a work: it runs after the NMI, with IRQs on",
  outcome: "in the NMI, in a region with IRQs off, or never",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: "irq_work-nmi", ...program((cpu) => void irq_work_queue(cpu, at(cpu, WORK))) },
  vacuity: { name: "irq_work-nmi+no-op", ...program(run) },
};
export default litmus;
