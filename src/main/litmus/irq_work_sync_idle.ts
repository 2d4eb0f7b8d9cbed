/** irq_work, property 4 (spec slub 7.3): when irq_work_sync() returns, the function is over, not only begun. */
import { local_irq_disable, local_irq_enable } from "../../shared/cpu/context.ts";
import {
  init_irq_work,
  irq_work_is_pending,
  irq_work_queue,
  irq_work_sync,
} from "../../shared/linux/kernel/irq_work.ts";
import { callbackId, get, result, resultOf, set, type Operation, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const QUEUED = 0;
const INSIDE = 1;
const WORK = 64;
/** Waits for the start of the function instead of its end. */
const waitForStart: Operation = (cpu) => {
  while (irq_work_is_pending(cpu, at(cpu, WORK))) cpu.mem.relax();
};
const program = (sync: Operation): Omit<Scenario, "name"> => ({
  callbacks: [
    (cpu) => {
      set(cpu, INSIDE, 1);
      set(cpu, INSIDE, 0);
    },
  ],
  setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
  cpus: [
    [
      (cpu) => {
        local_irq_disable(cpu);
        irq_work_queue(cpu, at(cpu, WORK));
        set(cpu, QUEUED, 1);
        local_irq_enable(cpu);
      },
    ],
    [
      (cpu) => {
        if (get(cpu, QUEUED) === 0) return;
        sync(cpu);
        result(cpu, 0, get(cpu, INSIDE));
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "irq_work_sync() returns when the function has ended",
  outcome: "still inside the function",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: "irq_work-sync", ...program((cpu) => irq_work_sync(cpu, at(cpu, WORK))) },
  vacuity: { name: "irq_work-sync+no-op", ...program(waitForStart) },
};
export default litmus;
