/**
 * irq_work, property 1 (spec slub 7.3): a claim that failed is covered. The run that PENDING stands for begins after the
 * call, so it sees what the caller has published. BUSY alone promises nothing: that run may have looked already.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { init_irq_work, irq_work_is_busy, irq_work_queue, irq_work_sync } from "../../shared/linux/kernel/irq_work.ts";
import { callbackId, get, result, resultOf, set, type Scenario } from "../explore/scenario.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const PUBLISHED = 0;
const SEEN = 1;
const WORK = 64;
type Queue = (cpu: Cpu) => boolean;
const queue: Queue = (cpu) => irq_work_queue(cpu, at(cpu, WORK));
const queueUnlessBusy: Queue = (cpu) => !irq_work_is_busy(cpu, at(cpu, WORK)) && queue(cpu);
const program = (request: Queue): Omit<Scenario, "name"> => ({
  callbacks: [
    (cpu) => {
      if (get(cpu, PUBLISHED) === 1) set(cpu, SEEN, 1);
    },
  ],
  setup: (cpu) => init_irq_work(cpu, at(cpu, WORK), callbackId(0)),
  cpus: [
    [(cpu) => void queue(cpu)],
    [
      (cpu) => {
        set(cpu, PUBLISHED, 1);
        result(cpu, 0, request(cpu) ? 0 : 1);
      },
    ],
  ],
  final: (cpu) => irq_work_sync(cpu, at(cpu, WORK)),
});

const litmus: Litmus = {
  title: "publish, then irq_work_queue() says that it is pending already: the pending run sees it",
  outcome: "refused, and not seen",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1 && get(cpu, SEEN) === 0,
  bound: 2,
  scenario: { name: "irq_work-claim", ...program(queue) },
  vacuity: { name: "irq_work-claim+no-op", ...program(queueUnlessBusy) },
};
export default litmus;
